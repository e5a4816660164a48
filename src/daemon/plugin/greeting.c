/* SPDX-License-Identifier: Apache-2.0 */

/* From "its name is on the bus" to "it may be asked": who is it, which API does it speak, does it take its configuration? And the
 * configuration that changes later. */

#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "util/json.h"

static int append_handshake(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "us", PLUGIN_API_VERSION, PACKAGE_VERSION);
}

static int append_sent(sd_bus_message *message, void *userdata) {
        Plugin *plugin = userdata;
        g_auto(GStrv) hints = schema_hints(plugin->manifest->schema);

        return dictionary_append(message, plugin->sent, (const char *const *) hints);
}

static void on_initialized(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (plugin->state != PLUGIN_INITIALIZING)
                return;
        if (error) {
                plugin_fail(plugin, "refused its configuration: %s", error->message);
                return;
        }
        plugin->failure_count = 0;
        plugin->restart_wanted = FALSE;
        plugin_set_error(plugin, "");
        plugin->healthy = TRUE;
        if (plugin_set_state(plugin, PLUGIN_RUNNING, "greeted and configured") && plugin->state == PLUGIN_RUNNING)
                plugin_pump(plugin);
}

/* The contracts that it names must cover the manifest's; more are not used. */
static const char *missing_contract(const Plugin *plugin, JsonObject *info) {
        JsonArray *served = json_get_array(info, "contracts");

        for (char **contract = plugin->manifest->contracts; served && *contract; contract++) {
                gboolean found = FALSE;

                for (guint i = 0; i < json_array_get_length(served) && !found; i++) {
                        JsonNode *node = json_array_get_element(served, i);

                        found = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                                g_str_equal(json_node_get_string(node), *contract);
                }
                if (!found)
                        return *contract;
        }
        return NULL;
}

static gboolean greeting_fits(Plugin *plugin, sd_bus_message *reply) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) info = NULL;
        const char *id, *missing;
        uint32_t api;

        if (sd_bus_message_read(reply, "u", &api) < 0 ||
            dictionary_read(reply, &dictionary_limits_default, &info, &error) < 0) {
                plugin_fail(plugin, "answered the greeting with rubbish: %s", error.message ?: "no dictionary");
                return FALSE;
        }
        if (api != PLUGIN_API_VERSION && (api == 0 || api != PLUGIN_API_VERSION - 1)) {
                plugin_fail(plugin, "speaks version %u of the plugin API, expected %u", api, PLUGIN_API_VERSION);
                return FALSE;
        }
        id = json_get_string(info, "id", plugin->id);
        if (!g_str_equal(id, plugin->id)) {
                plugin_fail(plugin, "says that it is %s, expected %s", id, plugin->id);
                return FALSE;
        }
        missing = missing_contract(plugin, info);
        if (missing) {
                plugin_fail(plugin, "does not serve the contract %s of its manifest", missing);
                return FALSE;
        }
        return TRUE;
}

static void on_handshake(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autoptr(GError) e = NULL;
        g_autoptr(Settings) settings = NULL;

        if (plugin->state != PLUGIN_INITIALIZING)
                return;
        if (error) {
                plugin_fail(plugin, "refused the greeting: %s", error->message);
                return;
        }
        if (!greeting_fits(plugin, reply))
                return;
        settings = plugin_settings(plugin, &e);
        if (!settings) {
                plugin_fail(plugin, "is not configured well: %s", e->message);
                return;
        }
        g_clear_pointer(&plugin->sent, json_object_unref);
        plugin->sent = json_object_ref(settings->values);
        plugin_control(plugin, "Initialize", plugin->manifest->timeouts[TIMEOUT_INITIALIZE], append_sent, on_initialized,
                       plugin);
}

static void on_identity(const char *message, pid_t pid, void *userdata) {
        Plugin *plugin = userdata;

        plugin->identity = NULL;
        if (plugin->state != PLUGIN_LOADING)
                return;
        if (message) {
                plugin_fail(plugin, "is not who it should be: %s", message);
                return;
        }
        g_free(plugin->peer);
        plugin->peer = g_strdup(plugin->owner);
        plugin->pid = pid;
        plugin->pidfd = safe_close(plugin->pidfd);
        if (pid > 0)
                plugin->pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (plugin_set_state(plugin, PLUGIN_INITIALIZING, "started") && plugin->state == PLUGIN_INITIALIZING)
                plugin_control(plugin, "Handshake", plugin->manifest->timeouts[TIMEOUT_INITIALIZE], append_handshake,
                               on_handshake, plugin);
}

void plugin_greet(Plugin *plugin) {
        Plugins *plugins = plugin->plugins;

        if (plugin->identity)
                return;
        plugin->start = start_cancel(plugin->start);
        plugin->identity = identity_begin(plugins->parameters.bus, starter_systemd(plugins->starter), plugin->id,
                                          plugin->name, plugin->unit, plugin->owner, on_identity, plugin);
        if (!plugin->identity)
                plugin_fail(plugin, "the bus could not be asked who it is");
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        const char *owner;

        if (plugin->state == PLUGIN_LOADING && !plugin->owner && !sd_bus_message_is_method_error(reply, NULL) &&
            sd_bus_message_read(reply, "s", &owner) >= 0)
                plugin_owner_changed(plugin, owner);
        return 0;
}

void plugin_ask_owner(Plugin *plugin) {
        plugin->owner_question = sd_bus_slot_unref(plugin->owner_question);
        (void) sd_bus_call_method_async(plugin->plugins->parameters.bus, &plugin->owner_question, "org.freedesktop.DBus",
                                        "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner", on_owner,
                                        plugin, "s", plugin->name);
}

static void on_configured(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (error) {
                g_autofree char *message = g_strdup_printf("refused its new configuration: %s", error->message);

                plugins_problem(plugin->plugins, plugin->id, message);
        }
}

static gboolean same_values(JsonObject *a, JsonObject *b) {
        g_autoptr(JsonNode) left = json_node_init_object(json_node_alloc(), a);
        g_autoptr(JsonNode) right = json_node_init_object(json_node_alloc(), b);

        return json_node_equal(left, right);
}

void plugin_reconfigure(Plugin *plugin) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Settings) settings = NULL;

        if (!plugin_may_run(plugin)) {
                if (plugin_active(plugin))
                        plugin_leave(plugin, "plugins are turned off");
                return;
        }
        if (!plugin->manifest || plugin->state != PLUGIN_RUNNING || !plugin->sent)
                return;
        settings = plugin_settings(plugin, &error);
        if (!settings) {
                plugins_problem(plugin->plugins, plugin->id, error->message);
                return;
        }
        if (same_values(settings->values, plugin->sent))
                return;
        json_object_unref(plugin->sent);
        plugin->sent = json_object_ref(settings->values);
        plugin_control(plugin, "Configure", plugin->manifest->timeouts[TIMEOUT_INITIALIZE], append_sent, on_configured,
                       plugin);
}
