/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's side of native plugins: serves a table in the daemon's own loop. What goes over a plugin's channel goes
 * over one here, too, so that every contract runs the same way; CheckIdle alone, which is asked every minute, can be
 * called without a message. Not installed: it changes with the daemon, which finds these functions by their names in
 * what the loaded object brings along. */

#include <snooze/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct SnoozePluginNative SnoozePluginNative;

typedef struct SnoozePluginNativeVote {
        int result;           /* 0, or a negative errno: then error says why */
        const char *error;
        SnoozePluginVerdict verdict;
        const char *reason;
        const SnoozePluginDictionary *details; /* NULL: none */
} SnoozePluginNativeVote;

typedef void (*SnoozePluginNativeAnswer)(const SnoozePluginNativeVote *vote, void *userdata);

/* Serves the table on this end of a socket pair, which belongs to it from here on. 0 or a negative errno. */
int snooze_plugin_native_new(const SnoozePlugin *table, sd_event *event, int fd, SnoozePluginNative **ret);
/* Ends it: the plugin is told to shut down, and freed as soon as nothing of it is under way; then gone is called,
 * perhaps at once. */
void snooze_plugin_native_release(SnoozePluginNative *native, void (*gone)(void *userdata), void *userdata);

/* Asks CheckIdle; answer is called once, perhaps at once. 0, or a negative errno: it cannot be asked, answer is not
 * called. */
int snooze_plugin_native_check_idle(SnoozePluginNative *native, const SnoozePluginDictionary *metrics,
                                    SnoozePluginNativeAnswer answer, void *userdata);

/* An a{sv} of a message as a dictionary, to be freed, and back. */
int snooze_plugin_native_read(sd_bus_message *message, SnoozePluginDictionary **ret);
int snooze_plugin_native_append(sd_bus_message *message, const SnoozePluginDictionary *dictionary);

#ifdef __cplusplus
}
#endif
