/* SPDX-License-Identifier: Apache-2.0 */

/* What becomes of processes that nobody asks anything. One that should be there and was not heard for a while is asked
 * whether it lives; one that was not needed for a while gets its channel closed, so that it may leave. One timer for
 * all, and none while none runs; it gives the loop room to come along with another wake-up. */

#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

#define CARE_INTERVAL (30 * USEC_PER_SEC)
#define SILENCE_MAX (2 * USEC_PER_MINUTE)
#define CHANNEL_IDLE (3 * USEC_PER_MINUTE)

static gboolean has_passed(uint64_t since, uint64_t now, uint64_t limit) {
        return usec_sub(now, since) >= limit;
}

static void look_after(PluginProcess *process, uint64_t now) {
        const PluginsParameters *parameters = &process->plugin->plugins->parameters;
        gboolean idle = g_queue_is_empty(&process->in_flight) && g_queue_is_empty(&process->controls);

        if (!process->ready || !idle)
                return;
        /* A source of events speaks up by itself, over the channel. */
        if (process->channel && !manifest_has_contract(process->manifest, "EventSource") &&
            has_passed(process->last_used, now,
                       parameters->channel_idle > 0 ? parameters->channel_idle : CHANNEL_IDLE))
                process_close_channel(process);
        else if (process->channel_state != CHANNEL_CLOSED &&
                 has_passed(process->last_heard, now, parameters->silence > 0 ? parameters->silence : SILENCE_MAX))
                process_suspect(process);
}

static int on_care(sd_event_source *source, uint64_t usec, void *userdata) {
        Plugins *plugins = userdata;
        uint64_t now = clock_monotonic();
        gboolean any = FALSE;

        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (plugin->state != PLUGIN_RUNNING)
                        continue;
                any = TRUE;
                look_after(plugin->process, now);
                if (plugin->state == PLUGIN_RUNNING)
                        limits_watch_sample(plugin->watch);
        }
        plugins->care = sd_event_source_disable_unref(plugins->care);
        if (any)
                plugins_care(plugins);
        return 0;
}

void plugins_care(Plugins *plugins) {
        const PluginsParameters *parameters = &plugins->parameters;
        uint64_t interval = CARE_INTERVAL;

        if (plugins->care)
                return;
        if (parameters->channel_idle > 0)
                interval = MIN(interval, parameters->channel_idle);
        if (parameters->silence > 0)
                interval = MIN(interval, parameters->silence);
        (void) sd_event_add_time_relative(parameters->event, &plugins->care, CLOCK_MONOTONIC, interval, interval,
                                          on_care, plugins);
}

static void on_ping(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        PluginProcess *process = userdata;

        process->pinging = FALSE;
        if (plugin->state != PLUGIN_DRAINING && error && sd_bus_error_has_name(error, ERROR_TIMED_OUT))
                process_fail(process, "hangs: it answers nothing any more");
}

void process_suspect(PluginProcess *process) {
        if (!process->ready || process->pinging)
                return;
        process->pinging = TRUE;
        process_call(process, PLUGIN_INTERFACE, "Ping", process_timeout(process, TIMEOUT_CHECK), NULL, on_ping,
                     process);
}
