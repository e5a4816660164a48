/* SPDX-License-Identifier: Apache-2.0 */

#include "document.h"

#include "util/json.h"

/* The object that has the last member of the path, whose name is told. */
static JsonObject *walk(JsonObject *root, char **members, const char **ret_last) {
        for (; root && members[0] && members[1]; members++)
                root = json_get_object(root, members[0]);
        *ret_last = members[0];
        return *ret_last ? root : NULL;
}

JsonObject *document_object(JsonObject *root, const char *path) {
        g_auto(GStrv) members = g_strsplit(path, "/", -1);
        const char *last;
        JsonObject *object = walk(root, members, &last);

        return object ? json_get_object(object, last) : NULL;
}

JsonArray *document_array(JsonObject *root, const char *path) {
        g_auto(GStrv) members = g_strsplit(path, "/", -1);
        const char *last;
        JsonObject *object = walk(root, members, &last);

        return object ? json_get_array(object, last) : NULL;
}

const char *document_text(JsonObject *root, const char *path) {
        g_auto(GStrv) members = g_strsplit(path, "/", -1);
        const char *last;
        JsonObject *object = walk(root, members, &last);

        return object ? json_get_string(object, last, "") : "";
}

gboolean document_is_true(JsonObject *root, const char *path) {
        g_auto(GStrv) members = g_strsplit(path, "/", -1);
        const char *last;
        JsonObject *object = walk(root, members, &last);

        return object && (json_get_boolean(object, last, FALSE) ||
                          g_ascii_strcasecmp(json_get_string(object, last, ""), "true") == 0);
}

JsonObject *document_element(JsonArray *array, guint n) {
        JsonNode *node = array && n < json_array_get_length(array) ? json_array_get_element(array, n) : NULL;

        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
}
