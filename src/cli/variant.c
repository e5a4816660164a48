/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/variant.h"

#include "cli/cli.h"
#include "util/json.h"

static GVariant *variant_of_json(JsonNode *node);

GVariant *variant_of_object(JsonObject *object) {
        g_auto(GVariantDict) dictionary;
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        g_variant_dict_init(&dictionary, NULL);
        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                if (!JSON_NODE_HOLDS_NULL(value))
                        g_variant_dict_insert_value(&dictionary, key, variant_of_json(value));
        return g_variant_dict_end(&dictionary);
}

static gboolean all_hold(JsonArray *array, GType type) {
        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);

                if (type == JSON_TYPE_OBJECT ? !JSON_NODE_HOLDS_OBJECT(element)
                                             : json_node_get_value_type(element) != type)
                        return FALSE;
        }
        return TRUE;
}

/* Lists of strings and of dictionaries are what plugins take; any other one is theirs to refuse. */
static GVariant *variant_of_array(JsonArray *array) {
        gboolean strings = all_hold(array, G_TYPE_STRING), objects = !strings && all_hold(array, JSON_TYPE_OBJECT);
        g_auto(GVariantBuilder) builder = G_VARIANT_BUILDER_INIT(strings   ? G_VARIANT_TYPE_STRING_ARRAY
                                                                 : objects ? G_VARIANT_TYPE("aa{sv}")
                                                                           : G_VARIANT_TYPE("av"));

        for (guint i = 0; i < json_array_get_length(array); i++) {
                GVariant *element = variant_of_json(json_array_get_element(array, i));

                g_variant_builder_add_value(&builder, strings || objects ? element : g_variant_new_variant(element));
        }
        return g_variant_builder_end(&builder);
}

static GVariant *variant_of_json(JsonNode *node) {
        if (JSON_NODE_HOLDS_OBJECT(node))
                return variant_of_object(json_node_get_object(node));
        if (JSON_NODE_HOLDS_ARRAY(node))
                return variant_of_array(json_node_get_array(node));
        switch (json_node_get_value_type(node)) {
        case G_TYPE_BOOLEAN:
                return g_variant_new_boolean(json_node_get_boolean(node));
        case G_TYPE_INT64:
                return g_variant_new_int64(json_node_get_int(node));
        case G_TYPE_DOUBLE:
                return g_variant_new_double(json_node_get_double(node));
        default:
                return g_variant_new_string(json_node_get_string(node) ?: "");
        }
}

JsonNode *json_of_text(const char *text) {
        JsonNode *node = json_text_parse("VALUE", text, -1, NULL);

        return node ?: json_node_init_string(json_node_alloc(), text);
}

GVariant *variant_parse(const char *verb, const char *text) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = NULL;
        g_autofree char *read = g_str_equal(text, "-") ? cli_read_stdin(&error) : g_strdup(text);

        if (read)
                node = json_text_parse("JSON", read, -1, &error);
        if (!node) {
                cli_usage(verb, "%s", error->message);
                return NULL;
        }
        if (!JSON_NODE_HOLDS_OBJECT(node)) {
                cli_usage(verb, "JSON: expected an object, like {\"key\": \"value\"}");
                return NULL;
        }
        return g_variant_ref_sink(variant_of_object(json_node_get_object(node)));
}
