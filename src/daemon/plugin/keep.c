/* SPDX-License-Identifier: Apache-2.0 */

/* A state that changes while its plugin runs is exported meanwhile, too, and not only before the plugin leaves:
 * whoever kills it, and a machine whose power fails, takes no more than what came since. The first change sets the
 * time and not the last, so that one who is asked all the time is kept as often as one who is asked now and then. */

#include "base/clock.h"
#include "base/journal.h"
#include "daemon/plugin/plugin.h"

/* After a request or an event, which may have been meant to last, or was told and must not be told anew. */
#define KEEP_SOON (2 * USEC_PER_SEC)
/* While it is at an event: what it has begun must be known to the process after it, which is asked again. */
#define KEEP_AT_WORK (200 * USEC_PER_MSEC)
/* After a check, which at most teaches it a little more. */
#define KEEP_LATER (10 * USEC_PER_MINUTE)

static void keep_after(Plugin *plugin, uint64_t delay);

/* What stays wrong is a Problem when it leaves. One that blocks while it handles an event is asked after it. */
static void on_kept(PluginProcess *process, const char *problem, void *userdata) {
        if (problem && process->plugin->handling == 0)
                log_warning("Plugin %s, while it runs on: %s", process->plugin->id, problem);
}

/* One that has not answered yet is not asked once more; one that is called over the bus is done with the other call
 * first, and nobody waits behind this one. */
static gboolean is_busy(const PluginProcess *process) {
        return process->transfers->len > 0 || (!process->channel && process->in_flight.length > 0);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Plugin *plugin = userdata;

        plugin->keep = sd_event_source_disable_unref(plugin->keep);
        if (plugin->state != PLUGIN_RUNNING || !plugin->process)
                return 0;
        if (swap_carries_state(plugin) || is_busy(plugin->process))
                keep_after(plugin, KEEP_SOON);
        else
                state_save_running(plugin->process, on_kept, NULL);
        if (plugin->handling > 0)
                keep_after(plugin, KEEP_SOON);
        return 0;
}

static void keep_after(Plugin *plugin, uint64_t delay) {
        uint64_t at = usec_add(clock_monotonic(), delay);

        if (plugin->keep && plugin->keep_at <= at)
                return;
        plugin->keep = sd_event_source_disable_unref(plugin->keep);
        plugin->keep_at = at;
        (void) sd_event_add_time(plugin->plugins->parameters.event, &plugin->keep, CLOCK_MONOTONIC, at, delay / 4,
                                 on_time, plugin);
}

void plugin_keep_state(Plugin *plugin, gboolean soon) {
        if (plugin->state == PLUGIN_RUNNING && plugin_has_contract(plugin, "State"))
                keep_after(plugin, soon ? KEEP_SOON : KEEP_LATER);
}

void plugin_keep_state_at_work(Plugin *plugin) {
        if (plugin->handling > 0 && plugin->state == PLUGIN_RUNNING && plugin_has_contract(plugin, "State"))
                keep_after(plugin, KEEP_AT_WORK);
}

void plugin_keep_cancel(Plugin *plugin) {
        plugin->keep = sd_event_source_disable_unref(plugin->keep);
}
