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
        gboolean settled;
        DiskMonitor *disk;
        PressureMonitor *pressure;
        NetworkMonitor *network;
};

/* Something that begins and ends: its event's id while it lasts. */
typedef struct Condition {
        gboolean holds;
        char *id; /* NULL: nobody could be told */
} Condition;

/* Tells if that is news; what is seen before the monitors are settled is seen again then. data: taken; may be NULL
 * where it does not hold. */
void condition_set(Monitors *monitors, Condition *condition, gboolean holds, const char *source, const char *type,
                   JsonObject *data);
void condition_clear(Condition *condition);
/* It holds already, by this id. FALSE: by another one. */
gboolean condition_adopt(Condition *condition, const char *id);

DiskMonitor *disk_monitor_new(Monitors *monitors);
DiskMonitor *disk_monitor_free(DiskMonitor *disk);
void disk_monitor_check(DiskMonitor *disk);
char *disk_monitor_closed(const DiskMonitor *disk);
gboolean disk_monitor_adopt(DiskMonitor *disk, const char *id, JsonObject *data);

PressureMonitor *pressure_monitor_new(Monitors *monitors);
PressureMonitor *pressure_monitor_free(PressureMonitor *pressure);
void pressure_monitor_check(PressureMonitor *pressure);
gboolean pressure_monitor_look(PressureMonitor *pressure);
gboolean pressure_monitor_wait(PressureMonitor *pressure, int fd, int timeout, gboolean *ret_readable);
void pressure_monitor_configure(PressureMonitor *pressure);
gboolean pressure_monitor_adopt(PressureMonitor *pressure, const char *source, const char *id);

NetworkMonitor *network_monitor_new(Monitors *monitors);
NetworkMonitor *network_monitor_free(NetworkMonitor *network);
void network_monitor_look(NetworkMonitor *network);
void network_monitor_check(NetworkMonitor *network);
gboolean network_monitor_adopt(NetworkMonitor *network, const char *id);
const char *network_monitor_blind(const NetworkMonitor *network);
