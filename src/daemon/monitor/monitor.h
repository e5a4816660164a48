/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* System monitors: what this machine itself announces to the handlers. Each tells once when something begins, and not
 * again before it was over for good (hysteresis); what is over is called off, so that a handler that waits may stop
 * waiting.
 *
 *   disk      system.disk.low          a real file system is fuller than disk_low_percent
 *   pressure  system.memory.pressure   tasks wait for memory, system.cpu.high for a CPU (PSI)
 *   network   system.network.down      no way out is left for network_down_seconds
 *
 * They wake nobody: netlink comes by itself, PSI is looked at with the daemon's samples, all else with its checks. */

#include <systemd/sd-event.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "daemon/config/config.h"

typedef struct Monitors Monitors;

typedef struct MonitorsParameters {
        sd_event *event;
        Config *config;
        const char *root; /* "" for the real machine */
        /* source: "disk" and the like, the part of the daemon that announces. data is taken. Returns the event's id,
         * which the caller frees, or NULL. */
        char *(*begun)(const char *source, const char *type, JsonObject *data, void *userdata);
        void (*over)(const char *source, const char *id, void *userdata);
        void *userdata;
} MonitorsParameters;

/* What cannot be watched is not, and monitors_blind() says so. Nothing is told before monitors_settle(). */
Monitors *monitors_new(const MonitorsParameters *parameters);
Monitors *monitors_free(Monitors *monitors);
void monitors_set_config(Monitors *monitors, Config *config);
/* What an earlier daemon announced, and did not see the end of: it is no news, and the first look tells whether it
 * still holds. FALSE: nobody here knows what that is. */
gboolean monitors_adopt(Monitors *monitors, const char *source, const char *id, JsonObject *data);
/* That was all of it; looks at everything. */
void monitors_settle(Monitors *monitors);

/* With each check of the daemon. */
void monitors_check(Monitors *monitors);

/* With each of its samples between checks. TRUE: something began, and was told. */
gboolean monitors_look(Monitors *monitors);
/* The same for whoever has nothing else to do: until something was told, the descriptor can be read (*ret_readable),
 * or this many milliseconds have passed. */
gboolean monitors_wait(Monitors *monitors, int fd, int timeout, gboolean *ret_readable);

/* For Diagnose: what the network's changes are not told by, in words, or NULL. Static. */
const char *monitors_blind(const Monitors *monitors);
/* Where those are mounted that cannot be asked how full they are, for the caller to free; NULL: none. */
char *monitors_closed_disks(const Monitors *monitors);
