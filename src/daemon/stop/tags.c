/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/stop/tags.h"

#include <string.h>

#include "base/clock.h"

static void add_tag(JsonObject *tags, const Config *config, const char *name, const char *value) {
        g_autofree char *full = g_strdup_printf("%s:%s", config->tagging_prefix, name);
        size_t length = strlen(value);
        g_autofree char *text = NULL;

        while (length > TAG_VALUE_MAX)
                length = (size_t) (g_utf8_find_prev_char(value, value + length) - value);
        text = g_strndup(value, length);
        json_object_set_string_member(tags, full, text);
}

static void add_metrics(JsonObject *tags, const Config *config, JsonObject *metrics) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *value;

        json_object_iter_init(&iter, metrics);
        while (json_object_iter_next(&iter, &name, &value)) {
                char text[G_ASCII_DTOSTR_BUF_SIZE + 320];

                if (json_node_get_value_type(value) == G_TYPE_DOUBLE)
                        add_tag(tags, config, name,
                                g_ascii_formatd(text, sizeof(text), "%.1f", json_node_get_double(value)));
        }
}

JsonObject *stop_tags(const Config *config, uint64_t realtime, const char *reason, JsonObject *metrics) {
        g_autoptr(GDateTime) moment = g_date_time_new_from_unix_utc((gint64) (realtime / USEC_PER_SEC));
        g_autofree char *stopped_at = moment ? g_date_time_format_iso8601(moment) : NULL;
        JsonObject *tags;

        if (!config->enable_instance_tags)
                return NULL;
        tags = json_object_new();
        add_tag(tags, config, "Status", "stopped");
        if (stopped_at)
                add_tag(tags, config, "StopTimestamp", stopped_at);
        add_tag(tags, config, "StopReason", reason);
        if (config->detailed_instance_tags)
                add_metrics(tags, config, metrics);
        return tags;
}

JsonObject *stop_tags_back(const Config *config) {
        JsonObject *tags;

        if (!config->enable_instance_tags)
                return NULL;
        tags = json_object_new();
        add_tag(tags, config, "Status", "running");
        return tags;
}
