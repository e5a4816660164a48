/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/process.h"

#include <errno.h>
#include <poll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"

PluginProcess *process_new(Plugin *plugin, PluginSlot slot, Manifest *manifest, const ProcessHooks *hooks) {
        PluginProcess *process = g_new0(PluginProcess, 1);

        *process = (PluginProcess) { .plugin = plugin,
                                     .hooks = hooks,
                                     .slot = slot,
                                     .unit = plugin->units[slot],
                                     .manifest = manifest_ref(manifest),
                                     .pidfd = -EBADF };
        g_queue_init(&process->controls);
        g_queue_init(&process->in_flight);
        g_queue_init(&process->refused);
        process->transfers = g_ptr_array_new();
        return process;
}

void process_free(PluginProcess *process) {
        if (!process)
                return;
        state_forget_process(process);
        process_calls_free(process);
        sd_bus_slot_unref(process->announcements);
        channel_free(process->channel);
        if (process->native)
                native_stop(process->native);
        provision_cancel(process->provisioning);
        limits_cancel(process->limiting);
        start_cancel(process->start);
        identity_cancel(process->identity);
        sd_event_source_disable_unref(process->end_source);
        sd_event_source_disable_unref(process->leaving_timer);
        sd_bus_slot_unref(process->question);
        safe_close(process->pidfd);
        g_clear_pointer(&process->sent, json_object_unref);
        g_free(process->candidate);
        g_free(process->version);
        g_ptr_array_unref(process->transfers);
        origin_forget(process);
        if (process->peer) {
                g_free(process->plugin->gone[process->slot]);
                process->plugin->gone[process->slot] = g_steal_pointer(&process->peer);
        }
        manifest_free(process->manifest);
        g_free(process);
}

static void on_started(const char *message, void *userdata) {
        PluginProcess *process = userdata;

        process->start = NULL;
        if (message) {
                /* What the helper made may have been taken away again. */
                g_clear_pointer(&process->plugin->provisioned[process->slot], g_free);
                process_fail(process, "%s", message);
        } else {
                process->started = TRUE;
                process->hooks->started(process);
        }
}

static gboolean start_unit(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        /* What runs there is ended first. */
        if (starter_systemd(plugin->plugins->starter) && starter_renews(plugin->plugins->starter, process->unit))
                process->unsure = FALSE;
        process->start = starter_begin(plugin->plugins->starter,
                                       process->by_slot ? plugin->slot_names[process->slot] : plugin->name,
                                       process->unit, plugin->failure_count > 0, on_started, process);
        return process->start != NULL;
}

static void on_limited(const char *message, void *userdata) {
        PluginProcess *process = userdata;

        process->limiting = NULL;
        if (message)
                process_fail(process, "%s", message);
        else if (!start_unit(process))
                process_fail(process, "could not be started: the bus takes no message");
}

static gboolean start_limited(PluginProcess *process) {
        if (!limits_needed(process->plugin))
                return start_unit(process);
        process->limiting = limits_tell(process->plugin, on_limited, process);
        return process->limiting != NULL;
}

static void on_provisioned(Plugin *plugin, const char *error, const char *message, void *userdata) {
        PluginProcess *process = userdata;

        process->provisioning = NULL;
        /* The deadline is for what begins now. */
        if (process == plugin->process && plugin->state == PLUGIN_LOADING)
                plugin_set_timer(plugin, plugin_timeout(plugin, TIMEOUT_START));
        if (error)
                process_fail(process, "%s", message);
        else if (!start_limited(process))
                process_fail(process, "could not be started: the bus takes no message");
}

static gboolean has_ended(const PluginProcess *process) {
        struct pollfd end = { .fd = process->pidfd, .events = POLLIN };

        return process->pidfd >= 0 && poll(&end, 1, 0) > 0;
}

gboolean process_lives(const PluginProcess *process) {
        return process->pidfd >= 0 && !has_ended(process);
}

void process_kill(PluginProcess *process) {
        if (process->native)
                return; /* it is ours: what runs in it cannot be ended */
        if (process == process->plugin->process && !has_ended(process))
                limits_watch_killed(process->plugin->watch);
        starter_kill(process->plugin->plugins->starter, process->unit, process->pidfd);
}

void process_end(PluginProcess **place, gboolean kill, const char *reason) {
        PluginProcess *process = g_steal_pointer(place);

        if (!process)
                return;
        if (kill)
                process_kill(process);
        process_calls_lost(process, reason);
        process_free(process);
}

void process_fail(PluginProcess *process, const char *format, ...) {
        g_autofree char *reason = NULL;
        va_list ap;

        va_start(ap, format);
        reason = g_strdup_vprintf(format, ap);
        va_end(ap);
        process->hooks->failed(process, reason);
}

static void on_leaving(void *userdata) {
        PluginProcess *process = userdata;

        process->hooks->leaving(process);
}

static void on_broken(const char *reason, void *userdata) {
        process_fail(userdata, "%s", reason);
}

static bool on_announced(sd_bus_message *signal, void *userdata) {
        return process_announces(userdata, signal);
}

static const ChannelHooks channel_hooks = { on_leaving, on_broken, on_announced };

static gboolean connect_native(PluginProcess *process, GError **error) {
        Plugin *plugin = process->plugin;
        g_autofree char *problem = NULL;
        _cleanup_close_ int fd = -EBADF;

        if (!plugin->native)
                plugin->native = native_load(process->manifest->exec, plugin->plugins->trusted_uid, error);
        if (!plugin->native)
                return FALSE;
        fd = native_start(plugin->native, plugin->plugins->parameters.event, error);
        if (fd < 0)
                return FALSE;
        process->native = plugin->native;
        if (channel_new(plugin->plugins->parameters.event, fd, 0,
                        manifest_has_contract(process->manifest, "DataProcessor"),
                        process_timeout(process, TIMEOUT_INITIALIZE), &channel_hooks, process, &process->channel,
                        &problem) >= 0)
                return TRUE;
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE, "its channel %s", problem);
        return FALSE;
}

/* Nothing is started and nobody has to be identified: it is greeted at once. */
static void start_native(PluginProcess *process) {
        g_autoptr(GError) error = NULL;

        if (!connect_native(process, &error)) {
                process_fail(process, "could not be loaded into the daemon: %s", error->message);
                return;
        }
        process->channel_state = CHANNEL_OPEN;
        process->peer = g_strdup(SNOOZE_NAME);
        process_identified(process);
}

uint64_t process_timeout(const PluginProcess *process, PluginTimeout timeout) {
        return plugins_timeout(process->plugin->plugins, process->manifest, timeout);
}

gboolean process_start(PluginProcess *process) {
        process->adopted = FALSE;
        if (plugin_is_native(process->plugin)) {
                start_native(process);
                return TRUE;
        }
        if (!provision_needed(process->plugin, process->manifest, process->slot))
                return start_limited(process);
        process->provisioning =
                provision_begin(process->plugin, process->manifest, process->slot, on_provisioned, process);
        return process->provisioning != NULL;
}

/* FALSE: it failed. */
static gboolean take_channel(PluginProcess *process, sd_bus_message *reply) {
        sd_event *event = process->plugin->plugins->parameters.event;
        g_autofree char *problem = NULL;
        int fd;

        if (reply_read_descriptor(reply, &fd, &problem) < 0 ||
            channel_new(event, fd, process->pid, manifest_has_contract(process->manifest, "DataProcessor"),
                        process_timeout(process, TIMEOUT_INITIALIZE), &channel_hooks, process, &process->channel,
                        &problem) < 0) {
                process_fail(process, "gave a channel that %s", problem);
                return FALSE;
        }
        process->channel_state = CHANNEL_OPEN;
        process->last_used = process->last_heard = clock_monotonic();
        return TRUE;
}

static void become_ready(PluginProcess *process) {
        if (process->ready)
                return;
        process->ready = TRUE;
        process->hooks->ready(process);
}

/* One that offers no channel is called over the bus; whatever else it says about that is for the log. */
static void on_channel(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        PluginProcess *process = userdata;

        /* One that is on its way out has a deadline for that. */
        if (sd_bus_error_has_name(error, ERROR_TIMED_OUT) && plugin->state != PLUGIN_DRAINING) {
                process_fail(process, "did not open its channel in time");
                return;
        }
        if (sd_bus_error_has_name(error, ERROR_NOT_RUNNING)) {
                process->channel_state = CHANNEL_CLOSED;
                process->hooks->leaving(process);
                return;
        }
        if (!error && !take_channel(process, reply))
                return;
        if (error) {
                log_debug("Plugin %s is called over the bus: %s", plugin->id, error->message);
                process->channel_state = CHANNEL_NONE;
        }
        become_ready(process);
}

void process_open_channel(PluginProcess *process) {
        if (process->channel) {
                become_ready(process);
                return;
        }
        process->channel_state = CHANNEL_OPENING;
        process_call(process, PLUGIN_INTERFACE, "OpenChannel", process_timeout(process, TIMEOUT_INITIALIZE), NULL,
                     on_channel, process);
}

void process_close_channel(PluginProcess *process) {
        if (process->channel_state != CHANNEL_OPEN || (process->native && process->plugin->state != PLUGIN_DRAINING))
                return;
        process->channel = channel_free(process->channel);
        process->channel_state = CHANNEL_CLOSED;
}

sd_bus *process_bus(const PluginProcess *process) {
        return process->channel ? channel_bus(process->channel) : process->plugin->plugins->parameters.bus;
}
