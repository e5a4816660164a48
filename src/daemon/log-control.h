/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* org.freedesktop.LogControl1, so that `systemctl service-log-level snoozed debug` works: from debug on every call to
 * a plugin is logged. Everybody may read; only root and the daemon's own user may set. */

#include <systemd/sd-bus.h>

#include "bus/caller.h"

typedef struct LogControl LogControl;

/* callers: borrowed. 0 or a negative errno. */
int log_control_new(sd_bus *bus, Callers *callers, LogControl **ret);
LogControl *log_control_free(LogControl *control);
