/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "daemon/manager-announce.h"
#include "daemon/manager-bus.h"
#include "manifest/manifest.h"
#include "util/file.h"
#include "util/json.h"

#define PATCH_MAX (64U * 1024U)

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

int manager_patch_config(Manager *manager, const char *patch, sd_bus_error *error) {
        const ConfigPaths paths = { manager->config_file, manager->config_dropins, manager->config_state };
        g_autoptr(GError) problem = NULL, good_problem = NULL;
        g_autofree char *state_text = NULL;
        g_autoptr(Config) config = config_try_patch(&paths, patch, &state_text, &problem);

        if (!config)
                return sd_bus_error_set(error, ERROR_INVALID_CONFIGURATION, problem->message);
        if (!file_write(manager->config_state, state_text, strlen(state_text), 0640, &problem))
                return sd_bus_error_setf(error, ERROR_STORE, "The change could not be kept in %s: %s", manager->config_state, problem->message);
        if (!config_save_good(config, manager->config_good, &good_problem))
                log_warning("The configuration could not be kept as the last good one: %s", good_problem->message);
        g_clear_pointer(&manager->config_problem, g_free);
        manager_set_config(manager, config);
        return 0;
}

int method_set_configuration(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        const char *patch;
        uid_t uid;
        int r;

        r = sd_bus_message_read(message, "s", &patch);
        if (r < 0)
                return r;
        if (strlen(patch) > PATCH_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "json_merge_patch has %zu bytes, expected at most %u.", strlen(patch),
                                         PATCH_MAX);
        r = manager_caller(manager, message, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_authorize(manager, message, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_patch_config(manager, patch, error);
        if (r < 0)
                return r;
        /* The patch itself may hold secrets: who, but not what. */
        manager_record_call(manager, uid, "SetConfiguration", "");
        return sd_bus_reply_method_return(message, NULL);
}

int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_autoptr(GError) problem = NULL;
        uid_t uid;
        int r;

        r = manager_caller(manager, message, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_authorize(manager, message, NULL, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        if (manager_reload(manager, &problem) < 0)
                return sd_bus_error_set(error, ERROR_INVALID_CONFIGURATION, problem->message);
        manager_record_call(manager, uid, "Reload", "");
        return sd_bus_reply_method_return(message, NULL);
}
