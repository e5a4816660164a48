/* SPDX-License-Identifier: Apache-2.0 */

/* The values that a plugin is given, as GetConfiguration tells them: each of its type, with where it comes from, and
 * without what nobody else is to read. */

#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "util/secret.h"

#define HIDDEN "(hidden)"

static gboolean is_secret(const Setting *setting, JsonNode *value) {
        JsonArray *array;

        if (setting->secret || name_sounds_secret(setting->name))
                return TRUE;
        if (setting->type == SETTING_STRING)
                return text_carries_credentials(json_node_get_string(value));
        array = setting->type == SETTING_LIST ? json_node_get_array(value) : NULL;
        for (guint i = 0; array && i < json_array_get_length(array); i++)
                if (text_carries_credentials(json_array_get_string_element(array, i)))
                        return TRUE;
        return FALSE;
}

static int append_value(sd_bus_message *message, const Setting *setting, JsonNode *value) {
        g_autoptr(GPtrArray) texts = NULL;
        JsonArray *array;

        if (is_secret(setting, value))
                return sd_bus_message_append(message, "v", "s", HIDDEN);
        switch (setting->type) {
        case SETTING_STRING:
                return sd_bus_message_append(message, "v", "s", json_node_get_string(value));
        case SETTING_INTEGER:
                return sd_bus_message_append(message, "v", "x", json_node_get_int(value));
        case SETTING_NUMBER:
                return sd_bus_message_append(message, "v", "d", json_node_get_double(value));
        case SETTING_BOOLEAN:
                return sd_bus_message_append(message, "v", "b", (int) json_node_get_boolean(value));
        case SETTING_LIST:
        case SETTING_TYPE_COUNT:
                break;
        }
        array = json_node_get_array(value);
        texts = g_ptr_array_new();
        for (guint i = 0; i < json_array_get_length(array); i++)
                g_ptr_array_add(texts, (char *) json_array_get_string_element(array, i));
        g_ptr_array_add(texts, NULL);

        int r = sd_bus_message_open_container(message, 'v', "as");

        if (r >= 0)
                r = sd_bus_message_append_strv(message, (char **) texts->pdata);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_setting(sd_bus_message *reply, const Setting *setting, const Settings *settings) {
        JsonNode *value = json_object_get_member(settings->values, setting->name);
        int r;

        if (!value)
                return 0;
        r = sd_bus_message_open_container(reply, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", setting->name);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "(vs)");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'r', "vs");
        if (r >= 0)
                r = append_value(reply, setting, value);
        if (r >= 0)
                r = sd_bus_message_append(reply, "s", json_object_get_string_member(settings->origins, setting->name));
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

int plugin_values_append(sd_bus_message *reply, const Manifest *manifest, const Settings *settings) {
        GPtrArray *schema = schema_settings(manifest->schema);
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        for (guint i = 0; r >= 0 && i < schema->len; i++)
                r = append_setting(reply, g_ptr_array_index(schema, i), settings);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}
