/* SPDX-License-Identifier: Apache-2.0 */

/* How a plugin is sent away: its calls end, what it knows is kept, then it is asked to go. lifecycle.c sees it go. */

#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "daemon/store/store.h"

static void on_shutdown(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        /* What counts is that its name goes; one that refuses has until the deadline. */
}

static void ask_to_leave(PluginProcess *process) {
        uint64_t timeout = process_timeout(process, TIMEOUT_SHUTDOWN);

        process->farewell = FAREWELL_SHUTDOWN;
        plugin_set_timer(process->plugin, timeout);
        process_call(process, PLUGIN_INTERFACE, "Shutdown", timeout, NULL, on_shutdown, NULL);
}

static void on_saved(PluginProcess *process, const char *problem, void *userdata) {
        if (problem)
                plugins_problem(process->plugin->plugins, process->plugin->id, problem);
        if (process->farewell == FAREWELL_STATE)
                ask_to_leave(process);
}

static void wait_for_state(PluginProcess *process) {
        process->farewell = FAREWELL_STATE;
        plugin_set_timer(process->plugin, usec_add(process_timeout(process, TIMEOUT_EXPORT), STORE_PATIENCE));
}

void farewell_save(PluginProcess *process) {
        wait_for_state(process);
        state_save(process, on_saved, NULL);
}

void process_dismiss(PluginProcess *process, const char *reason) {
        Plugin *plugin = process->plugin;

        if (!plugin_set_state(plugin, PLUGIN_DRAINING, reason) || plugin->state != PLUGIN_DRAINING)
                return;
        if (process->state_held == STATE_HELD_LIVE) {
                process->state_unread = plugin->state_unread;
                process->state_unsure = !process->state_unread;
                wait_for_state(process);
                state_put_away(process, on_saved, NULL);
        } else
                ask_to_leave(process);
}

void process_outdated(PluginProcess *process, const char *reason) {
        log_notice("Plugin %s: %s: what is there now takes its place", process->plugin->id, reason);
        process->plugin->restart_wanted = TRUE;
        process_dismiss(process, reason);
}

void farewell_begin(Plugin *plugin) {
        PluginProcess *process = plugin->process;

        if (!process)
                return;
        process->farewell = FAREWELL_CALLS;
        plugin_hasten(plugin);
        if (!manifest_has_contract(process->manifest, "State"))
                ask_to_leave(process);
        else if (!plugin_under_way(plugin))
                farewell_save(process);
}

gboolean farewell_goes_on(Plugin *plugin) {
        PluginProcess *process = plugin->process;

        if (!process || (process->farewell != FAREWELL_CALLS && process->farewell != FAREWELL_STATE))
                return FALSE;
        if (process->farewell == FAREWELL_CALLS) {
                farewell_save(process);
                return TRUE;
        }
        plugins_problem(plugin->plugins, plugin->id, "its state was not kept: the disk does not answer");
        ask_to_leave(process);
        return TRUE;
}
