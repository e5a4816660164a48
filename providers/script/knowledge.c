/* SPDX-License-Identifier: Apache-2.0 */

#include "knowledge.h"

#include "util/json.h"

#define TEXT_MAX 256
#define TAGS_MAX 64U

static const char *const states[] = { "running",    "pending",   "stopping",   "stopped", "hibernating", "hibernated",
                                      "suspending", "suspended", "terminated", "unknown", NULL };
static const char *const texts[] = { "id", "name", "type", "region", "zone", "lifecycle", NULL };

static const char *text_of(JsonNode *node) {
        const char *text = JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
                                   ? json_node_get_string(node)
                                   : NULL;

        return text && g_utf8_strlen(text, -1) <= TEXT_MAX ? text : NULL;
}

static bool take_state(const char *state, SnoozePluginDictionary *info, char **ret_problem) {
        g_autofree char *known = NULL;

        if (state && g_strv_contains(states, state)) {
                snooze_plugin_dictionary_set_string(info, "state", state);
                return true;
        }
        known = g_strjoinv(", ", (char **) states);
        *ret_problem = g_strdup_printf("state: expected one of %s, not \"%.60s\"", known, state ?: "");
        return false;
}

static bool take_tags(JsonNode *value, SnoozePluginDictionary *info, char **ret_problem) {
        JsonObject *object = JSON_NODE_HOLDS_OBJECT(value) ? json_node_get_object(value) : NULL;
        SnoozePluginDictionary *tags;
        JsonObjectIter iter;
        const char *key;

        if (!object || json_object_get_size(object) > TAGS_MAX) {
                *ret_problem = g_strdup_printf("tags: expected an object of at most %u texts", TAGS_MAX);
                return false;
        }
        tags = snooze_plugin_dictionary_add_strings(info, "tags");
        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &key, &value)) {
                if (!text_of(value)) {
                        *ret_problem = g_strdup_printf("tags: %.60s: expected a text of at most %d characters", key,
                                                       TEXT_MAX);
                        return false;
                }
                snooze_plugin_dictionary_set_string(tags, key, text_of(value));
        }
        return true;
}

static bool take_time(JsonNode *value, SnoozePluginDictionary *info, char **ret_problem) {
        bool number = JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_INT64;

        if (number && json_node_get_int(value) > 0)
                return snooze_plugin_dictionary_set_uint(info, "launch-time", (uint64_t) json_node_get_int(value)) >=
                       0;
        *ret_problem = g_strdup("launch-time: expected µs since the epoch");
        return false;
}

static bool take_member(const char *key, JsonNode *value, SnoozePluginDictionary *info, char **ret_problem) {
        if (g_str_equal(key, "state"))
                return take_state(text_of(value), info, ret_problem);
        if (g_str_equal(key, "tags"))
                return take_tags(value, info, ret_problem);
        if (g_str_equal(key, "launch-time"))
                return take_time(value, info, ret_problem);
        if (!g_strv_contains(texts, key))
                *ret_problem = g_strdup_printf(
                        "%.60s: expected id, name, type, region, zone, state, lifecycle, launch-time or tags", key);
        else if (!text_of(value))
                *ret_problem = g_strdup_printf("%s: expected a text of at most %d characters", key, TEXT_MAX);
        else
                snooze_plugin_dictionary_set_string(info, key, text_of(value));
        return !*ret_problem;
}

bool knowledge_read(const char *line, SnoozePluginDictionary *info, char **ret_problem) {
        g_autoptr(JsonNode) node = NULL;
        g_autoptr(GError) error = NULL;
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (*line != '{')
                return take_state(line, info, ret_problem);
        node = json_text_parse("its last line", line, -1, &error);
        if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
                *ret_problem = g_strdup(error ? error->message : "its last line is no JSON object");
                return false;
        }
        if (!json_object_has_member(json_node_get_object(node), "state")) {
                *ret_problem = g_strdup("its last line has no state");
                return false;
        }
        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &key, &value))
                if (!take_member(key, value, info, ret_problem))
                        return false;
        return true;
}
