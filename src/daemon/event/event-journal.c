/* SPDX-License-Identifier: Apache-2.0 */

/* Events in the store: one row for each as it stands, and rows of history for people. */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/event/event-private.h"
#include "util/json.h"

/* Owns its event. */
typedef struct Keeping {
        Event *event;
        EventKept done; /* NULL: it went on without */
        uint64_t since;
        GList link;     /* in waiting_for_disk */
} Keeping;

static void go_on(Keeping *keeping, const GError *error) {
        EventKept done = g_steal_pointer(&keeping->done);

        if (!done)
                return;
        g_queue_unlink(&keeping->event->events->waiting_for_disk, &keeping->link);
        if (!keeping->event->events->freeing)
                done(keeping->event, error);
}

static void on_kept(const GError *error, void *userdata) {
        g_autofree Keeping *keeping = userdata;

        go_on(keeping, error);
        event_unref(keeping->event);
}

static void watch_disk(Events *events, uint64_t patience);

/* A notice of the cloud's is worth nothing after its deadline, whatever the disk does. A process that was stopped for
 * a while finds a disk that has done its work. */
static int on_disk_watch(sd_event_source *source, uint64_t usec, void *userdata) {
        Events *events = userdata;
        g_autoptr(GError) error = g_error_new_literal(G_FILE_ERROR, G_FILE_ERROR_AGAIN,
                                                      "the disk does not answer, and is not waited for");
        uint64_t now = clock_monotonic(), busy = store_busy_since(events->with.store);
        gboolean hangs = busy > 0 && usec_sub(now, busy) >= STORE_PATIENCE;
        Keeping *keeping;

        events->disk_watch = sd_event_source_disable_unref(events->disk_watch);
        while ((keeping = g_queue_peek_head(&events->waiting_for_disk)) && hangs &&
               usec_sub(now, keeping->since) >= STORE_PATIENCE)
                go_on(keeping, error);
        if (keeping)
                watch_disk(events, MAX(usec_sub(usec_add(keeping->since, STORE_PATIENCE), now), USEC_PER_SEC / 2));
        return 0;
}

static void watch_disk(Events *events, uint64_t patience) {
        /* Whoever went on just now may have something written already. */
        events->disk_watch = sd_event_source_disable_unref(events->disk_watch);
        (void) sd_event_add_time_relative(events->with.event, &events->disk_watch, CLOCK_MONOTONIC, patience,
                                          USEC_PER_SEC / 4, on_disk_watch, events);
}

static void wait_for_disk(Keeping *keeping) {
        Events *events = keeping->event->events;

        keeping->since = clock_monotonic();
        keeping->link.data = keeping;
        g_queue_push_tail_link(&events->waiting_for_disk, &keeping->link);
        if (!events->disk_watch)
                watch_disk(events, STORE_PATIENCE);
}

static char **from_array(JsonArray *array) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (guint i = 0; array && i < json_array_get_length(array); i++) {
                JsonNode *node = json_array_get_element(array, i);

                if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING)
                        g_strv_builder_add(builder, json_node_get_string(node));
        }
        return g_strv_builder_end(builder);
}

static JsonArray *to_array(char **words) {
        JsonArray *array = json_array_new();

        for (; words && *words; words++)
                json_array_add_string_element(array, *words);
        return array;
}

/* member: with all that stands before its value. */
static void append_array(GString *text, const char *member, JsonArray *array) {
        g_autoptr(JsonNode) node = NULL;
        g_autofree char *words = NULL;

        if (json_array_get_length(array) > 0) {
                node = json_node_init_array(json_node_alloc(), array);
                words = json_text_compact(node);
        }
        g_string_append(text, member);
        g_string_append(text, words ?: "[]");
}

/* What stands about it, put together by hand: it is written often. */
static char *to_data(const Event *event) {
        GString *text = g_string_sized_new(128);

        G_STATIC_ASSERT(EVENT_ORIGIN_COUNT <= 10);
        g_string_append(text, "{\"origin\":");
        g_string_append_c(text, (char) ('0' + event->origin));
        g_string_append(text, event->state == EVENT_OVER ? ",\"over\":true" : ",\"over\":false");
        g_string_append(text, event->acknowledged ? ",\"acknowledged\":true" : ",\"acknowledged\":false");
        append_array(text, ",\"results\":", event->results);
        if (event->cancelled) {
                g_autoptr(JsonArray) to_tell = to_array(event->to_tell);

                append_array(text, ",\"to_tell\":", to_tell);
                append_array(text, ",\"told\":", event->told);
        }
        if (event->moved)
                g_string_append(text, ",\"moved\":true");
        if (event->to_move) {
                g_autoptr(JsonArray) to_move = to_array(event->to_move);

                append_array(text, ",\"to_move\":", to_move);
        }
        g_string_append_c(text, '}');
        return g_string_free(text, FALSE);
}

/* What others make many of must not push out of history what the cloud announced. */
static HistoryKind kind_of(const Event *event) {
        gboolean custom = g_str_equal(event->type, "custom") || g_str_has_prefix(event->type, "custom.");

        if (event->origin == EVENT_ORIGIN_USER)
                return HISTORY_EVENT_OF_USER;
        return event->origin == EVENT_ORIGIN_PLUGIN && custom ? HISTORY_EVENT_OF_PLUGIN : HISTORY_EVENT;
}

void event_keep(Event *event, char *history, EventKept done) {
        char *data = event->gone ? NULL : to_data(event);
        StoreEvent row = { .source = event->source,
                           .id = event->id,
                           .time = event->time,
                           .deadline = event->deadline,
                           .state = STORE_EVENT_OPEN,
                           .kind = kind_of(event),
                           .text = event->gone ? NULL : event_text(event) };
        Keeping *keeping;
        int r;

        if (event->gone)
                row.state = event->origin == EVENT_ORIGIN_PLUGIN && !event->forgotten ? STORE_EVENT_OVER
                                                                                    : STORE_EVENT_GONE;
        if (!done) {
                (void) store_put_event(event->events->with.store, &row, data, clock_realtime(), history, NULL, NULL);
                return;
        }
        keeping = g_new(Keeping, 1);
        *keeping = (Keeping) { .event = event_ref(event), .done = done };
        wait_for_disk(keeping);
        r = store_put_event(event->events->with.store, &row, data, clock_realtime(), history, on_kept, keeping);
        if (r < 0) {
                g_autoptr(GError) error = g_error_new(G_FILE_ERROR, G_FILE_ERROR_AGAIN, "%s", strerror(-r));

                on_kept(error, keeping);
        }
}

static JsonObject *describe_end(const Event *event, gboolean finished) {
        JsonObject *row = json_object_new();

        json_object_set_string_member(row, "id", event->id);
        json_object_set_string_member(row, "type", event->type);
        json_object_set_string_member(row, "source", event->source);
        if (event->moved)
                json_object_set_int_member(row, "deadline", (gint64) event->deadline);
        json_object_set_boolean_member(row, "finished", finished);
        json_object_set_boolean_member(row, "handled", event->handled);
        if (event->cancelled)
                json_object_set_boolean_member(row, "cancelled", TRUE);
        if (finished)
                json_object_set_array_member(row, "results", json_array_ref(event->results));
        if (event->told && json_array_get_length(event->told) > 0)
                json_object_set_array_member(row, "told", json_array_ref(event->told));
        return row;
}

char *journal_row_ended(const Event *event) {
        g_autoptr(JsonObject) row = describe_end(event, TRUE);

        return json_object_text(row);
}

char *journal_row_cancelled(const Event *event) {
        g_autoptr(JsonObject) row = describe_end(event, event->state == EVENT_OVER);

        return json_object_text(row);
}

char *journal_row_moved(const Event *event) {
        g_autoptr(JsonObject) row = describe_end(event, event->state == EVENT_OVER);

        json_object_set_string_member(row, "change", "moved");
        return json_object_text(row);
}

static void forget(Events *events, const char *source, const char *id) {
        (void) store_put_event(
                events->with.store,
                &(StoreEvent){ .source = (char *) source, .id = (char *) id, .state = STORE_EVENT_GONE }, NULL, 0,
                NULL, NULL, NULL);
}

void journal_remember(Events *events, const char *source, const char *id) {
        g_autofree char *forgotten = memory_add(events->memory, source, id);

        if (forgotten)
                forget(events, source, forgotten);
}

/* What this daemon wrote itself, but perhaps another version of it: NULL where it makes no sense. */
static Event *from_row(Events *events, const StoreEvent *row) {
        JsonObject *object = row->object ?: json_get_object(row->data, "event");
        gint64 origin = json_get_int(row->data, "origin", -1);
        JsonArray *results = json_get_array(row->data, "results"), *told = json_get_array(row->data, "told");
        Event *event;

        if (!object || !results || origin < 0 || origin >= EVENT_ORIGIN_COUNT ||
            !event_type_find(json_get_string(object, "type", "")))
                return NULL;
        event = event_new_from(events, (EventOrigin) origin, row->id, row->source, object);
        event->time = row->time;
        for (guint i = 0; i < json_array_get_length(results); i++) {
                JsonNode *node = json_array_get_element(results, i);

                if (!JSON_NODE_HOLDS_OBJECT(node))
                        continue;
                json_array_add_object_element(event->results, json_node_dup_object(node));
                event->handled |= json_get_boolean(json_node_get_object(node), "handled", FALSE);
        }
        event->acknowledged = json_get_boolean(row->data, "acknowledged", FALSE);
        event->kept = json_get_boolean(row->data, "over", FALSE);
        event->moved = json_get_boolean(row->data, "moved", FALSE);
        if (json_get_array(row->data, "to_move"))
                event->to_move = from_array(json_get_array(row->data, "to_move"));
        if (json_get_array(row->data, "to_tell")) {
                event->cancelled = TRUE;
                event->to_tell = from_array(json_get_array(row->data, "to_tell"));
                event->told = told ? json_array_ref(told) : json_array_new();
        }
        return event;
}

/* A stop of the daemon before is announced anew, in full, if it still is one. */
static gboolean is_superseded(const Event *event) {
        return event->origin == EVENT_ORIGIN_OWN && g_str_equal(event->source, EVENT_SOURCE_OWN) &&
                g_str_equal(event->type, EVENT_STOP_PENDING);
}

static void resume(Event *event, uint64_t now) {
        if (event->kept)
                event->state = EVENT_OVER;
        event_add(event);
        if (event->kept) {
                if (event->cancelled)
                        event_tell_cancelled(event);
                else if (event->to_move)
                        event_tell_moved(event);
                else
                        event_retire(event);
        } else if (event->origin == EVENT_ORIGIN_PLUGIN && event->cancelled)
                event_go_on(event);
        else if (event->deadline > now && !is_superseded(event)) {
                log_notice("Event %s (%s) goes on: %u handlers had ended.", event->id, event->type,
                           json_array_get_length(event->results));
                event_go_on(event);
                if (event->to_move)
                        event_tell_moved(event);
        } else if (event->origin == EVENT_ORIGIN_PLUGIN) {
                event_stop_telling_moved(event);
                event_await(event);
        } else {
                log_notice("Event %s (%s) ends: %s.", event->id, event->type,
                           is_superseded(event) ? "its daemon is gone" : "its deadline passed while no daemon ran");
                event_finish(event);
        }
}

static void on_events(GPtrArray *rows, const GError *error, void *userdata) {
        Events *events = userdata;
        uint64_t now = clock_realtime();

        if (events->freeing)
                return;
        if (error)
                log_warning("What became of earlier events is not known: %s", error->message);
        for (guint i = 0; rows && i < rows->len; i++) {
                const StoreEvent *row = g_ptr_array_index(rows, i);
                Event *event = row->state == STORE_EVENT_OPEN ? from_row(events, row) : NULL;

                if (event)
                        resume(event, now);
                else
                        journal_remember(events, row->source, row->id);
        }
        events->restored = TRUE;
        sources_begin(events->sources);
        if (events->with.restored)
                events->with.restored(events->with.userdata);
}

void events_restore(Events *events) {
        if (store_get_events(events->with.store, on_events, events) < 0)
                on_events(NULL, NULL, events);
}
