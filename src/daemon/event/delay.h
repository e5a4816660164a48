/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Somebody's own poweroff, reboot or suspend: logind waits a while for whoever holds a delay inhibitor, and in that
 * time the handlers of snooze.stop.pending save what they have to save. */

#include <systemd/sd-bus.h>

#include "daemon/event/event.h"

typedef struct Delay Delay;

typedef struct DelayParameters {
        sd_bus *bus;
        Events *events;
        /* What logind prepares is the stop that this daemon asked for: its handlers were asked before. */
        gboolean (*is_own)(void *userdata);
        void *userdata;
} DelayParameters;

int delay_new(const DelayParameters *parameters, Delay **ret);
/* Before the events. */
Delay *delay_free(Delay *delay);

#define EVENT_SOURCE_LOGIND "logind"
