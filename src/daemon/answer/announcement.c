/* SPDX-License-Identifier: Apache-2.0 */

/* What a source announces, read: of a signal that a plugin sent either an event of ours, or a sentence. */

#include "daemon/answer/announcement.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/event-types.h"
#include "bus/dictionary.h"
#include "daemon/answer/sizes.h"
#include "util/json.h"
#include "util/line.h"

/* Every event is kept for a while, so one is smaller than what a plugin may say: its data (event_data_fits()), and
 * beside it an id, a type and the names of the fields. */
static const DictionaryLimits limits = { .depth = 9, .entries = 256, .key_max = 128, .bytes = EVENT_DATA_MAX + 1024 };

G_GNUC_PRINTF(2, 3)
static int refuse(char **ret_problem, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        *ret_problem = g_strdup_vprintf(format, ap);
        va_end(ap);
        /* Its own words are in it, and it goes into the journal. */
        line_clean(*ret_problem);
        return -EBADMSG;
}

static gboolean id_valid(const char *id) {
        if (!*id || strlen(id) > EVENT_ID_MAX)
                return FALSE;
        for (const char *p = id; *p; p = g_utf8_next_char(p))
                if (character_steers(g_utf8_get_char(p)))
                        return FALSE;
        return TRUE;
}

gboolean event_data_fits(JsonObject *data) {
        g_autofree char *text = data ? json_object_text(data) : NULL;

        return !text || strlen(text) <= EVENT_DATA_MAX;
}

static gboolean holds(JsonNode *node, GType type) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == type;
}

/* What the daemon says itself is not a source's to announce. What the cloud and the system say makes handlers stop
 * services and signal jobs, and keeps the machine on: only who is the cloud's voice, or whoever is allowed to emit
 * such events, announces it. */
static gboolean type_valid(const char *type, gboolean of_cloud) {
        if (g_str_has_prefix(type, "cloud.") || g_str_has_prefix(type, "system."))
                return of_cloud && event_type_find(type);
        return event_type_find(type) && !g_str_has_prefix(type, "snooze.");
}

static const char *check_type(JsonNode *node, gboolean of_cloud) {
        if (holds(node, G_TYPE_STRING) && type_valid(json_node_get_string(node), of_cloud))
                return NULL;
        return of_cloud ? "custom, custom.* or one of the cloud's and the system's types in snoozed(8)"
                        : "custom or custom.*; those of the cloud and the system take the contract CloudProvider in "
                          "the manifest";
}

static const char *check_member(const char *key, JsonNode *node, gboolean of_cloud) {
        if (g_str_equal(key, "id"))
                return holds(node, G_TYPE_STRING) && id_valid(json_node_get_string(node))
                               ? NULL
                               : "a line of 1 to 128 bytes";
        if (g_str_equal(key, "type"))
                return check_type(node, of_cloud);
        if (g_str_equal(key, "source"))
                return holds(node, G_TYPE_STRING) ? NULL : "a string";
        if (g_str_equal(key, "severity"))
                return holds(node, G_TYPE_INT64) && json_node_get_int(node) >= 0 &&
                                       json_node_get_int(node) <= SEVERITY_CRITICAL
                               ? NULL
                               : "0 to 3";
        if (g_str_equal(key, "timestamp") || g_str_equal(key, "deadline"))
                return holds(node, G_TYPE_INT64) && json_node_get_int(node) >= 0 ? NULL
                                                                                 : "microseconds since the epoch";
        if (g_str_equal(key, "data"))
                return JSON_NODE_HOLDS_OBJECT(node) && event_data_fits(json_node_get_object(node))
                               ? NULL
                               : "a dictionary, 16 KiB as JSON";
        return "no such field: id, type, source, timestamp, severity, deadline or data";
}

static int check(JsonObject *announced, gboolean of_cloud, char **ret_problem) {
        JsonObjectIter iterator;
        const char *key;
        JsonNode *node;

        json_object_iter_init(&iterator, announced);
        while (json_object_iter_next(&iterator, &key, &node)) {
                const char *expected = check_member(key, node, of_cloud);

                if (expected)
                        return refuse(ret_problem, "announced an event whose field %s is not what was expected: %s",
                                      key, expected);
        }
        if (!json_object_has_member(announced, "id") || !json_object_has_member(announced, "type"))
                return refuse(ret_problem, "announced an event without an id or a type");
        return 0;
}

int announcement_read(sd_bus_message *signal, const char *source, gboolean of_cloud, uint64_t now, JsonObject **ret,
                      gboolean *ret_timed, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) announced = NULL, event = NULL;
        const EventType *type;
        JsonObject *data;
        gint64 timestamp, deadline, severity;
        int r;

        if (!sd_bus_message_has_signature(signal, "a{sv}"))
                return refuse(ret_problem, "announced “%s”, expected “a{sv}”",
                              sd_bus_message_get_signature(signal, true) ?: "");
        if (dictionary_read(signal, &limits, &announced, &error) < 0)
                return refuse(ret_problem, "announced what is no event: %s", error.message ?: "not a{sv}");
        r = check(announced, of_cloud, ret_problem);
        if (r < 0)
                return r;
        type = event_type_find(json_get_string(announced, "type", ""));
        severity = json_get_int(announced, "severity", 0);
        timestamp = json_get_int(announced, "timestamp", 0);
        deadline = json_get_int(announced, "deadline", 0);
        data = json_get_object(announced, "data");

        event = json_object_new();
        json_object_set_string_member(event, "id", json_get_string(announced, "id", ""));
        json_object_set_string_member(event, "type", json_get_string(announced, "type", ""));
        /* Who it is, not who it says it is. */
        json_object_set_string_member(event, "source", source);
        json_object_set_int_member(event, "timestamp",
                                   timestamp > 0 && timestamp <= (gint64) now ? timestamp : (gint64) now);
        json_object_set_int_member(event, "severity", severity > 0 ? severity : (gint64) type->severity);
        json_object_set_int_member(event, "deadline", deadline > 0 ? deadline : (gint64) (now + type->deadline));
        json_object_set_object_member(event, "data", data ? json_object_ref(data) : json_object_new());
        *ret = g_steal_pointer(&event);
        *ret_timed = deadline > 0;
        return 0;
}

int announcement_read_cancelled(sd_bus_message *signal, const char **ret_id, char **ret_problem) {
        if (sd_bus_message_read(signal, "s", ret_id) < 0 || !id_valid(*ret_id))
                return refuse(ret_problem, "cancelled an event whose id is not a line of 1 to 128 bytes");
        return 0;
}
