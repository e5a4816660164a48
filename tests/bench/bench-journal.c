/* SPDX-License-Identifier: Apache-2.0 */

/* Row "journal": events of sixteen users that are let in at once, until the last one is on the disk, signalled, and
 * waits for its turn, beside as many rows of history in the same database, 64 to a commit, each with the text of such
 * an event; µs an event. In turn, on one CPU, which the bus has, too; medians.
 *
 * An event is signalled when its signal has left for the bus, also where the bus is slower and has to be waited for.
 * What the bus has still to do then is waited for before the row beside is measured, which has no bus, but waits for
 * the disk, while a bus with much to do would take the CPU. */

#include <string.h>

#include "base/clock.h"
#include "callers.h"
#include "daemon/event/event-private.h"
#include "daemon/store/database.h"
#include "util/json.h"

#define ROUNDS 15U
#define EVENTS 1024U
#define GROUP 64U
/* Half as many in the same time. */
#define GOAL 2.0

static bool all_kept(const Events *events) {
        for (guint i = 0; i < events->list->len; i++)
                if (((const Event *) g_ptr_array_index(events->list, i))->state == EVENT_WRITING)
                        return false;
        return true;
}

/* It answers when all that was sent before is through. */
static void wait_for_bus(Callers *callers) {
        bench_check(sd_bus_call_method(callers->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                       "org.freedesktop.DBus", "GetId", NULL, NULL, NULL),
                    "the bus");
}

static double measure_events(Callers *callers, const Config *config, unsigned count, JsonObject *data) {
        double begun, value;
        Events *events;
        Event *others;

        bench_check(events_new(&(EventsParameters){ .bus = callers->connection,
                                                    .event = callers->event,
                                                    .config = (Config *) config,
                                                    .store = callers->store,
                                                    .plugins = callers->plugins },
                               &events),
                    "events");
        /* Every turn is taken: what becomes of them then is another row. */
        others = g_new0(Event, GROUP);
        for (unsigned i = 0; i < GROUP; i++) {
                others[i] = (Event) { .origin = EVENT_ORIGIN_USER, .source = (char *) "somebody" };
                g_ptr_array_add(events->turns, &others[i]);
        }
        begun = bench_now_usec();
        for (unsigned i = 0; i < count; i++) {
                char user[16];

                g_snprintf(user, sizeof(user), "user%u", i / EVENTS_PER_SOURCE_MAX);
                bench_check(events_emit_by_user(events, "custom", user, 0, 0, data, NULL), "the event");
        }
        do
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
        while (!all_kept(events));
        bench_check(sd_bus_flush(callers->connection), "the bus");
        value = bench_now_usec() - begun;
        wait_for_bus(callers);
        events_free(events);
        g_free(others);
        return value / count;
}

static double measure_bare(Database *database, unsigned count, const char *text) {
        double begun = bench_now_usec();

        for (unsigned i = 0; i < count; i += GROUP) {
                if (!database_begin(database, TRUE, NULL))
                        g_error("no transaction");
                for (unsigned j = 0; j < GROUP; j++)
                        if (!database_append(database, clock_realtime(), HISTORY_EVENT, text, NULL))
                                g_error("no row");
                if (!database_commit(database, NULL))
                        g_error("no commit");
        }
        return (bench_now_usec() - begun) / count;
}

/* The journal never has more than what is under way at once, and whatever an earlier turn left is in the database
 * itself before the next: neither side pays for the other's. */
static void clear_journal(Database *database) {
        if (sqlite3_exec(database_handle(database), "DELETE FROM event; PRAGMA wal_checkpoint", NULL, NULL, NULL) !=
            SQLITE_OK)
                g_error("the journal cannot be cleared");
}

/* What the journal has of an event. */
static char *text_of_event(JsonObject *data) {
        g_autoptr(JsonObject) object = json_object_new();
        g_autofree char *id = g_uuid_string_random();
        gint64 now = (gint64) clock_realtime();

        json_object_set_string_member(object, "id", id);
        json_object_set_string_member(object, "type", "custom");
        json_object_set_string_member(object, "source", "user10");
        json_object_set_int_member(object, "timestamp", now);
        json_object_set_int_member(object, "severity", 0);
        json_object_set_int_member(object, "deadline", now);
        json_object_set_object_member(object, "data", json_object_ref(data));
        return json_object_text(object);
}

int main(int argc, char **argv) {
        bool smoke = bench_is_smoke(argc, argv);
        unsigned rounds = smoke ? 3 : ROUNDS, count = smoke ? GROUP : EVENTS;
        g_autofree char *directory = NULL, *text = NULL;
        g_autoptr(Config) config = config_new_default();
        g_autoptr(JsonObject) data = json_object_new();
        double journal[ROUNDS], bare[ROUNDS];
        Callers callers = {};
        Database *database;

        json_object_set_string_member(
                data, "reason",
                "a benchmark of as many bytes as an event has, with id, type, source, severity, "
                "timestamp and deadline, which come to some two hundred more of them by themselves");
        text = text_of_event(data);
        bench_pin();
        callers_begin(&callers, argv[0]);
        directory = g_build_filename(callers.bus.directory, "state", NULL);
        (void) measure_events(&callers, config, count, data);
        database = database_open(directory, NULL);
        if (!database)
                g_error("the database cannot be opened twice");
        (void) measure_bare(database, count, text);
        for (unsigned i = 0; i < rounds; i++) {
                bare[i] = measure_bare(database, count, text);
                clear_journal(database);
                journal[i] = measure_events(&callers, config, count, data);
                clear_journal(database);
        }
        database_close(database);
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "journal", .unit = "µs", .value = bench_median(journal, rounds),
                                 .beside = bench_median(bare, rounds), .goal = GOAL },
                    1);
        return 0;
}
