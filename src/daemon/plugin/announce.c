/* SPDX-License-Identifier: Apache-2.0 */

/* The signals of a source of events: over its channel, or, where it has none, over the bus, from the very process that
 * was identified. */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

#define USELESS_MAX 128U
#define USELESS_WINDOW (10 * USEC_PER_SEC)

gboolean process_announces(PluginProcess *process, sd_bus_message *signal) {
        Plugin *plugin = process->plugin;
        const PluginsParameters *parameters = &plugin->plugins->parameters;

        /* What the one that it replaced has to say its successor says, too. */
        if (process != plugin->process || plugin->state != PLUGIN_RUNNING || !parameters->announced ||
            plugin->plugins->freeing || !manifest_has_contract(process->manifest, "EventSource"))
                return FALSE;
        if (!parameters->announced(plugin, signal, parameters->userdata))
                return FALSE;
        /* What it announced it has to know after a crash, too, lest it announces it anew. */
        plugin_keep_state(plugin, TRUE);
        return TRUE;
}

/* The bus, where no channel can be closed on it. */
static gboolean count_useless(PluginProcess *process) {
        uint64_t now = clock_monotonic();

        if (usec_sub(now, process->useless_since) > USELESS_WINDOW) {
                process->useless_since = now;
                process->useless = 0;
        }
        return ++process->useless >= USELESS_MAX;
}

static int on_signal(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        PluginProcess *process = userdata;
        const char *sender = sd_bus_message_get_sender(signal);

        /* Anybody can send a signal that looks like this. */
        if (!sender || g_strcmp0(sender, process->peer) != 0)
                return 0;
        if (!process_announces(process, signal) && count_useless(process))
                process_fail(process, "floods the bus with what nobody asked for");
        return 1;
}

void plugin_watch(Plugin *plugin, PluginCallDone done, void *userdata) {
        PluginProcess *process = plugin->process;

        /* Before it is asked: the bus keeps the order. */
        if (process && !process->channel && process->peer && !process->announcements)
                (void) sd_bus_match_signal_async(plugin->plugins->parameters.bus, &process->announcements,
                                                 process->peer, PLUGIN_PATH, EVENT_SOURCE_INTERFACE, NULL, on_signal,
                                                 NULL, process);
        (void) plugin_call(plugin, EVENT_SOURCE_INTERFACE, "Watch", 0, FALSE, NULL, done, userdata);
}

void plugin_note_problem(Plugin *plugin, const char *problem) {
        plugin->statistics.errors++;
        plugin_set_healthy(plugin, FALSE, problem);
}
