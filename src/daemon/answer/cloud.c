/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/answer/cloud.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "bus/dictionary.h"
#include "util/json.h"
#include "util/line.h"

#define PERMISSIONS_MAX 256U
#define TEXT_MAX 1024U
#define NAME_MAX_BYTES 256U

static const struct {
        const char *effect;
        const char *words; /* what a stop does, where that needs somebody's consent */
} effects[] = {
        { "stops-billing", NULL },
        { "saves-power", NULL },
        { "keeps-billing", "leaves the machine billed" },
        { "terminates", "destroys the machine" },
        { "unknown", "has an effect on the bill that is not known" },
};

gboolean stop_effect_known(const char *effect) {
        for (size_t i = 0; i < G_N_ELEMENTS(effects); i++)
                if (g_str_equal(effect, effects[i].effect))
                        return TRUE;
        return FALSE;
}

const char *stop_effect_consent(const char *effect) {
        for (size_t i = 0; i < G_N_ELEMENTS(effects); i++)
                if (g_str_equal(effect, effects[i].effect))
                        return effects[i].words;
        return "has an effect that is not known";
}

static gboolean is_string(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                strlen(json_node_get_string(node)) <= TEXT_MAX;
}

static gboolean is_time(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64 &&
               json_node_get_int(node) >= 0;
}

static gboolean is_tags(JsonNode *node) {
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return FALSE;
        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, &key, &value))
                if (!is_string(value))
                        return FALSE;
        return TRUE;
}

static const struct {
        const char *key;
        gboolean (*valid)(JsonNode *node);
} info_members[] = {
        { "id", is_string },        { "name", is_string }, { "type", is_string },      { "region", is_string },
        { "zone", is_string },      { "state", is_string }, { "lifecycle", is_string }, { "launch-time", is_time },
        { "tags", is_tags },
};

/* It stands in reasons, in the journal and on terminals: on one line. */
static char *line_of(const char *text) {
        char *line = g_strdup(text);

        line_clean(line);
        return line;
}

static JsonNode *clean_copy(JsonNode *node) {
        JsonNode *copy = json_node_alloc();
        g_autofree char *line = NULL;
        JsonObjectIter iter;
        JsonObject *object;
        const char *key;
        JsonNode *value;

        if (JSON_NODE_HOLDS_OBJECT(node)) {
                object = json_object_new();
                json_object_iter_init_ordered(&iter, json_node_get_object(node));
                while (json_object_iter_next_ordered(&iter, &key, &value)) {
                        g_autofree char *name = line_of(key);

                        json_object_set_member(object, name, clean_copy(value));
                }
                copy = json_node_init_object(copy, object);
                json_object_unref(object);
                return copy;
        }
        if (json_node_get_value_type(node) != G_TYPE_STRING)
                return json_node_init_int(copy, json_node_get_int(node));
        line = line_of(json_node_get_string(node));
        return json_node_init_string(copy, line);
}

JsonObject *instance_info_read(sd_bus_message *reply, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) all = NULL, info = json_object_new();

        if (dictionary_read(reply, &dictionary_limits_default, &all, &error) < 0) {
                *ret_problem = g_strdup(error.message ?: "not a{sv}");
                return NULL;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(info_members); i++) {
                JsonNode *node = json_object_get_member(all, info_members[i].key);

                if (!node)
                        continue;
                if (!info_members[i].valid(node)) {
                        *ret_problem = g_strdup_printf("%s has a wrong type or is too long", info_members[i].key);
                        return NULL;
                }
                json_object_set_member(info, info_members[i].key, clean_copy(node));
        }
        return g_steal_pointer(&info);
}

/* Anything else is as if it were not there. */
static char *short_text(JsonObject *properties, const char *member) {
        const char *text = json_get_string(properties, member, NULL);

        return text && strlen(text) <= NAME_MAX_BYTES ? line_of(text) : NULL;
}

int provider_description_read(sd_bus_message *reply, ProviderDescription *ret, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) properties = NULL;
        g_autofree char *effect = NULL;

        if (dictionary_read(reply, &dictionary_limits_default, &properties, &error) < 0) {
                *ret_problem = g_strdup(error.message ?: "not a{sv}");
                return -EBADMSG;
        }
        effect = short_text(properties, "StopEffect");
        *ret = (ProviderDescription) {
                .name = short_text(properties, "ProviderName"),
                .version = short_text(properties, "ProviderVersion"),
                .stop_effect = g_strdup(effect && stop_effect_known(effect) ? effect : "unknown"),
        };
        return 0;
}

void provider_description_clear(ProviderDescription *description) {
        g_clear_pointer(&description->name, g_free);
        g_clear_pointer(&description->version, g_free);
        g_clear_pointer(&description->stop_effect, g_free);
}

int detection_read(sd_bus_message *reply, gboolean *ret_detected, char **ret_problem) {
        int detected;

        if (sd_bus_message_read(reply, "b", &detected) < 0) {
                *ret_problem = g_strdup("not b");
                return -EBADMSG;
        }
        *ret_detected = detected;
        return 0;
}

JsonArray *permissions_read(sd_bus_message *reply, char **ret_problem) {
        g_autoptr(JsonArray) permissions = json_array_new();
        const char *name, *explanation;
        int granted, r;

        r = sd_bus_message_enter_container(reply, 'a', "(sbs)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sbs)", &name, &granted, &explanation)) > 0) {
                g_autofree char *name_line = NULL, *explanation_line = NULL;
                JsonObject *row;

                if (json_array_get_length(permissions) >= PERMISSIONS_MAX || strlen(name) > TEXT_MAX ||
                    strlen(explanation) > TEXT_MAX) {
                        *ret_problem = g_strdup_printf("more than %u permissions, or texts above %u bytes",
                                                       PERMISSIONS_MAX, TEXT_MAX);
                        return NULL;
                }
                name_line = line_of(name);
                explanation_line = line_of(explanation);
                row = json_object_new();
                json_object_set_string_member(row, "name", name_line);
                json_object_set_boolean_member(row, "granted", granted);
                json_object_set_string_member(row, "explanation", explanation_line);
                json_array_add_object_element(permissions, row);
        }
        if (r < 0) {
                *ret_problem = g_strdup("not a(sbs)");
                return NULL;
        }
        return g_steal_pointer(&permissions);
}
