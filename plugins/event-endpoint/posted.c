/* SPDX-License-Identifier: Apache-2.0 */

#include "posted.h"

#include <string.h>

#include "base/event-types.h"
#include "bridge/dictionary-json.h"
#include "util/json.h"

G_GNUC_PRINTF(2, 3)
static gboolean wrong(GError **error, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        if (error)
                *error = g_error_new_valist(JSON_TEXT_ERROR, JSON_ERROR_TYPE, format, ap);
        va_end(ap);
        return FALSE;
}

static gboolean holds(JsonNode *node, GType type) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

gboolean posted_id_valid(const char *id) {
        size_t length = strlen(id);

        for (const char *c = id; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return FALSE;
        return length > 0 && length <= EVENT_ID_MAX;
}

static gboolean read_id(JsonNode *node, uint64_t now, PostedEvent *event, GError **error) {
        if (!holds(node, G_TYPE_STRING) || !posted_id_valid(json_node_get_string(node)))
                return wrong(error, "id: expected 1 to %u printable characters of ASCII without blanks", EVENT_ID_MAX);
        event->id = g_strdup(json_node_get_string(node));
        return TRUE;
}

static gboolean read_type(JsonNode *node, uint64_t now, PostedEvent *event, GError **error) {
        const char *type = holds(node, G_TYPE_STRING) ? json_node_get_string(node) : "";

        if ((!g_str_equal(type, "custom") && !g_str_has_prefix(type, "custom.")) || !event_type_find(type))
                return wrong(error,
                             "type: expected custom or custom.NAME, NAME of a-z, 0-9, “.” and “-”, %u bytes at most",
                             EVENT_TYPE_MAX);
        event->type = g_strdup(type);
        return TRUE;
}

static gboolean read_severity(JsonNode *node, uint64_t now, PostedEvent *event, GError **error) {
        if (!holds(node, G_TYPE_INT64) || json_node_get_int(node) < 0 || json_node_get_int(node) > POSTED_SEVERITY_MAX)
                return wrong(error, "severity: expected 0 (info) or 1 (warning)");
        event->severity = (unsigned) json_node_get_int(node);
        return TRUE;
}

static gboolean read_deadline(JsonNode *node, uint64_t now, PostedEvent *event, GError **error) {
        const char *text = holds(node, G_TYPE_STRING) ? json_node_get_string(node) : "";
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);
        gint64 moment;

        if (!time)
                return wrong(error, "deadline: expected a moment with its zone: \"2026-01-31T22:41:00Z\"");
        moment = g_date_time_to_unix(time) * G_TIME_SPAN_SECOND + g_date_time_get_microsecond(time);
        if (moment <= (gint64) now || moment > (gint64) now + POSTED_AHEAD_MAX)
                return wrong(error, "deadline: expected a moment of the next 24 hours");
        event->deadline = (uint64_t) moment;
        return TRUE;
}

static gboolean check_value(const char *name, JsonNode *node, guint depth, guint *entries, GError **error);

static gboolean check_object(JsonObject *object, guint depth, guint *entries, GError **error) {
        JsonObjectIter iterator;
        const char *name;
        JsonNode *node;

        json_object_iter_init(&iterator, object);
        while (json_object_iter_next(&iterator, &name, &node))
                if (!check_value(name, node, depth, entries, error))
                        return FALSE;
        return TRUE;
}

static gboolean check_array(const char *name, JsonArray *array, guint depth, guint *entries, GError **error) {
        for (guint i = 0; i < json_array_get_length(array); i++)
                if (!check_value(name, json_array_get_element(array, i), depth, entries, error))
                        return FALSE;
        return TRUE;
}

static gboolean check_value(const char *name, JsonNode *node, guint depth, guint *entries, GError **error) {
        if (++*entries > POSTED_ENTRIES_MAX)
                return wrong(error, "data: expected at most %u entries", POSTED_ENTRIES_MAX);
        if (depth > POSTED_DEPTH_MAX)
                return wrong(error, "data: expected at most %u levels", POSTED_DEPTH_MAX);
        if (strlen(name) < 1 || strlen(name) > 128)
                return wrong(error, "data: expected names of 1 to 128 bytes");
        if (JSON_NODE_HOLDS_NULL(node))
                return wrong(error, "data: %s is null; leave out what there is not", name);
        if (JSON_NODE_HOLDS_OBJECT(node))
                return check_object(json_node_get_object(node), depth + 1, entries, error);
        return !JSON_NODE_HOLDS_ARRAY(node) || check_array(name, json_node_get_array(node), depth + 1, entries, error);
}

static gboolean read_data(JsonNode *node, uint64_t now, PostedEvent *event, GError **error) {
        g_autofree char *text = JSON_NODE_HOLDS_OBJECT(node) ? json_text_compact(node) : NULL;
        g_autoptr(GError) problem = NULL;
        guint entries = 0;

        if (!text)
                return wrong(error, "data: expected an object");
        if (strlen(text) > POSTED_DATA_MAX)
                return wrong(error, "data: expected at most %u bytes", POSTED_DATA_MAX);
        if (!check_object(json_node_get_object(node), 1, &entries, error))
                return FALSE;
        g_free(event->content);
        event->content = g_steal_pointer(&text);
        event->data = snooze_plugin_dictionary_new();
        if (!dictionary_add_json(event->data, json_node_get_object(node), &problem))
                return wrong(error, "data: %s", problem->message);
        return TRUE;
}

/* A type has no blanks. */
static void add_content(PostedEvent *event) {
        g_autofree char *data = g_steal_pointer(&event->content);

        event->content = g_strdup_printf("%s %u %" G_GUINT64_FORMAT " %s", event->type, event->severity,
                                         event->deadline, data ?: "{}");
}

static gboolean read_member(const char *name, JsonNode *node, uint64_t now, PostedEvent *event, GError **error) {
        static const struct {
                const char *name;
                gboolean (*read)(JsonNode *node, uint64_t now, PostedEvent *event, GError **error);
        } members[] = {
                { "id", read_id },
                { "type", read_type },
                { "severity", read_severity },
                { "deadline", read_deadline },
                { "data", read_data },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(members); i++)
                if (g_str_equal(name, members[i].name))
                        return members[i].read(node, now, event, error);
        return wrong(error, "unknown field %.64s: expected id, type, severity, deadline or data", name);
}

gboolean posted_event_read(const char *body, gsize size, uint64_t now, PostedEvent *ret, GError **error) {
        g_auto(PostedEvent) event = { .id = NULL };
        g_autoptr(JsonNode) node = NULL;
        JsonObjectIter iterator;
        const char *name;
        JsonNode *member;

        if (size > POSTED_BODY_MAX)
                return wrong(error, "the body: expected at most %u bytes", POSTED_BODY_MAX);
        node = json_text_parse("the body", body, (gssize) size, error);
        if (!node)
                return FALSE;
        if (!JSON_NODE_HOLDS_OBJECT(node))
                return wrong(error, "the body: expected an object: {\"type\": \"custom.NAME\"}");
        json_object_iter_init(&iterator, json_node_get_object(node));
        while (json_object_iter_next(&iterator, &name, &member))
                if (!read_member(name, member, now, &event, error))
                        return FALSE;
        if (!event.type)
                return wrong(error, "type: expected custom or custom.NAME, it is missing");
        add_content(&event);
        *ret = event;
        event = (PostedEvent){ .id = NULL };
        return TRUE;
}

void posted_event_clear(PostedEvent *event) {
        g_free(event->id);
        g_free(event->type);
        g_free(event->content);
        snooze_plugin_dictionary_free(event->data);
        *event = (PostedEvent){ .id = NULL };
}
