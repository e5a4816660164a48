/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the monitors and what they share. */

#include "daemon/monitor/monitor.h"

typedef struct DiskMonitor DiskMonitor;
typedef struct PressureMonitor PressureMonitor;
typedef struct NetworkMonitor NetworkMonitor;

struct Monitors {
        MonitorsParameters with;
        Config *config;
        DiskMonitor *disk;
        PressureMonitor *pressure;
        NetworkMonitor *network;
};

/* Something that begins and ends: its event's id while it lasts. */
typedef struct Condition {
        gboolean holds;
        char *id; /* NULL: nobody could be told */
} Condition;

/* Tells if that is news. data: taken; may be NULL where it does not hold. */
void condition_set(Monitors *monitors, Condition *condition, gboolean holds, const char *source, const char *type, JsonObject *data);
void condition_clear(Condition *condition);

DiskMonitor *disk_monitor_new(Monitors *monitors);
DiskMonitor *disk_monitor_free(DiskMonitor *disk);
void disk_monitor_check(DiskMonitor *disk);

PressureMonitor *pressure_monitor_new(Monitors *monitors);
PressureMonitor *pressure_monitor_free(PressureMonitor *pressure);
void pressure_monitor_check(PressureMonitor *pressure);
gboolean pressure_monitor_look(PressureMonitor *pressure);
gboolean pressure_monitor_wait(PressureMonitor *pressure, int fd, int timeout, gboolean *ret_readable);
void pressure_monitor_configure(PressureMonitor *pressure);

NetworkMonitor *network_monitor_new(Monitors *monitors);
NetworkMonitor *network_monitor_free(NetworkMonitor *network);
void network_monitor_look(NetworkMonitor *network);
void network_monitor_check(NetworkMonitor *network);
const char *network_monitor_blind(const NetworkMonitor *network);
