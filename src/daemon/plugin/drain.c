/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/drain.h"

#include <string.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

/* What it was asked and may be asked again waits for the one that serves. Where none does, or is about to, nobody else
 * comes to look at it. */
static gboolean is_left_over(const Plugin *plugin) {
        return !g_queue_is_empty((GQueue *) &plugin->calls) && !plugin_active(plugin) && !plugin_awaited(plugin) &&
               !(plugin->state == PLUGIN_FAILED && plugin->timer);
}

/* Its slot is free: what waited for that goes on. What is made known to the system for that slot was its version's for
 * as long as it ran there. */
static gboolean end(Plugin *plugin, gboolean kill, const char *reason) {
        if (!plugin->previous)
                return FALSE;
        process_end(&plugin->previous, kill, reason);
        swap_previous_left(plugin);
        if (!plugin->swap)
                version_settle(plugin);
        plugin_look_again(plugin);
        plugin_pump(plugin);
        return TRUE;
}

/* As for one that is asked now. */
static void end_by_itself(Plugin *plugin, gboolean kill, const char *reason) {
        if (!end(plugin, kill, reason) || !is_left_over(plugin))
                return;
        if ((plugin->state == PLUGIN_DISCOVERED || plugin->state == PLUGIN_STOPPED) && plugin_may_run(plugin))
                plugin_begin(plugin);
        else
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
}

static int on_time_over(sd_event_source *source, uint64_t usec, void *userdata);

static void await_end(PluginProcess *previous) {
        if (!previous->leaving_timer)
                (void) sd_event_add_time_relative(previous->plugin->plugins->parameters.event,
                                                  &previous->leaving_timer, CLOCK_MONOTONIC,
                                                  process_timeout(previous, TIMEOUT_SHUTDOWN), 0, on_time_over,
                                                  previous);
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        PluginProcess *previous = userdata;

        previous->end_source = sd_event_source_disable_unref(previous->end_source);
        await_end(previous);
        drain_go_on(previous->plugin);
        return 0;
}

static int on_time_over(sd_event_source *source, uint64_t usec, void *userdata) {
        PluginProcess *previous = userdata;

        log_warning("Plugin %s: version %s did not end in time and was killed", previous->plugin->id,
                    previous->manifest->version);
        end_by_itself(previous->plugin, TRUE, "the version that was asked did not end in time");
        return 0;
}

/* The last that it said may lie unread where it came from, which tells of the end as well. */
static gboolean has_said_all(const PluginProcess *previous) {
        return previous->pidfd >= 0 && !process_lives(previous) && process_count_calls(previous) == 0;
}

static void on_leaving(PluginProcess *previous) {
        drain_go_on(previous->plugin);
}

/* Whatever is wrong with it, it may live. */
static void on_failed(PluginProcess *previous, const char *reason) {
        if (process_count_calls(previous) > 0)
                log_warning("Plugin %s: version %s, which was replaced and had calls to finish, %s",
                            previous->plugin->id, previous->manifest->version, reason);
        end_by_itself(previous->plugin, TRUE, reason);
}

static const ProcessHooks draining = { .leaving = on_leaving, .failed = on_failed };

static void on_shutdown(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        /* What counts is that it goes; one that refuses has until the deadline. */
}

/* One that works at a call and looks at nothing else hears of it when it has answered: that is no failure of it. One
 * that is called over the bus has no more than one call at a time, of whichever kind. */
static void ask_to_leave(PluginProcess *previous) {
        if (previous->farewell == FAREWELL_SHUTDOWN || (!previous->channel && process_count_calls(previous) > 0))
                return;
        previous->farewell = FAREWELL_SHUTDOWN;
        process_call(previous, PLUGIN_INTERFACE, "Shutdown", USEC_INFINITY, NULL, on_shutdown, NULL);
}

void drain_begin(Plugin *plugin) {
        PluginProcess *previous = plugin->previous;

        previous->hooks = &draining;
        if (previous->pidfd >= 0)
                (void) sd_event_add_io(plugin->plugins->parameters.event, &previous->end_source, previous->pidfd,
                                       EPOLLIN, on_ended, previous);
        drain_go_on(plugin);
}

/* Its channel is closed only when the name has gone over: it ends then, and to end takes a process longer than
 * everything else here. */
void drain_go_on(Plugin *plugin) {
        PluginProcess *previous = plugin->previous;

        if (!previous)
                return;
        if (has_said_all(previous)) {
                end_by_itself(plugin, FALSE, "the version that was asked has ended");
                return;
        }
        ask_to_leave(previous);
        if (process_count_calls(previous) == 0)
                await_end(previous);
        if (g_queue_is_empty(&previous->in_flight) && !drain_has_name(plugin))
                process_close_channel(previous);
}

void drain_end(Plugin *plugin, const char *reason) {
        if (end(plugin, TRUE, reason) && is_left_over(plugin))
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, reason);
}

void drain_end_before(Plugin *plugin, const char *reason) {
        (void) end(plugin, TRUE, reason);
}

gboolean drain_has_name(const Plugin *plugin) {
        return plugin->owner && plugin->previous && g_strcmp0(plugin->owner, plugin->previous->peer) == 0;
}

char *drain_in_words(const Plugin *plugin) {
        const PluginProcess *previous = plugin->previous;
        unsigned calls = previous ? process_count_calls(previous) : 0;

        if (!previous)
                return NULL;
        if (calls == 0)
                return g_strdup_printf("version %s, which was replaced, is about to leave",
                                       previous->manifest->version);
        return g_strdup_printf("version %s, which was replaced, has %u %s to finish", previous->manifest->version,
                               calls, calls == 1 ? "call" : "calls");
}
