/* SPDX-License-Identifier: Apache-2.0 */

/* Where secrets stand in a configuration, so that it can be said which of them lie open. */

#include "daemon/config/config-check.h"
#include "daemon/config/config.h"
#include "util/json.h"
#include "util/secret.h"

static gboolean holds_credentials(JsonNode *node) {
        g_autofree char *text = json_text_compact(node);

        return text_carries_credentials(text);
}

/* Pointers end where an object does: a list has one origin as a whole. */
static void add_secrets(JsonObject *object, const char *parent, GStrvBuilder *pointers) {
        JsonObjectIter iter;
        const char *member;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &member, &node)) {
                g_autofree char *pointer = config_pointer(parent, member);

                if (JSON_NODE_HOLDS_OBJECT(node))
                        add_secrets(json_node_get_object(node), pointer, pointers);
                else if (name_sounds_secret(member) || holds_credentials(node))
                        g_strv_builder_add(pointers, pointer);
        }
}

static void add_map(JsonObject *root, const char *section, const char *map, const char *parent,
                    GStrvBuilder *pointers) {
        JsonObject *object = section ? json_get_object(root, section) : root,
                   *entries = object ? json_get_object(object, map) : NULL;
        g_autoptr(GList) ids = entries ? json_object_get_members(entries) : NULL;

        for (GList *id = ids; id; id = id->next) {
                JsonObject *values = json_get_object(entries, id->data);
                g_autofree char *pointer = config_pointer(parent, id->data);

                if (values)
                        add_secrets(values, pointer, pointers);
        }
}

char **config_secret_pointers(const Config *config) {
        g_autoptr(GStrvBuilder) pointers = g_strv_builder_new();

        add_map(config->merged, "plugins", "plugin_configs", "/plugins/plugin_configs", pointers);
        add_map(config->merged, NULL, "providers", "/providers", pointers);
        return g_strv_builder_end(pointers);
}
