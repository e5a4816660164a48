/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/config-path.h"

#include <string.h>

char *config_path_escape(const char *segment) {
        g_autoptr(GString) escaped = g_string_new(segment);

        g_string_replace(escaped, "~", "~0", 0);
        g_string_replace(escaped, "/", "~1", 0);
        return g_string_free(g_steal_pointer(&escaped), FALSE);
}

static char *unescape(const char *segment) {
        g_autoptr(GString) plain = g_string_new(segment);

        g_string_replace(plain, "~1", "/", 0);
        g_string_replace(plain, "~0", "~", 0);
        return g_string_free(g_steal_pointer(&plain), FALSE);
}

char **config_path_split(const char *path) {
        gboolean pointer = path[0] == '/';
        g_auto(GStrv) segments = NULL;

        segments = pointer ? g_strsplit(path + 1, "/", -1) : g_strsplit(path, ".", -1);
        if (!segments[0])
                return NULL;
        for (char **segment = segments; *segment; segment++) {
                if (!**segment)
                        return NULL;
                if (pointer) {
                        char *plain = unescape(*segment);

                        g_free(*segment);
                        *segment = plain;
                }
        }
        return g_steal_pointer(&segments);
}

char *config_path_display(const char *pointer) {
        g_auto(GStrv) segments = config_path_split(pointer);

        if (!segments)
                return g_strdup(pointer);
        for (char **segment = segments; *segment; segment++)
                if (strpbrk(*segment, "./~"))
                        return g_strdup(pointer);
        return g_strjoinv(".", segments);
}

JsonNode *config_path_patch(char *const *segments, JsonNode *value) {
        JsonNode *node = value;

        for (guint i = g_strv_length((char **) segments); i > 0; i--) {
                JsonNode *outer = json_node_new(JSON_NODE_OBJECT);
                JsonObject *object = json_object_new();

                json_object_set_member(object, segments[i - 1], node);
                json_node_take_object(outer, object);
                node = outer;
        }
        return node;
}
