/* SPDX-License-Identifier: Apache-2.0 */

#include "bridge/dictionary-json.h"

static JsonArray *json_of_strings(const char *const *strings) {
        JsonArray *array = json_array_new();

        for (; strings && *strings; strings++)
                json_array_add_string_element(array, *strings);
        return array;
}

static JsonArray *json_of_list(const SnoozePluginDictionary *dictionary, const char *key) {
        JsonArray *array = json_array_new();
        const SnoozePluginDictionary *item;

        for (unsigned i = 0; (item = snooze_plugin_dictionary_get_list_item(dictionary, key, i)); i++)
                json_array_add_object_element(array, json_of_dictionary(item));
        return array;
}

static void json_set(JsonObject *object, const SnoozePluginDictionary *d, const char *key) {
        switch (snooze_plugin_dictionary_get_type(d, key)) {
        case 's':
                json_object_set_string_member(object, key, snooze_plugin_dictionary_get_string(d, key, ""));
                break;
        case 'x':
        case 't':
                json_object_set_int_member(object, key, snooze_plugin_dictionary_get_int(d, key, G_MAXINT64));
                break;
        case 'd':
                json_object_set_double_member(object, key, snooze_plugin_dictionary_get_double(d, key, 0));
                break;
        case 'b':
                json_object_set_boolean_member(object, key, snooze_plugin_dictionary_get_bool(d, key, false));
                break;
        case 'a':
                json_object_set_array_member(object, key,
                                             json_of_strings(snooze_plugin_dictionary_get_strv(d, key, NULL)));
                break;
        case 'e':
                json_object_set_object_member(object, key,
                                              json_of_dictionary(snooze_plugin_dictionary_get_dictionary(d, key)));
                break;
        case 'l':
                json_object_set_array_member(object, key, json_of_list(d, key));
                break;
        default:
                break;
        }
}

JsonObject *json_of_dictionary(const SnoozePluginDictionary *dictionary) {
        JsonObject *object = json_object_new();
        const char *key;

        for (unsigned i = 0; (key = snooze_plugin_dictionary_get_key(dictionary, i)); i++)
                json_set(object, dictionary, key);
        return object;
}

static gboolean refuse(const char *key, const char *expected, GError **error) {
        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE, "%s: expected %s", key, expected);
        return FALSE;
}

static gboolean add_value(SnoozePluginDictionary *d, const char *key, JsonNode *node, GError **error) {
        int r;

        switch (json_node_get_value_type(node)) {
        case G_TYPE_STRING:
                r = snooze_plugin_dictionary_set_string(d, key, json_node_get_string(node));
                break;
        case G_TYPE_INT64:
                if (json_node_get_int(node) >= 0)
                        r = snooze_plugin_dictionary_set_uint(d, key, (uint64_t) json_node_get_int(node));
                else
                        r = snooze_plugin_dictionary_set_int(d, key, json_node_get_int(node));
                break;
        case G_TYPE_BOOLEAN:
                r = snooze_plugin_dictionary_set_bool(d, key, json_node_get_boolean(node));
                break;
        default:
                r = snooze_plugin_dictionary_set_double(d, key, json_node_get_double(node));
        }
        return r >= 0 || refuse(key, "fewer and smaller values", error);
}

static gboolean add_objects(SnoozePluginDictionary *d, const char *key, JsonArray *array, GError **error) {
        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *node = json_array_get_element(array, i);

                if (!JSON_NODE_HOLDS_OBJECT(node))
                        return refuse(key, "a list of strings or of objects", error);
                if (!dictionary_add_json(snooze_plugin_dictionary_append_dictionary(d, key),
                                         json_node_get_object(node), error))
                        return FALSE;
        }
        return TRUE;
}

static gboolean add_array(SnoozePluginDictionary *d, const char *key, JsonArray *array, GError **error) {
        g_autoptr(GPtrArray) strings = g_ptr_array_new();

        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *node = json_array_get_element(array, i);

                if (!JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING)
                        return i == 0 ? add_objects(d, key, array, error) : refuse(key, "a list of strings", error);
                g_ptr_array_add(strings, (char *) json_node_get_string(node));
        }
        g_ptr_array_add(strings, NULL);
        return snooze_plugin_dictionary_set_strv(d, key, (const char *const *) strings->pdata) >= 0 ||
                refuse(key, "fewer and shorter strings", error);
}

/* Numbers are told apart from other dictionaries, because that is how the daemon wants metrics: a{sd}. */
static gboolean is_of_numbers(JsonObject *object) {
        JsonObjectIter iter;
        JsonNode *node;

        json_object_iter_init(&iter, object);
        while (json_object_iter_next(&iter, NULL, &node))
                if (!JSON_NODE_HOLDS_VALUE(node) || (json_node_get_value_type(node) != G_TYPE_INT64 &&
                                                     json_node_get_value_type(node) != G_TYPE_DOUBLE))
                        return FALSE;
        return json_object_get_size(object) > 0;
}

static gboolean add_object(SnoozePluginDictionary *d, const char *key, JsonObject *object, GError **error) {
        SnoozePluginDictionary *inner;
        JsonObjectIter iter;
        const char *name;
        JsonNode *node;

        if (!is_of_numbers(object)) {
                inner = snooze_plugin_dictionary_add_dictionary(d, key);
                return inner ? dictionary_add_json(inner, object, error) : refuse(key, "fewer levels", error);
        }
        inner = snooze_plugin_dictionary_add_numbers(d, key);
        json_object_iter_init(&iter, object);
        while (json_object_iter_next(&iter, &name, &node))
                if (snooze_plugin_dictionary_set_double(inner, name, json_node_get_double(node)) < 0)
                        return refuse(key, "fewer and finite numbers", error);
        return TRUE;
}

gboolean dictionary_add_json(SnoozePluginDictionary *dictionary, JsonObject *object, GError **error) {
        JsonObjectIter iter;
        const char *key;
        JsonNode *node;

        json_object_iter_init(&iter, object);
        while (json_object_iter_next(&iter, &key, &node)) {
                gboolean added = TRUE;

                if (JSON_NODE_HOLDS_OBJECT(node))
                        added = add_object(dictionary, key, json_node_get_object(node), error);
                else if (JSON_NODE_HOLDS_ARRAY(node))
                        added = add_array(dictionary, key, json_node_get_array(node), error);
                else if (JSON_NODE_HOLDS_VALUE(node))
                        added = add_value(dictionary, key, node, error);
                if (!added)
                        return FALSE;
        }
        return TRUE;
}
