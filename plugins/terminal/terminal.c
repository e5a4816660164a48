/* SPDX-License-Identifier: Apache-2.0 */

/* Tells everybody who sits at a terminal that the machine is about to stop, why, and what to type against it. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "base/names.h"
#include "broadcast.h"
#include "notice.h"

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const char *devices = getenv("SNOOZE_TERMINAL_DEVICES") ?: "/dev"; /* another folder, for tests */
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        char notice[NOTICE_SIZE], text[NOTICE_SIZE + 16];
        const char *type = snooze_plugin_dictionary_get_string(event, "type", "");
        Broadcast broadcasted;
        int r;

        if (strcmp(type, EVENT_STOP_PENDING) != 0 && strcmp(type, EVENT_NOTICE) != 0)
                return snooze_plugin_call_set_answer(call, false);

        /* That its own stop was called off the daemon says with an event of its own. */
        if (snooze_plugin_dictionary_get_bool(event, "cancelled", false) &&
            strcmp(snooze_plugin_dictionary_get_string(event, "source", ""), "snoozed") == 0) {
                snooze_plugin_dictionary_set_string(result, "status", "cancelled");
                return snooze_plugin_call_set_answer(call, false);
        }

        notice_write(event, clock_realtime(), notice, sizeof(notice));
        /* A line of its own, also in the middle of a program's picture, and a bell for who looks elsewhere. */
        snprintf(text, sizeof(text), "\r\n\a%s\r\n", notice);
        r = broadcast(devices, text, strlen(text), &broadcasted);
        if (r < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "Cannot read %s: %s", devices,
                                               strerror(-r));

        snooze_plugin_log(LOG_INFO, "Told %u terminals (%u closed by mesg n, %u stopped): %s", broadcasted.told,
                          broadcasted.closed, broadcasted.stopped, notice);
        snooze_plugin_dictionary_set_uint(result, "terminals", broadcasted.told);
        snooze_plugin_dictionary_set_uint(result, "closed", broadcasted.closed);
        snooze_plugin_dictionary_set_uint(result, "stopped", broadcasted.stopped);
        return snooze_plugin_call_set_answer(call, broadcasted.told > 0);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = { { NULL } };
        static const char *const events[] = { EVENT_STOP_PENDING, EVENT_NOTICE, NULL };
        static const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "terminal",
                .version = PACKAGE_VERSION,
                .description = "Tells every terminal that the machine is about to stop.",
                .settings = settings,
                .supported_events = events,
                .handle_event = handle_event,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
