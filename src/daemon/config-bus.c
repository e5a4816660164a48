/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "daemon/config/config-check.h"
#include "daemon/manager-announce.h"
#include "daemon/manager-bus.h"
#include "manifest/limits.h"
#include "manifest/manifest.h"
#include "util/json.h"
#include "util/line.h"

#define PATCH_MAX (64U * 1024U)
/* In a row of history: bytes, and how deep plugins.plugin_configs.ID.KEY lies. */
#define KEYS_SHOWN_MAX 300
#define KEYS_DEPTH_MAX 3U

/* A plugin's manifest may call a value secret whose name does not sound like one. */
static void hide_declared_secrets(Manager *manager, JsonObject *root) {
        JsonObject *section = json_get_object(root, "plugins");
        JsonObject *configs = section ? json_get_object(section, "plugin_configs") : NULL;
        GPtrArray *plugins = plugins_list(manager->plugins);

        for (guint i = 0; configs && i < plugins->len; i++) {
                const Manifest *manifest = plugin_manifest(g_ptr_array_index(plugins, i));
                JsonObject *values = json_get_object(configs, plugin_id(g_ptr_array_index(plugins, i)));
                GPtrArray *settings = manifest && values ? schema_settings(manifest->schema) : NULL;

                for (guint n = 0; settings && n < settings->len; n++) {
                        const Setting *setting = g_ptr_array_index(settings, n);

                        if (setting->secret && json_object_has_member(values, setting->name))
                                json_object_set_string_member(values, setting->name, "(hidden)");
                }
        }
}

int method_get_configuration(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_autoptr(JsonNode) node = config_to_json(manager->config);
        g_autofree char *text = NULL;

        hide_declared_secrets(manager, json_node_get_object(node));
        text = json_text_compact(node);
        return sd_bus_reply_method_return(message, "s", text);
}

int method_get_configuration_origins(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *pointer, *origin;
        GHashTableIter iter;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "{ss}");
        g_hash_table_iter_init(&iter, manager->config->origins);
        while (r >= 0 && g_hash_table_iter_next(&iter, (void **) &pointer, (void **) &origin))
                r = sd_bus_message_append(reply, "{ss}", pointer, origin);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int config_change_refused(int r, sd_bus_error *error) {
        if (r == -EDQUOT)
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED,
                                        "Too many changes of the configuration wait for the disk; try again.");
        if (r == -ESTALE)
                return sd_bus_error_set(error, ERROR_BUSY,
                                        "Nothing is changed: a later change of the configuration was begun while "
                                        "plugins were asked about this one; try again.");
        return sd_bus_error_setf(error, ERROR_STORE, "The change could not be kept: %s", strerror(-r));
}

void config_change_reply(sd_bus_message *call, const GError *error) {
        if (!error)
                (void) sd_bus_reply_method_return(call, NULL);
        else
                (void) sd_bus_reply_method_errorf(
                        call, error->domain == CONFIG_ERROR ? ERROR_INVALID_CONFIGURATION : ERROR_STORE, "%s",
                        error->message);
}

/* Where in the configuration: /naptime_minutes, /plugins/limits/redis. */
static void add_keys(GString *keys, const char *parent, JsonObject *patch, unsigned depth) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *value;

        json_object_iter_init_ordered(&iter, patch);
        while (keys->len < KEYS_SHOWN_MAX && json_object_iter_next_ordered(&iter, &member, &value)) {
                g_autofree char *pointer = config_pointer(parent, member);

                if (JSON_NODE_HOLDS_OBJECT(value) && depth < KEYS_DEPTH_MAX &&
                    json_object_get_size(json_node_get_object(value)) > 0)
                        add_keys(keys, pointer, json_node_get_object(value), depth + 1);
                else
                        g_string_append_printf(keys, "%s%s", keys->len > 0 ? ", " : "", pointer);
        }
}

/* Borrowed; NULL: it was called without one. */
static const char *patch_of(sd_bus_message *call) {
        const char *text;

        if (sd_bus_message_rewind(call, true) < 0 || !sd_bus_message_has_signature(call, "s") ||
            sd_bus_message_read(call, "s", &text) < 0)
                return NULL;
        return text;
}

static JsonNode *parse_patch(const char *text, GError **error) {
        return json_text_parse("json_merge_patch", text, -1, error);
}

/* The patch may hold secrets: what was changed, but not to what. */
static char *keys_of(sd_bus_message *call) {
        g_autoptr(GString) keys = g_string_new(NULL);
        const char *text = patch_of(call);
        g_autoptr(JsonNode) patch = text ? parse_patch(text, NULL) : NULL;

        if (patch && JSON_NODE_HOLDS_OBJECT(patch))
                add_keys(keys, "", json_node_get_object(patch), 0);
        if (keys->len > KEYS_SHOWN_MAX) {
                g_string_truncate(keys, (gsize) line_cut(keys->str, KEYS_SHOWN_MAX));
                g_string_append(keys, "…");
        }
        line_clean(keys->str);
        return g_string_free(g_steal_pointer(&keys), FALSE);
}

/* Plugins have taken what could not be kept. */
static void give_back(Manager *manager) {
        plugins_set_config(manager->plugins, manager->config);
}

static void configured(Manager *manager, const ConfigCaller *caller, const GError *error) {
        config_change_reply(caller->call, error);
        if (error)
                give_back(manager);
}

static void changed(Manager *manager, const ConfigCaller *caller, const GError *error) {
        if (!error) {
                g_autofree char *keys = keys_of(caller->call);

                manager_record_call(manager, caller->uid, sd_bus_message_get_member(caller->call), keys);
        }
        configured(manager, caller, error);
}

static void keep_agreed(Manager *manager, const char *patch, const ConfigCaller *caller, ConfigChanged done) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r = manager_change_config(manager, patch, caller, done);

        if (r >= 0)
                return;
        (void) config_change_refused(r, &error);
        (void) sd_bus_reply_method_error(caller->call, &error);
        give_back(manager);
}

static void on_agreed(JsonObject *configs, const ConfigCaller *caller, void *userdata) {
        keep_agreed(userdata, patch_of(caller->call), caller, changed);
}

/* SetConfiguration in other words, recorded when it was authorized. */
void keep_plugin_configs(JsonObject *configs, const ConfigCaller *caller, void *userdata) {
        g_autoptr(JsonObject) patch = json_object_new();
        JsonObject *plugins = json_object_new();
        g_autofree char *text = NULL;

        json_object_set_object_member(patch, "plugins", plugins);
        json_object_set_object_member(plugins, "plugin_configs", json_object_ref(configs));
        text = json_object_text(patch);
        keep_agreed(userdata, text, caller, configured);
}

/* What it gives plugins: id → values. */
static JsonObject *plugin_configs(JsonNode *patch) {
        JsonObject *section = JSON_NODE_HOLDS_OBJECT(patch) ? json_get_object(json_node_get_object(patch), "plugins")
                                                            : NULL;
        JsonObject *configs = section ? json_get_object(section, "plugin_configs") : NULL;

        return configs ? json_object_ref(configs) : json_object_new();
}

/* One of them would not be started with it, whenever that is, and keep the machine on. What stands in files already is
 * not this caller's. NULL: none. Caller frees. */
static char *excess_of(Manager *manager, JsonNode *patch) {
        JsonObject *section = JSON_NODE_HOLDS_OBJECT(patch) ? json_get_object(json_node_get_object(patch), "plugins")
                                                            : NULL;
        JsonObject *limits = section ? json_get_object(section, "limits") : NULL;
        GPtrArray *plugins = plugins_list(manager->plugins);

        for (guint i = 0; limits && i < plugins->len; i++) {
                const char *id = plugin_id(g_ptr_array_index(plugins, i));
                const Manifest *manifest = plugin_next_manifest(g_ptr_array_index(plugins, i));
                JsonObject *values = manifest ? json_get_object(limits, id) : NULL;
                g_autofree char *excess = values ? limits_excess(manifest, values) : NULL;

                if (excess)
                        return g_strdup_printf("patch: /plugins/limits/%s/%s", id, excess);
        }
        return NULL;
}

/* Plugins are asked about nothing that could not be kept whatever they say. */
static void tried(Manager *manager, const ConfigCaller *caller, const GError *error) {
        sd_bus_message *call = caller->call;
        _cleanup_bus_error_ sd_bus_error problem = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) configs = NULL;
        g_autoptr(JsonNode) patch = NULL;
        int r;

        if (error) {
                config_change_reply(call, error);
                return;
        }
        if (manager->freeing) {
                (void) sd_bus_reply_method_errorf(call, ERROR_STORE,
                                                  "The change could not be kept: this daemon ends.");
                return;
        }
        patch = parse_patch(patch_of(call), NULL);
        configs = plugin_configs(patch);
        r = plugins_configure(manager->plugins, configs, caller, on_agreed, manager, &problem);
        if (r < 0)
                (void) sd_bus_reply_method_errno(call, r, &problem);
}

int method_set_configuration(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_autoptr(JsonObject) configs = NULL;
        g_autofree char *keys = NULL, *excess = NULL;
        g_autoptr(JsonNode) node = NULL;
        g_autoptr(GError) e = NULL;
        ConfigCaller caller = { .call = message };
        const char *patch;
        int r;

        r = sd_bus_message_read(message, "s", &patch);
        if (r < 0)
                return r;
        if (strlen(patch) > PATCH_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "json_merge_patch has %zu bytes, expected at most %u.", strlen(patch),
                                         PATCH_MAX);
        /* Nobody is asked for a password for what cannot be. */
        node = parse_patch(patch, &e);
        if (!node)
                return sd_bus_error_set(error, ERROR_INVALID_CONFIGURATION, e->message);
        excess = excess_of(manager, node);
        if (excess)
                return sd_bus_error_set(error, ERROR_INVALID_CONFIGURATION, excess);
        keys = keys_of(message);
        r = manager_authorize_caller(manager, message, (const char *[]) { "keys", keys, NULL }, &caller.uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        caller.arrived = clock_monotonic();
        configs = plugin_configs(node);
        r = json_object_get_size(configs) > 0 ? manager_try_patch(manager, patch, &caller, tried)
                                              : manager_change_config(manager, patch, &caller, changed);
        return r < 0 ? config_change_refused(r, error) : 1;
}

int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        ConfigCaller caller = { .call = message };
        int r;

        r = manager_authorize_caller(manager, message, NULL, &caller.uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        caller.arrived = clock_monotonic();
        r = manager_change_config(manager, NULL, &caller, changed);
        return r < 0 ? config_change_refused(r, error) : 1;
}
