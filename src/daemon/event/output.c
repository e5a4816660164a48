/* SPDX-License-Identifier: Apache-2.0 */

/* What programs wrote, in the results of handlers: an administrator's script may say in it what only he is to read (a
 * key, with set -x). It stays in the journal of events and in history, and root finds it there; everybody else, and
 * every signal, goes without. */

#include <string.h>

#include "daemon/event/event.h"
#include "util/json.h"

static gboolean is_output(const char *name) {
        return g_str_has_suffix(name, EVENT_OUTPUT_SUFFIX);
}

static JsonNode *copy_without(JsonNode *node);

static JsonObject *copy_object_without(JsonObject *object) {
        JsonObject *copy = json_object_new();
        JsonObjectIter iterator;
        const char *name;
        JsonNode *member;

        json_object_iter_init(&iterator, object);
        while (json_object_iter_next(&iterator, &name, &member))
                if (!is_output(name))
                        json_object_set_member(copy, name, copy_without(member));
        return copy;
}

/* No deeper than dictionary_read() lets in. */
static JsonNode *copy_without(JsonNode *node) {
        JsonNode *copy;

        if (JSON_NODE_HOLDS_OBJECT(node)) {
                copy = json_node_new(JSON_NODE_OBJECT);
                json_node_take_object(copy, copy_object_without(json_node_get_object(node)));
        } else if (JSON_NODE_HOLDS_ARRAY(node)) {
                copy = json_node_new(JSON_NODE_ARRAY);
                json_node_take_array(copy, event_results_without_output(json_node_get_array(node)));
        } else
                copy = json_node_copy(node);
        return copy;
}

JsonArray *event_results_without_output(JsonArray *results) {
        JsonArray *copy = json_array_new();

        for (guint i = 0; i < json_array_get_length(results); i++)
                json_array_add_element(copy, copy_without(json_array_get_element(results, i)));
        return copy;
}

void event_row_hide_output(JsonObject *row) {
        static const char *const members[] = { "results", "told" };

        for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
                JsonArray *results = json_get_array(row, members[i]);

                if (results)
                        json_object_set_array_member(row, members[i], event_results_without_output(results));
        }
}
