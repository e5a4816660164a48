/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "bus/actions.h"
#include "bus/dictionary.h"
#include "daemon/answer/announcement.h"
#include "daemon/manager-bus.h"

#define LIST_MAX 1000U

/* Every event is kept for a year, so one is smaller than what a plugin may say. */
static const DictionaryLimits data_limits = { .depth = 8, .entries = 256, .key_max = 128, .bytes = EVENT_DATA_MAX };

static gboolean is_custom(const char *type) {
        return strcmp(type, "custom") == 0 || g_str_has_prefix(type, "custom.");
}

int method_emit_event(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_autoptr(JsonObject) data = NULL;
        g_autofree char *user = NULL;
        const char *type, *id;
        char level[16];
        uint32_t severity;
        uint64_t deadline;
        uid_t uid;
        int r;

        r = sd_bus_message_read(message, "sut", &type, &severity, &deadline);
        if (r >= 0)
                r = check_text("type", type, EVENT_TYPE_MAX, FALSE, error);
        if (r >= 0)
                r = dictionary_read(message, &data_limits, &data, error);
        if (r < 0)
                return r;
        if (!event_type_find(type))
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "type is '%s', expected custom, custom.* or one of the types in snoozed(8).",
                                         type);
        if (severity == EVENT_SEVERITY_DEFAULT)
                severity = event_type_find(type)->severity;
        if (severity > SEVERITY_CRITICAL)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "severity is %u, expected 0 to 3, or 4294967295 for that of its type.",
                                         severity);
        if (!event_data_fits(data))
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                         "data is too long, expected at most %u bytes as JSON.", EVENT_DATA_MAX);
        if (deadline > INT64_MAX)
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT, "deadline lies beyond what can be kept.");

        r = manager_caller(manager, message, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        g_snprintf(level, sizeof(level), "%u", severity);
        r = authorize(manager->authorizer, message,
                      is_custom(type) && severity <= SEVERITY_WARNING ? ACTION_EMIT_EVENT : ACTION_EMIT_SYSTEM_EVENT,
                      (const char *[]) { "type", type, "severity", level, NULL }, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        user = user_name(uid);
        r = manager_take_turn(manager, uid, error);
        if (r < 0)
                return r;
        r = events_emit_by_user(manager->events, type, user, severity, deadline, data, &id);
        if (r == -EDQUOT)
                return sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                         "%u events of one user, or %u of all, are under way; try again.",
                                         EVENTS_PER_SOURCE_MAX, EVENTS_PENDING_MAX);
        return r < 0 ? r : sd_bus_reply_method_return(message, "s", id);
}

static char *full_name(JsonObject *row) {
        return g_strconcat(json_get_string(row, "source", ""), "\n", json_get_string(row, "id", ""), NULL);
}

static void take_member(JsonObject *event, JsonObject *end, const char *member) {
        JsonNode *node = end ? json_object_get_member(end, member) : NULL;

        if (node)
                json_object_set_member(event, member, json_node_copy(node));
}

/* How it went on is known by rows of their own, newer than its own: the newest has everything. */
static void add_end(JsonObject *event, JsonObject *end) {
        static const char *const members[] = { "finished", "handled", "results", "cancelled", "told", "deadline" };

        json_object_set_boolean_member(event, "finished", FALSE);
        json_object_set_boolean_member(event, "cancelled", FALSE);
        for (size_t i = 0; i < G_N_ELEMENTS(members); i++)
                take_member(event, end, members[i]);
}

static GPtrArray *join_rows(GPtrArray *rows, guint max) {
        g_autoptr(GHashTable) ends = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        GPtrArray *events = g_ptr_array_new();

        for (guint i = 0; i < rows->len && events->len < max; i++) {
                JsonObject *row = g_ptr_array_index(rows, i);
                g_autofree char *name = full_name(row);

                if (!json_object_has_member(row, "finished")) {
                        add_end(row, g_hash_table_lookup(ends, name));
                        g_ptr_array_add(events, row);
                } else if (!g_hash_table_contains(ends, name))
                        g_hash_table_insert(ends, g_steal_pointer(&name), row);
        }
        return events;
}

static void events_known(GPtrArray *rows, const GError *error, void *userdata) {
        sd_bus_message *call = userdata;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autoptr(GPtrArray) events = NULL;
        uint32_t max = 0;
        int r;

        if (error) {
                (void) sd_bus_reply_method_errorf(call, ERROR_STORE, "History is not readable: %s", error->message);
                sd_bus_message_unref(call);
                return;
        }
        r = sd_bus_message_rewind(call, TRUE);
        if (r >= 0)
                r = sd_bus_message_read(call, "u", &max);
        events = join_rows(rows, max);
        if (r >= 0)
                r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = append_rows(reply, events, (const char *[]) { "severity", "u", NULL });
        if (r >= 0)
                (void) sd_bus_send(NULL, reply, NULL);
        else
                (void) sd_bus_reply_method_errorf(call, ERROR_STORE, "History could not be told: %s", g_strerror(-r));
        sd_bus_message_unref(call);
}

static void events_known_to_others(GPtrArray *rows, const GError *error, void *userdata) {
        history_hide(rows);
        events_known(rows, error, userdata);
}

int method_list_events(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        gboolean trusted;
        uint32_t max;
        int r;

        r = sd_bus_message_read(message, "u", &max);
        if (r < 0)
                return r;
        if (max < 1 || max > LIST_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "max is %u, expected 1 to %u.", max, LIST_MAX);
        r = history_reader(manager, message, &trusted, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        /* Each event has two rows, its own and that of its end (more if it was cancelled), and others may have ended
         * between them. */
        return history_query(manager, message,
                             &(HistoryRange) { 0, UINT64_MAX, 2 * max + EVENTS_PENDING_MAX, HISTORY_EVENTS },
                             trusted ? events_known : events_known_to_others, error);
}
