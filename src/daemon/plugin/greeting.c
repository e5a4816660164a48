/* SPDX-License-Identifier: Apache-2.0 */

/* From "its name is on the bus" to "it may be asked": who is it, which API does it speak, does it take its
 * configuration? And the configuration that changes later. */

#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"
#include "util/json.h"

static int append_handshake(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "us", PLUGIN_API_VERSION, PACKAGE_VERSION);
}

static int append_sent(sd_bus_message *message, void *userdata) {
        PluginProcess *process = userdata;
        g_auto(GStrv) hints = schema_hints(process->manifest->schema);

        return dictionary_append(message, process->sent, (const char *const *) hints);
}

static void on_initialized(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        PluginProcess *process = userdata;

        if (error) {
                process_fail(process, "refused its configuration: %s", error->message);
                return;
        }
        process_open_channel(process);
}

static void on_handshake(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        PluginProcess *process = userdata;
        g_autofree char *problem = NULL;
        g_autoptr(GError) e = NULL;
        g_autoptr(Settings) settings = NULL;
        int r;

        if (error) {
                process_fail(process, "refused the greeting: %s", error->message);
                return;
        }
        r = reply_read_greeting(process->manifest, reply, &process->state_held, &process->version, &problem);
        if (plugin->dismissed && r >= 0) {
                process_dismiss(process, "is sent away");
                return;
        }
        if (process->outdated && r >= 0) {
                process_outdated(process, "runs with what its files were, or it was allowed, when it was started");
                return;
        }
        if (process->adopted && r > 0) {
                process_outdated(process, problem);
                return;
        }
        if (r != 0) {
                process_fail(process, "%s", problem);
                return;
        }
        settings = plugin_settings(plugin, process->manifest, &e);
        /* What is configured may be meant for the version that is to take its place: it keeps what it has. */
        if (!settings && plugin->behind) {
                process_open_channel(process);
                return;
        }
        if (!settings) {
                process_fail(process, "is not configured well: %s", e->message);
                return;
        }
        g_clear_pointer(&process->sent, json_object_unref);
        process->sent = json_object_ref(settings->values);
        process_call(process, PLUGIN_INTERFACE, "Initialize", process_timeout(process, TIMEOUT_INITIALIZE),
                     append_sent, on_initialized, process);
}

static void on_identity(const char *message, pid_t pid, void *userdata) {
        PluginProcess *process = userdata;

        process->identity = NULL;
        if (message) {
                process_fail(process, "is not who it should be: %s", message);
                return;
        }
        process->peer = g_steal_pointer(&process->candidate);
        process->pid = pid;
        if (pid > 0)
                process->pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (!process->unsure || !process_compare_age(process))
                process_identified(process);
}

void process_identified(PluginProcess *process) {
        if (process->hooks->identified(process))
                process_call(process, PLUGIN_INTERFACE, "Handshake", process_timeout(process, TIMEOUT_INITIALIZE),
                             append_handshake, on_handshake, process);
}

void process_greet(PluginProcess *process, const char *unique_name) {
        Plugin *plugin = process->plugin;
        Plugins *plugins = plugin->plugins;

        if (process->identity || process->peer)
                return;
        process->start = start_cancel(process->start);
        g_free(process->candidate);
        process->candidate = g_strdup(unique_name);
        process->identity = identity_begin(plugins->parameters.bus, starter_systemd(plugins->starter), plugin->id,
                                           g_strcmp0(plugin->owner, unique_name) == 0 ? plugin->name : NULL,
                                           process->unit, unique_name, on_identity, process);
        if (!process->identity)
                process_fail(process, "the bus could not be asked who it is");
}

static void on_configured(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (error) {
                g_autofree char *message = g_strdup_printf("refused its new configuration: %s", error->message);

                plugins_problem(plugin->plugins, plugin->id, message);
        }
}

void process_configure(PluginProcess *process, Settings *settings) {
        if (json_objects_equal(settings->values, process->sent))
                return;
        /* One that was found with a configuration meant for the version to come was sent none. */
        g_clear_pointer(&process->sent, json_object_unref);
        process->sent = json_object_ref(settings->values);
        process_call(process, PLUGIN_INTERFACE, "Configure", process_timeout(process, TIMEOUT_INITIALIZE), append_sent,
                     on_configured, process);
}

static void on_limited(const char *message, void *userdata) {
        Plugin *plugin = userdata;

        plugin->limiting = NULL;
        if (message)
                plugins_problem(plugin->plugins, plugin->id, message);
}

static void apply_limits(Plugin *plugin) {
        plugin->limiting = limits_cancel(plugin->limiting);
        if (limits_needed(plugin))
                plugin->limiting = limits_tell(plugin, on_limited, plugin);
}

void plugin_reconfigure(Plugin *plugin) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Settings) settings = NULL;

        if (!plugin_may_run(plugin)) {
                drain_end(plugin, "plugins are turned off");
                /* One that waits for its restart waits no more. */
                if (plugin_active(plugin) || plugin_awaited(plugin) ||
                    (plugin->state == PLUGIN_FAILED && plugin->timer))
                        plugin_leave(plugin, "plugins are turned off");
                plugin_tell_obstacle(plugin);
                return;
        }
        if (!plugin->manifest || plugin->state != PLUGIN_RUNNING || !plugin->process)
                return;
        apply_limits(plugin);
        settings = plugin_settings(plugin, plugin->manifest, &error);
        if (settings)
                process_configure(plugin->process, settings);
        /* While another version is about to take its place it is that which has to take it. */
        else if (!plugin->behind)
                plugins_problem(plugin->plugins, plugin->id, error->message);
}
