/* SPDX-License-Identifier: Apache-2.0 */

/* The configuration for other eyes: as JSON without secrets, and the table of keys itself. */

#include <string.h>

#include "daemon/config/config-keys.h"
#include "daemon/config/config.h"
#include "util/secret.h"

#define HIDDEN "(hidden)"

/* A secret under an innocent name. */
static gboolean carries_credentials(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                text_carries_credentials(json_node_get_string(node));
}

static JsonNode *hidden(void) {
        return json_node_init_string(json_node_alloc(), HIDDEN);
}

static void hide_in_object(JsonObject *object);

static void hide_in_array(JsonArray *array) {
        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *node = json_array_get_element(array, i);

                if (carries_credentials(node))
                        json_node_set_string(node, HIDDEN);
                else if (JSON_NODE_HOLDS_OBJECT(node))
                        hide_in_object(json_node_get_object(node));
                else if (JSON_NODE_HOLDS_ARRAY(node))
                        hide_in_array(json_node_get_array(node));
        }
}

static void hide_in_member(JsonObject *object, const char *name) {
        JsonNode *node = json_object_get_member(object, name);

        if (name_sounds_secret(name) || carries_credentials(node))
                json_object_set_member(object, name, hidden());
        else if (JSON_NODE_HOLDS_OBJECT(node))
                hide_in_object(json_node_get_object(node));
        else if (JSON_NODE_HOLDS_ARRAY(node))
                hide_in_array(json_node_get_array(node));
}

static void hide_in_object(JsonObject *object) {
        g_autoptr(GList) members = json_object_get_members(object);

        for (GList *i = members; i; i = i->next)
                hide_in_member(object, i->data);
}

/* An id is no secret, whatever it sounds like: only what stands below it is looked at. */
static void hide_in_map(JsonObject *map) {
        g_autoptr(GList) entries = json_object_get_values(map);

        for (GList *i = entries; i; i = i->next)
                if (JSON_NODE_HOLDS_OBJECT((JsonNode *) i->data))
                        hide_in_object(json_node_get_object(i->data));
}

static void hide_secrets(JsonObject *root) {
        JsonObject *plugins = json_object_get_object_member(root, "plugins");

        hide_in_map(json_object_get_object_member(root, "providers"));
        hide_in_map(json_object_get_object_member(plugins, "plugin_configs"));
        /* Ignored, and whatever it is: addresses with a password were meant to stand there. */
        if (json_object_has_member(plugins, "external_repositories"))
                hide_in_member(plugins, "external_repositories");
}

/* json-glib copies nodes shallowly; what is changed here must not be the configuration itself. */
static JsonNode *deep_copy(JsonNode *node) {
        JsonNode *copy;

        if (JSON_NODE_HOLDS_OBJECT(node)) {
                JsonObject *object = json_object_new();
                JsonObjectIter iter;
                const char *member;
                JsonNode *value;

                json_object_iter_init_ordered(&iter, json_node_get_object(node));
                while (json_object_iter_next_ordered(&iter, &member, &value))
                        json_object_set_member(object, member, deep_copy(value));
                copy = json_node_new(JSON_NODE_OBJECT);
                json_node_take_object(copy, object);
                return copy;
        }
        if (JSON_NODE_HOLDS_ARRAY(node)) {
                JsonArray *array = json_array_new();

                for (guint i = 0; i < json_array_get_length(json_node_get_array(node)); i++)
                        json_array_add_element(array, deep_copy(json_array_get_element(json_node_get_array(node), i)));
                copy = json_node_new(JSON_NODE_ARRAY);
                json_node_take_array(copy, array);
                return copy;
        }
        return json_node_copy(node);
}

static JsonNode *value_of(const Config *config, const ConfigKey *key) {
        const void *field = (const char *) config + key->offset;
        JsonNode *node = json_node_alloc();
        JsonArray *array;

        switch (key->type) {
        case KEY_NUMBER:
                return json_node_init_double(node, *(const double *) field);
        case KEY_BOOLEAN:
                return json_node_init_boolean(node, *(const gboolean *) field);
        case KEY_STRING:
                return json_node_init_string(node, *(char *const *) field);
        case KEY_STRINGS:
                array = json_array_new();
                for (char *const *i = *(char **const *) field; *i; i++)
                        json_array_add_string_element(array, *i);
                json_node_take_array(json_node_init(node, JSON_NODE_ARRAY), array);
                return node;
        case KEY_SECTION:
        case KEY_MAP:
                json_node_take_object(json_node_init(node, JSON_NODE_OBJECT), json_object_new());
                return node;
        case KEY_LEGACY:
                break;
        }
        json_node_free(node);
        return NULL;
}

/* The object that a dotted name's last part is a member of; sections stand before their members in the table. */
static JsonObject *parent_of(JsonObject *root, const char *name, const char **ret_member) {
        const char *dot = strchr(name, '.');
        g_autofree char *section = NULL;

        *ret_member = dot ? dot + 1 : name;
        if (!dot)
                return root;
        section = g_strndup(name, (gsize) (dot - name));
        return json_object_get_object_member(root, section);
}

/* What is in force for a source whose entry does not say it all. Where that has no time-out, its plugin has one from
 * elsewhere: from plugins.timeouts, which is shown there, or from its manifest, of which nothing is known here. */
static void fill_source(const Config *config, const char *name, JsonObject *sources) {
        SourceConfig source = config_source(config, name);
        JsonObject *entry;

        if (!json_object_has_member(sources, name))
                json_object_set_object_member(sources, name, json_object_new());
        entry = json_object_get_object_member(sources, name);
        if (!json_object_has_member(entry, "policy"))
                json_object_set_string_member(entry, "policy", policy_name(source.policy));
        if (!json_object_has_member(entry, "on_error"))
                json_object_set_string_member(entry, "on_error",
                                              source.on_error == ON_ERROR_IGNORE ? "ignore" : "busy");
}

static void fill_sources(const Config *config, JsonObject *sources) {
        static const char *const metrics[] = { "cpu", "memory", "network", "disk", "gpu", "input", NULL };
        g_autoptr(GList) others = json_object_get_members(sources);

        for (GList *i = others; i; i = i->next)
                fill_source(config, i->data, sources);
        for (const char *const *i = metrics; *i; i++)
                fill_source(config, *i, sources);
}

JsonNode *config_to_json(const Config *config) {
        g_autoptr(JsonNode) merged = json_node_init_object(json_node_alloc(), config->merged);
        JsonNode *root = deep_copy(merged);

        for (gsize i = 0; i < config_keys_count; i++) {
                const ConfigKey *key = &config_keys[i];
                const char *member;
                JsonObject *parent;

                if (key->type == KEY_LEGACY)
                        continue;
                parent = parent_of(json_node_get_object(root), key->name, &member);
                if (!json_object_has_member(parent, member))
                        json_object_set_member(parent, member, value_of(config, key));
        }
        fill_sources(config, json_object_get_object_member(json_node_get_object(root), "sources"));
        hide_secrets(json_node_get_object(root));
        return root;
}

static const char *const type_names[] = {
        [KEY_NUMBER] = "number",   [KEY_BOOLEAN] = "boolean", [KEY_STRING] = "string",  [KEY_STRINGS] = "strings",
        [KEY_SECTION] = "section", [KEY_MAP] = "map",         [KEY_LEGACY] = "ignored",
};

static JsonObject *describe_key(const ConfigKey *key, const Config *defaults) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "key", key->name);
        json_object_set_string_member(object, "type", type_names[key->type]);
        if (key->type != KEY_LEGACY && key->type != KEY_SECTION)
                json_object_set_member(object, "default", value_of(defaults, key));
        if (key->type == KEY_NUMBER) {
                json_object_set_double_member(object, "minimum", key->minimum);
                json_object_set_boolean_member(object, "exclusive_minimum", key->above);
                json_object_set_double_member(object, "maximum", key->maximum);
        }
        if (key->unit)
                json_object_set_string_member(object, "unit", key->unit);
        if (key->choices) {
                JsonArray *choices = json_array_new();

                for (const char *const *i = key->choices; *i; i++)
                        json_array_add_string_element(choices, *i);
                json_object_set_array_member(object, "choices", choices);
        }
        json_object_set_string_member(object, "description", key->description);
        return object;
}

JsonNode *config_describe(void) {
        g_autoptr(Config) defaults = config_new_default();
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);
        JsonArray *array = json_array_new();

        for (gsize i = 0; i < config_keys_count; i++)
                json_array_add_object_element(array, describe_key(&config_keys[i], defaults));
        json_node_take_array(node, array);
        return node;
}
