/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "daemon/manager-announce.h"
#include "daemon/manager-bus.h"
#include "manifest/manifest.h"
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

int config_change_refused(int r, sd_bus_error *error) {
        if (r == -EDQUOT)
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED,
                                        "Too many changes of the configuration wait for the disk; try again.");
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

/* The patch itself may hold secrets: who, but not what. */
static void changed(Manager *manager, sd_bus_message *call, const GError *error) {
        uid_t uid;

        if (!error && caller_known(manager->callers, sd_bus_message_get_sender(call), &uid))
                manager_record_call(manager, uid, sd_bus_message_get_member(call), "");
        config_change_reply(call, error);
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
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "json_merge_patch has %zu bytes, expected at most %u.", strlen(patch),
                                         PATCH_MAX);
        r = manager_authorize_caller(manager, message, NULL, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_change_config(manager, patch, message, changed);
        return r < 0 ? config_change_refused(r, error) : 1;
}

int method_reload(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        uid_t uid;
        int r;

        r = manager_authorize_caller(manager, message, NULL, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_change_config(manager, NULL, message, changed);
        return r < 0 ? config_change_refused(r, error) : 1;
}
