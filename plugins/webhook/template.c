/* SPDX-License-Identifier: Apache-2.0 */

#include "template.h"

#include <string.h>

#include "util/json.h"

static const char *const names[] = { "id",    "type", "source", "timestamp", "severity",      "deadline", "cancelled",
                                     "moved", "data", "host",   "time",      "deadline_time", NULL };

/* The next ${name} of a text: where it begins, what it is called and what follows. "$${" is no field but the text
 * "${". */
typedef struct Field {
        const char *begin, *rest;
        char *name; /* NULL: "$${" */
} Field;

static gboolean next_field(const char *text, Field *field, GError **error) {
        const char *begin = strstr(text, "${"), *end;

        *field = (Field){ .begin = NULL };
        if (!begin)
                return TRUE;
        if (begin > text && begin[-1] == '$') {
                *field = (Field){ .begin = begin - 1, .rest = begin + 2 };
                return TRUE;
        }
        end = strchr(begin, '}');
        if (!end) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_SYNTAX, "“${” without a “}”; “$${” is the text “${”");
                return FALSE;
        }
        *field = (Field){ .begin = begin, .rest = end + 1, .name = g_strndup(begin + 2, (gsize) (end - begin - 2)) };
        return TRUE;
}

static gboolean name_known(const char *name) {
        size_t length = strcspn(name, ".");

        for (const char *const *known = names; *known; known++)
                if (strlen(*known) == length && strncmp(name, *known, length) == 0)
                        return name[length] == '\0' || (g_str_equal(*known, "data") && name[length + 1]);
        return FALSE;
}

static gboolean check_text(const char *text, guint *n, GError **error) {
        Field field;

        while (TRUE) {
                g_autofree char *name = NULL;

                if (!next_field(text, &field, error))
                        return FALSE;
                if (!field.begin)
                        return TRUE;
                name = field.name;
                text = field.rest;
                if (name && !name_known(name)) {
                        g_autofree char *expected = g_strjoinv(", ", (char **) names);

                        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE, "“${%s}”: expected %s or data.NAME", name,
                                    expected);
                        return FALSE;
                }
                if (name && ++*n > TEMPLATE_FIELDS_MAX) {
                        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TOO_LARGE, "expected at most %u fields",
                                    TEMPLATE_FIELDS_MAX);
                        return FALSE;
                }
        }
}

static gboolean check_node(JsonNode *node, guint *n, GError **error) {
        if (JSON_NODE_HOLDS_OBJECT(node)) {
                JsonObjectIter iterator;
                JsonNode *member;

                json_object_iter_init(&iterator, json_node_get_object(node));
                while (json_object_iter_next(&iterator, NULL, &member))
                        if (!check_node(member, n, error))
                                return FALSE;
        } else if (JSON_NODE_HOLDS_ARRAY(node)) {
                JsonArray *array = json_node_get_array(node);

                for (guint i = 0; i < json_array_get_length(array); i++)
                        if (!check_node(json_array_get_element(array, i), n, error))
                                return FALSE;
        } else if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
                return check_text(json_node_get_string(node), n, error);
        return TRUE;
}

JsonNode *template_parse(const char *text, GError **error) {
        g_autoptr(JsonNode) node = NULL;
        guint n = 0;

        if (strlen(text) > TEMPLATE_MAX) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TOO_LARGE, "expected at most %u bytes", TEMPLATE_MAX);
                return NULL;
        }
        node = json_text_parse("template", text, -1, error);
        if (!node || !check_node(node, &n, error))
                return NULL;
        return g_steal_pointer(&node);
}

/* Names may have points in them: the longest one that is there goes before the parts. */
static JsonNode *find(JsonObject *object, const char *name) {
        const char *point;

        if (json_object_has_member(object, name))
                return json_object_get_member(object, name);
        for (point = strchr(name, '.'); point; point = strchr(point + 1, '.')) {
                g_autofree char *first = g_strndup(name, (gsize) (point - name));
                JsonObject *inner = json_get_object(object, first);
                JsonNode *node = inner ? find(inner, point + 1) : NULL;

                if (node)
                        return node;
        }
        return NULL;
}

static void append_value(GString *text, JsonNode *value) {
        g_autofree char *written = NULL;

        if (!value)
                return;
        if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING) {
                g_string_append(text, json_node_get_string(value));
                return;
        }
        written = json_text_compact(value);
        g_string_append(text, written);
}

static JsonNode *expand_text(const char *text, JsonObject *event) {
        GString *whole = g_string_new(NULL);
        g_autofree char *result = NULL;
        const char *rest = text;
        Field field;

        while (next_field(rest, &field, NULL) && field.begin) {
                g_autofree char *name = field.name;

                if (name && field.begin == text && !*field.rest) {
                        JsonNode *value = find(event, name);

                        g_string_free(whole, TRUE);
                        return value ? json_node_copy(value) : json_node_new(JSON_NODE_NULL);
                }
                g_string_append_len(whole, rest, field.begin - rest);
                if (name)
                        append_value(whole, find(event, name));
                else
                        g_string_append(whole, "${");
                rest = field.rest;
        }
        g_string_append(whole, rest);
        result = g_string_free(whole, FALSE);
        return json_node_init_string(json_node_alloc(), result);
}

static JsonNode *expand_object(JsonObject *template, JsonObject *event) {
        JsonNode *node = json_node_new(JSON_NODE_OBJECT), *member;
        JsonObject *object = json_object_new();
        JsonObjectIter iterator;
        const char *name;

        json_object_iter_init(&iterator, template);
        while (json_object_iter_next(&iterator, &name, &member))
                json_object_set_member(object, name, template_expand(member, event));
        json_node_take_object(node, object);
        return node;
}

JsonNode *template_expand(JsonNode *template, JsonObject *event) {
        if (JSON_NODE_HOLDS_OBJECT(template))
                return expand_object(json_node_get_object(template), event);
        if (JSON_NODE_HOLDS_ARRAY(template)) {
                JsonArray *from = json_node_get_array(template), *to = json_array_new();
                JsonNode *node = json_node_new(JSON_NODE_ARRAY);

                for (guint i = 0; i < json_array_get_length(from); i++)
                        json_array_add_element(to, template_expand(json_array_get_element(from, i), event));
                json_node_take_array(node, to);
                return node;
        }
        if (JSON_NODE_HOLDS_VALUE(template) && json_node_get_value_type(template) == G_TYPE_STRING)
                return expand_text(json_node_get_string(template), event);
        return json_node_copy(template);
}
