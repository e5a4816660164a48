/* SPDX-License-Identifier: Apache-2.0 */

/* The database below the store: versions, growing old, being put aside. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/store/database.h"

#define NOW (UINT64_C(1700000000) * USEC_PER_SEC)
#define SAMPLES (1U << HISTORY_SAMPLE)

typedef struct Fixture {
        char *directory;
        Database *database;
} Fixture;

static void setup(Fixture *f, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        f->directory = g_dir_make_tmp("snooze-database-XXXXXX", NULL);
        f->database = database_open(f->directory, &error);
        g_assert_no_error(error);
}

static void teardown(Fixture *f, gconstpointer unused) {
        const char *argv[] = { "rm", "-rf", f->directory, NULL };

        database_close(f->database);
        g_assert_true(
                g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
        g_free(f->directory);
}

static unsigned user_version(sqlite3 *db) {
        sqlite3_stmt *statement;
        unsigned version;

        g_assert_cmpint(sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
        version = (unsigned) sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        return version;
}

static gboolean has_table(sqlite3 *db, const char *name) {
        g_autofree char *text = g_strdup_printf("SELECT * FROM %s", name);

        return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK;
}

static void test_upgrade(void) {
        static const char *const steps[] = { "CREATE TABLE one (a)",
                                             "CREATE TABLE two (b); INSERT INTO one VALUES (1)",
                                             "ALTER TABLE one ADD COLUMN c; CREATE TABLE three (d)" };
        g_autoptr(GError) error = NULL;
        sqlite3 *db;

        g_assert_cmpint(sqlite3_open(":memory:", &db), ==, SQLITE_OK);
        g_assert_true(database_upgrade(db, steps, 1, &error));
        g_assert_cmpuint(user_version(db), ==, 1);
        g_assert_false(has_table(db, "two"));
        /* From any older version, without repeating what is done. */
        g_assert_true(database_upgrade(db, steps, 3, &error));
        g_assert_no_error(error);
        g_assert_cmpuint(user_version(db), ==, 3);
        g_assert_true(has_table(db, "two"));
        g_assert_true(database_upgrade(db, steps, 3, &error));
        sqlite3_close(db);
}

static void test_upgrade_fails_whole(void) {
        static const char *const steps[] = { "CREATE TABLE one (a)",
                                             "CREATE TABLE two (b); INSERT INTO nowhere VALUES (1)" };
        g_autoptr(GError) error = NULL;
        sqlite3 *db;

        g_assert_cmpint(sqlite3_open(":memory:", &db), ==, SQLITE_OK);
        g_assert_false(database_upgrade(db, steps, 2, &error));
        g_assert_error(error, DATABASE_ERROR, DATABASE_ERROR_FAILED);
        g_assert_cmpuint(user_version(db), ==, 1);
        g_assert_true(has_table(db, "one"));
        g_assert_false(has_table(db, "two"));
        g_assert_cmpint(sqlite3_get_autocommit(db), !=, 0);
        sqlite3_close(db);
}

static void test_newer_is_left_alone(Fixture *f, gconstpointer unused) {
        g_autoptr(GError) error = NULL;

        g_assert_cmpuint(user_version(database_handle(f->database)), ==, 4);
        g_assert_cmpint(sqlite3_exec(database_handle(f->database), "PRAGMA user_version = 5", NULL, NULL, NULL), ==,
                        SQLITE_OK);
        g_clear_pointer(&f->database, database_close);
        f->database = database_open(f->directory, &error);
        g_assert_null(f->database);
        g_assert_error(error, DATABASE_ERROR, DATABASE_ERROR_NEWER);
}

static void append(Fixture *f, uint64_t time, HistoryKind kind, const char *data) {
        g_autoptr(GError) error = NULL;

        g_assert_true(database_append(f->database, time, kind, data, &error));
        g_assert_no_error(error);
}

static GPtrArray *query(Fixture *f, unsigned kinds) {
        GPtrArray *rows = database_query(f->database, 0, UINT64_MAX, STORE_QUERY_MAX, kinds, NULL);

        g_assert_nonnull(rows);
        return rows;
}

/* To the end; the number of steps it took. */
static unsigned thin(Fixture *f, uint64_t now) {
        g_autoptr(GError) error = NULL;
        gboolean more = TRUE;
        unsigned steps = 0;

        while (more) {
                g_assert_true(database_thin(f->database, now, &more, &error));
                g_assert_no_error(error);
                steps++;
                g_assert_cmpuint(steps, <, 1000);
        }
        return steps;
}

static void begin(Fixture *f) {
        g_assert_true(database_begin(f->database, FALSE, NULL));
}

static void commit(Fixture *f) {
        g_assert_true(database_commit(f->database, NULL));
}

static void test_samples_become_fewer(Fixture *f, gconstpointer unused) {
        const uint64_t begun = NOW - NOW % USEC_PER_HOUR;
        g_autoptr(GPtrArray) before = NULL, minutes = NULL, tens = NULL, none = NULL;
        JsonObject *row;

        begin(f);
        for (uint64_t i = 0; i < 720; i++) {
                g_autofree char *data = g_strdup_printf("{\"cpu_usage\":%u.5,\"network_kbps\":%u,\"note\":\"n%u\"}",
                                                        (unsigned) i, (unsigned) (i % 2), (unsigned) i);

                append(f, begun + i * 5 * USEC_PER_SEC, HISTORY_SAMPLE, data);
        }
        commit(f);

        /* A day old they are left as they are. */
        thin(f, begun + USEC_PER_DAY);
        before = query(f, SAMPLES);
        g_assert_cmpuint(before->len, ==, 720);

        thin(f, begun + USEC_PER_DAY + USEC_PER_HOUR);
        minutes = query(f, SAMPLES);
        g_assert_cmpuint(minutes->len, ==, 60);
        row = minutes->pdata[59];
        g_assert_cmpint(json_object_get_int_member(row, "time"), ==, (gint64) begun);
        g_assert_cmpfloat(json_object_get_double_member(row, "cpu_usage"), ==, 6.0);
        g_assert_cmpfloat(json_object_get_double_member(row, "network_kbps"), ==, 0.5);
        g_assert_cmpstr(json_object_get_string_member(row, "note"), ==, "n0");

        thin(f, begun + 8 * USEC_PER_DAY);
        tens = query(f, SAMPLES);
        g_assert_cmpuint(tens->len, ==, 6);
        g_assert_cmpfloat(json_object_get_double_member(tens->pdata[5], "cpu_usage"), ==, 60.0);
        g_assert_cmpfloat(json_object_get_double_member(tens->pdata[0], "cpu_usage"), ==, 660.0);

        thin(f, begun + 91 * USEC_PER_DAY + USEC_PER_HOUR);
        none = query(f, SAMPLES);
        g_assert_cmpuint(none->len, ==, 0);
}

/* A machine that was off for months: no stretch of it is walked through. */
static void test_empty_stretches(Fixture *f, gconstpointer unused) {
        append(f, NOW - 80 * USEC_PER_DAY, HISTORY_SAMPLE, "{\"cpu_usage\":1}");
        append(f, NOW - 80 * USEC_PER_DAY + USEC_PER_SEC, HISTORY_SAMPLE, "{\"cpu_usage\":2}");
        append(f, NOW - 2 * USEC_PER_DAY, HISTORY_SAMPLE, "{\"cpu_usage\":3}");
        g_assert_cmpuint(thin(f, NOW), <, 6);
        g_assert_cmpuint(thin(f, NOW), ==, 1);
        {
                g_autoptr(GPtrArray) rows = query(f, SAMPLES);

                g_assert_cmpuint(rows->len, ==, 2);
        }
}

static void test_history_ends(Fixture *f, gconstpointer unused) {
        g_autoptr(GPtrArray) rows = NULL;

        append(f, NOW - 366 * USEC_PER_DAY, HISTORY_STATE, "{}");
        append(f, NOW - 364 * USEC_PER_DAY, HISTORY_STATE, "{}");
        thin(f, NOW);
        rows = query(f, 0);
        g_assert_cmpuint(rows->len, ==, 1);
}

static void test_history_is_bounded(Fixture *f, gconstpointer unused) {
        g_autoptr(GPtrArray) rows = NULL;
        sqlite3_stmt *statement;

        begin(f);
        append(f, NOW - 1, HISTORY_STOP, "{}");
        for (unsigned i = 0; i < HISTORY_ROWS_MAX + 2500; i++)
                append(f, NOW + i, HISTORY_EVENT, "{}");
        commit(f);
        g_assert_cmpuint(thin(f, NOW), ==, 4);
        g_assert_cmpint(sqlite3_prepare_v2(database_handle(f->database),
                                           "SELECT count(*), min(time) FROM history WHERE kind = 4", -1, &statement,
                                           NULL),
                        ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
        g_assert_cmpuint((unsigned) sqlite3_column_int(statement, 0), ==, HISTORY_ROWS_MAX);
        g_assert_cmpuint((uint64_t) sqlite3_column_int64(statement, 1), ==, NOW + 2500);
        sqlite3_finalize(statement);
        /* Many events do not push out what else happened. */
        rows = query(f, 1U << HISTORY_STOP);
        g_assert_cmpuint(rows->len, ==, 1);
        g_clear_pointer(&rows, g_ptr_array_unref);
        rows = query(f, 0);
        g_assert_cmpuint(rows->len, ==, STORE_QUERY_MAX);
}

/* Whoever emits many events, or posts many to a plugin, pushes out none of the cloud's, and those of the others
 * neither. */
static void test_events_crowd_their_like(Fixture *f, gconstpointer unused) {
        g_autoptr(GPtrArray) rows = NULL;

        begin(f);
        append(f, NOW - 3, HISTORY_EVENT, "{\"type\":\"cloud.spot.interrupt\"}");
        append(f, NOW - 2, HISTORY_EVENT_OF_PLUGIN, "{}");
        append(f, NOW - 1, HISTORY_EVENT_OF_USER, "{}");
        for (unsigned i = 0; i < 21000; i++)
                append(f, NOW + i, HISTORY_EVENT_OF_USER, "{}");
        commit(f);
        (void) thin(f, NOW);
        rows = query(f, HISTORY_EVENTS);
        g_assert_cmpuint(rows->len, ==, HISTORY_EVENT_OF_OTHERS_ROWS_MAX + 2);
        /* The newest come first, and all are events to whoever reads them. */
        g_assert_cmpstr(json_object_get_string_member(g_ptr_array_index(rows, rows->len - 1), "type"), ==,
                        "cloud.spot.interrupt");
        for (guint i = 0; i < rows->len; i++)
                g_assert_cmpstr(json_object_get_string_member(g_ptr_array_index(rows, i), "kind"), ==, "event");
        g_clear_pointer(&rows, g_ptr_array_unref);
        rows = query(f, 1U << HISTORY_EVENT_OF_PLUGIN);
        g_assert_cmpuint(rows->len, ==, 1);
}

/* SQLite's own limit stands for a full disk: the group is gone as a whole, what was there stays. */
static void test_full(Fixture *f, gconstpointer unused) {
        g_autofree char *large = g_strnfill(100000, 'x'), *value = g_strdup_printf("{\"value\":\"%s\"}", large);
        g_autoptr(GHashTable) records = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(database_put(f->database, "hold/1", "{\"value\":1}", NULL));
        g_assert_cmpint(sqlite3_exec(database_handle(f->database), "PRAGMA max_page_count = 12", NULL, NULL, NULL), ==,
                        SQLITE_OK);
        begin(f);
        g_assert_true(database_put(f->database, "hold/2", "{\"value\":2}", NULL));
        g_assert_false(database_put(f->database, "large", value, &error));
        g_assert_error(error, DATABASE_ERROR, DATABASE_ERROR_FAILED);
        database_rollback(f->database);
        records = database_get(f->database, "", NULL);
        g_assert_cmpuint(g_hash_table_size(records), ==, 1);
        g_assert_true(g_hash_table_contains(records, "hold/1"));
        begin(f);
        g_assert_true(database_put(f->database, "hold/2", "{\"value\":2}", NULL));
        commit(f);
}

/* What somebody wrote into it by hand hides nothing else. */
static void test_rubbish_rows(Fixture *f, gconstpointer unused) {
        g_autoptr(GHashTable) records = NULL;
        g_autoptr(GPtrArray) rows = NULL;

        g_assert_true(database_put(f->database, "a", "not JSON", NULL));
        g_assert_true(database_put(f->database, "b", "[1]", NULL));
        g_assert_true(database_put(f->database, "c", "{\"value\":1}", NULL));
        append(f, 1, HISTORY_STATE, "{");
        append(f, 2, (HistoryKind) 31, "{}");
        append(f, 3, HISTORY_STATE, "{}");
        records = database_get(f->database, "", NULL);
        g_assert_cmpuint(g_hash_table_size(records), ==, 1);
        rows = query(f, 0);
        g_assert_cmpuint(rows->len, ==, 1);
}

/* What the first version of the schema left behind is taken over as it is. */
static void test_upgrade_from_first(Fixture *f, gconstpointer unused) {
        g_autoptr(GBytes) blob = g_bytes_new_static("seven", 5);
        g_autoptr(GHashTable) records = NULL;
        g_autoptr(GPtrArray) rows = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(database_put(f->database, "hold/1", "{\"value\":1}", NULL));
        append(f, NOW, HISTORY_STOP, "{}");
        g_assert_cmpint(sqlite3_exec(database_handle(f->database),
                                     "DROP TABLE plugin_state; DROP TABLE event; PRAGMA user_version = 1", NULL, NULL,
                                     NULL),
                        ==, SQLITE_OK);
        g_clear_pointer(&f->database, database_close);

        f->database = database_open(f->directory, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(user_version(database_handle(f->database)), ==, 4);
        records = database_get(f->database, "", NULL);
        g_assert_true(g_hash_table_contains(records, "hold/1"));
        rows = query(f, 0);
        g_assert_cmpuint(rows->len, ==, 1);
        g_assert_true(database_put_state(f->database, "one", 1, "1.0", blob, NOW, &error));
        g_assert_no_error(error);
}

/* The second knew no journal of events. */
static void test_upgrade_from_second(Fixture *f, gconstpointer unused) {
        const StoreEvent event = { .source = (char *) "aws", .id = (char *) "i-1", .time = NOW, .deadline = NOW + 1 };
        g_autoptr(GBytes) blob = g_bytes_new_static("seven", 5);
        g_autoptr(StoreState) state = NULL;
        g_autoptr(GPtrArray) events = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(database_put_state(f->database, "one", 1, "1.0", blob, NOW, NULL));
        g_assert_cmpint(sqlite3_exec(database_handle(f->database), "DROP TABLE event; PRAGMA user_version = 2", NULL,
                                     NULL, NULL),
                        ==, SQLITE_OK);
        g_clear_pointer(&f->database, database_close);

        f->database = database_open(f->directory, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(user_version(database_handle(f->database)), ==, 4);
        g_assert_true(database_get_state(f->database, "one", NULL, &state, NULL));
        g_assert_nonnull(state);
        g_assert_true(database_put_event(f->database, &event, "{}", 0, NULL, &error));
        g_assert_no_error(error);
        events = database_get_events(f->database, NULL);
        g_assert_cmpuint(events->len, ==, 1);
}

static void put_event(Fixture *f, const char *id, uint64_t time, StoreEventState state, const char *data) {
        const StoreEvent event = {
                .source = (char *) "aws", .id = (char *) id, .time = time, .deadline = time + 1, .state = state
        };
        g_autoptr(GError) error = NULL;

        g_assert_true(database_put_event(f->database, &event, data, 0, NULL, &error));
        g_assert_no_error(error);
}

/* Each is one row, replaced whole; what is over is remembered by its name, and expires. */
static void test_journal_of_events(Fixture *f, gconstpointer unused) {
        g_autoptr(GPtrArray) events = NULL;
        const StoreEvent *event;
        gboolean more = TRUE;

        put_event(f, "first", NOW, STORE_EVENT_OPEN, "{\"step\":1}");
        put_event(f, "second", NOW + 1, STORE_EVENT_OPEN, "{\"step\":1}");
        put_event(f, "gone", NOW + 2, STORE_EVENT_OPEN, "{}");
        put_event(f, "damaged", NOW + 3, STORE_EVENT_OPEN, "no JSON");
        put_event(f, "first", NOW + 9, STORE_EVENT_OPEN, "{\"step\":2}");
        put_event(f, "second", NOW + 9, STORE_EVENT_OVER, NULL);
        put_event(f, "gone", NOW + 9, STORE_EVENT_GONE, NULL);
        events = database_get_events(f->database, NULL);
        g_assert_cmpuint(events->len, ==, 3);
        event = events->pdata[0];
        g_assert_cmpstr(event->id, ==, "first");
        g_assert_cmpuint(event->time, ==, NOW);
        g_assert_cmpint(event->state, ==, STORE_EVENT_OPEN);
        g_assert_cmpint(json_object_get_int_member(event->data, "step"), ==, 2);
        event = events->pdata[1];
        g_assert_cmpstr(event->id, ==, "second");
        g_assert_cmpint(event->state, ==, STORE_EVENT_OVER);
        event = events->pdata[2];
        g_assert_cmpint(event->state, ==, STORE_EVENT_OVER);

        put_event(f, "damaged", NOW, STORE_EVENT_GONE, NULL);
        while (more)
                g_assert_true(database_thin(f->database, NOW + STORE_EVENT_KEPT + USEC_PER_DAY, &more, NULL));
        g_clear_pointer(&events, g_ptr_array_unref);
        events = database_get_events(f->database, NULL);
        /* The open one alone. */
        g_assert_cmpuint(events->len, ==, 1);
}

/* An event of a person, whose text is {"id":ID}. */
static void put_told(Fixture *f, const char *id, uint64_t time, StoreEventState state, uint64_t realtime,
                     const char *history) {
        g_autofree char *plain = g_strdup_printf("{\"id\":\"%s\"}", id);
        char *text = g_ref_string_new(plain);
        const StoreEvent event = { .source = (char *) "somebody",
                                   .id = (char *) id,
                                   .time = time,
                                   .deadline = time + 1,
                                   .state = state,
                                   .kind = HISTORY_EVENT_OF_USER,
                                   .text = text };
        g_autoptr(GError) error = NULL;

        g_assert_true(database_put_event(f->database, &event, state == STORE_EVENT_OPEN ? "{}" : NULL, realtime,
                                         history, &error));
        g_assert_no_error(error);
        g_ref_string_release(text);
}

/* What history tells of events, newest first: "id@time" or "end@time", separated by spaces. */
static void assert_told(Fixture *f, const char *expected) {
        g_autoptr(GPtrArray) rows = query(f, HISTORY_EVENTS);
        g_autoptr(GString) text = g_string_new(NULL);

        for (guint i = 0; i < rows->len; i++) {
                JsonObject *row = g_ptr_array_index(rows, i);

                g_assert_cmpstr(json_object_get_string_member(row, "kind"), ==, "event");
                g_string_append_printf(text, "%s%s@%" G_GINT64_FORMAT, i > 0 ? " " : "",
                                       json_object_get_string_member_with_default(row, "id", "end"),
                                       json_object_get_int_member(row, "time") - (gint64) NOW);
        }
        g_assert_cmpstr(text->str, ==, expected);
}

static unsigned count_history(Fixture *f) {
        sqlite3_stmt *statement;
        unsigned count;

        g_assert_cmpint(sqlite3_prepare_v2(database_handle(f->database), "SELECT count(*) FROM history", -1,
                                           &statement, NULL),
                        ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_step(statement), ==, SQLITE_ROW);
        count = (unsigned) sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        return count;
}

/* That an event began stands in the journal until something follows: it is told at every moment, and once. */
static void test_beginning_is_told_once(Fixture *f, gconstpointer unused) {
        g_autoptr(GPtrArray) rows = NULL;
        g_autoptr(GError) error = NULL;

        put_told(f, "a", NOW + 1, STORE_EVENT_OPEN, NOW + 1, NULL);
        put_told(f, "b", NOW + 2, STORE_EVENT_OPEN, NOW + 2, NULL);
        put_told(f, "c", NOW + 3, STORE_EVENT_OPEN, NOW + 3, NULL);
        put_told(f, "a", NOW + 1, STORE_EVENT_OPEN, NOW + 4, NULL);
        g_assert_cmpuint(count_history(f), ==, 0);
        assert_told(f, "c@3 b@2 a@1");

        /* As whoever asks wants it, of the right kind alone. */
        rows = database_query(f->database, NOW + 2, NOW + 3, 10, 0, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(rows->len, ==, 1);
        g_clear_pointer(&rows, g_ptr_array_unref);
        rows = database_query(f->database, 0, UINT64_MAX, 2, HISTORY_EVENTS, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(rows->len, ==, 2);
        g_clear_pointer(&rows, g_ptr_array_unref);
        rows = query(f, 1U << HISTORY_EVENT | 1U << HISTORY_STOP);
        g_assert_cmpuint(rows->len, ==, 0);

        /* Cancelled, and then over; over at once; gone without a word. */
        put_told(f, "a", NOW + 1, STORE_EVENT_OPEN, NOW + 5, "{}");
        g_assert_cmpuint(count_history(f), ==, 2);
        assert_told(f, "end@5 c@3 b@2 a@1");
        put_told(f, "a", NOW + 1, STORE_EVENT_GONE, NOW + 6, "{}");
        put_told(f, "b", NOW + 2, STORE_EVENT_OVER, NOW + 7, "{}");
        put_told(f, "c", NOW + 3, STORE_EVENT_GONE, NOW + 8, NULL);
        put_told(f, "b", NOW + 2, STORE_EVENT_GONE, NOW + 9, NULL);
        assert_told(f, "end@7 end@6 end@5 c@3 b@2 a@1");
        g_assert_cmpuint(count_history(f), ==, 6);
}

/* The journal of before told history at once, and had the event in what stood about it. */
static void make_third(Fixture *f) {
        g_assert_cmpint(
                sqlite3_exec(database_handle(f->database),
                             "DROP TABLE event; CREATE TABLE event (source TEXT NOT NULL, id TEXT NOT NULL, time "
                             "INTEGER NOT NULL, deadline INTEGER NOT NULL, open INTEGER NOT NULL, data TEXT, PRIMARY "
                             "KEY (source, id)); CREATE INDEX event_time ON event (time); INSERT INTO event VALUES "
                             "('somebody', 'a', 1, 2, 1, '{\"event\":{\"id\":\"a\"}}'); PRAGMA user_version = 3",
                             NULL, NULL, NULL),
                ==, SQLITE_OK);
        append(f, NOW + 1, HISTORY_EVENT_OF_USER, "{\"id\":\"a\"}");
        g_clear_pointer(&f->database, database_close);
}

static void assert_third(Fixture *f) {
        g_autoptr(GPtrArray) events = NULL;
        g_autoptr(GError) error = NULL;
        const StoreEvent *event;

        f->database = database_open(f->directory, &error);
        g_assert_no_error(error);
        events = database_get_events(f->database, NULL);
        g_assert_cmpuint(events->len, ==, 1);
        event = events->pdata[0];
        g_assert_cmpint(event->state, ==, STORE_EVENT_OPEN);
        g_assert_null(event->object);
        g_assert_true(json_object_has_member(event->data, "event"));
}

static void test_upgrade_from_third(Fixture *f, gconstpointer unused) {
        make_third(f);
        assert_third(f);
        assert_told(f, "a@1");
        put_told(f, "a", NOW + 1, STORE_EVENT_OPEN, NOW + 2, NULL);
        assert_told(f, "a@1");
        put_told(f, "a", NOW + 1, STORE_EVENT_GONE, NOW + 3, "{}");
        assert_told(f, "end@3 a@1");
}

/* What was broken may be of an earlier version, and what it had not told history yet is still told. */
static void test_events_are_salvaged(Fixture *f, gconstpointer third) {
        Salvage salvage = {};
        g_autoptr(GError) error = NULL;

        if (third)
                make_third(f);
        else {
                put_told(f, "a", NOW + 1, STORE_EVENT_OPEN, NOW + 1, NULL);
                put_told(f, "b", NOW + 2, STORE_EVENT_OPEN, NOW + 2, "{}");
                g_clear_pointer(&f->database, database_close);
        }
        g_assert_true(database_replace_broken(f->directory, NOW, &salvage, &error));
        g_assert_no_error(error);
        g_free(salvage.aside);
        g_assert_cmpuint(salvage.events, ==, third ? 1 : 2);
        if (third) {
                assert_third(f);
                assert_told(f, "");
                return;
        }
        f->database = database_open(f->directory, &error);
        g_assert_no_error(error);
        assert_told(f, "a@1");
        put_told(f, "a", NOW + 1, STORE_EVENT_GONE, NOW + 3, "{}");
        assert_told(f, "end@3 a@1");
}

static void assert_state(Fixture *f, const char *id, uint32_t version, const char *plugin_version, const char *text) {
        g_autoptr(GBytes) expected = g_bytes_new_static(text, strlen(text));
        g_autoptr(StoreState) state = NULL;
        g_autoptr(GError) error = NULL;

        g_assert_true(database_get_state(f->database, id, NULL, &state, &error));
        g_assert_no_error(error);
        g_assert_nonnull(state);
        g_assert_cmpuint(state->version, ==, version);
        g_assert_cmpstr(state->plugin_version, ==, plugin_version);
        g_assert_cmpuint(state->when, ==, NOW);
        g_assert_true(g_bytes_equal(state->state, expected));
}

static void test_states(Fixture *f, gconstpointer unused) {
        g_autoptr(GBytes) first = g_bytes_new_static("first", 5), second = g_bytes_new_static("second", 6),
                          empty = g_bytes_new(NULL, 0);
        g_autoptr(StoreState) none = NULL;

        g_assert_true(database_get_state(f->database, "one", NULL, &none, NULL));
        g_assert_null(none);
        g_assert_true(database_put_state(f->database, "one", 1, "1.0", first, NOW, NULL));
        g_assert_true(database_put_state(f->database, "two", UINT32_MAX, "", empty, NOW, NULL));
        assert_state(f, "one", 1, "1.0", "first");
        assert_state(f, "two", UINT32_MAX, "", "");
        g_assert_true(database_put_state(f->database, "one", 2, "1.1", second, NOW, NULL));
        assert_state(f, "one", 2, "1.1", "second");
        assert_state(f, "two", UINT32_MAX, "", "");
}

static uint64_t written(Fixture *f) {
        g_autoptr(StoreState) state = NULL;

        g_assert_true(database_get_state(f->database, "one", NULL, &state, NULL));
        return state->when;
}

/* Some export all the time what they had before. */
static void test_the_same_state_is_written_once(Fixture *f, gconstpointer unused) {
        g_autoptr(GBytes) state = g_bytes_new_static("state", 5), other = g_bytes_new_static("stale", 5),
                          longer = g_bytes_new_static("state and more", 14);

        g_assert_true(database_put_state_if_changed(f->database, "one", 1, "1.0", state, NOW, NULL));
        g_assert_true(database_put_state_if_changed(f->database, "one", 1, "1.0", state, NOW + 1, NULL));
        g_assert_cmpuint(written(f), ==, NOW);
        g_assert_true(database_put_state_if_changed(f->database, "one", 2, "1.0", state, NOW + 2, NULL));
        g_assert_cmpuint(written(f), ==, NOW + 2);
        g_assert_true(database_put_state_if_changed(f->database, "one", 2, "1.1", state, NOW + 3, NULL));
        g_assert_cmpuint(written(f), ==, NOW + 3);
        g_assert_true(database_put_state_if_changed(f->database, "one", 2, "1.1", other, NOW + 4, NULL));
        g_assert_cmpuint(written(f), ==, NOW + 4);
        g_assert_true(database_put_state_if_changed(f->database, "one", 2, "1.1", longer, NOW + 5, NULL));
        g_assert_cmpuint(written(f), ==, NOW + 5);
        g_assert_true(database_put_state(f->database, "one", 2, "1.1", longer, NOW + 6, NULL));
        g_assert_cmpuint(written(f), ==, NOW + 6);
}

static void assert_state_for(Fixture *f, const char *plugin_version, const char *text) {
        g_autoptr(StoreState) state = NULL;

        g_assert_true(database_get_state(f->database, "one", plugin_version, &state, NULL));
        g_assert_cmpuint(g_bytes_get_size(state->state), ==, strlen(text));
        g_assert_cmpmem(g_bytes_get_data(state->state, NULL), strlen(text), text, strlen(text));
}

static void test_on_trial(Fixture *f, gconstpointer unused) {
        g_autoptr(GBytes) old = g_bytes_new_static("old", 3), tried = g_bytes_new_static("tried", 5),
                          newer = g_bytes_new_static("newer", 5);

        g_assert_true(database_put_state(f->database, "one", 1, "1.0", old, NOW, NULL));
        g_assert_true(database_put_state(f->database, "one" STORE_TRIAL, 1, "1.1", tried, NOW, NULL));
        assert_state_for(f, "1.1", "tried");
        assert_state_for(f, "1.0", "old");
        assert_state_for(f, NULL, "old");
        /* Another's is no news of this one. */
        g_assert_true(database_put_state(f->database, "two", 1, "1.1", newer, NOW, NULL));
        assert_state_for(f, "1.1", "tried");
        g_assert_true(database_put_state(f->database, "one", 1, "1.1", newer, NOW, NULL));
        assert_state_for(f, "1.1", "newer");
        assert_state_for(f, "1.0", "newer");
}

static void test_put_aside(Fixture *f, gconstpointer unused) {
        g_autofree char *path = g_build_filename(f->directory, DATABASE_NAME, NULL), *newest = NULL, *last = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(GDir) directory = NULL;
        const char *entry;
        unsigned n = 0;

        g_clear_pointer(&f->database, database_close);
        for (unsigned i = 0; i < 6; i++) {
                Salvage salvage = {};

                g_clear_pointer(&last, g_free);
                g_assert_true(g_file_set_contents(path, "x", 1, NULL));
                g_assert_true(database_replace_broken(f->directory, NOW + i * USEC_PER_SEC, &salvage, &error));
                g_assert_no_error(error);
                g_assert_cmpuint(salvage.records + salvage.states + salvage.events, ==, 0);
                last = salvage.aside;
        }
        newest = g_build_filename(f->directory, last, NULL);
        g_assert_true(g_file_test(newest, G_FILE_TEST_EXISTS));
        directory = g_dir_open(f->directory, 0, NULL);
        while ((entry = g_dir_read_name(directory)))
                n += g_str_has_prefix(entry, DATABASE_NAME ".broken-");
        g_assert_cmpuint(n, ==, 3);
        f->database = database_open(f->directory, &error);
        g_assert_no_error(error);
}

static void assert_record(Fixture *f, const char *key) {
        g_autoptr(GHashTable) records = NULL;
        g_autoptr(GError) error = NULL;

        g_clear_pointer(&f->database, database_close);
        f->database = database_open(f->directory, &error);
        g_assert_no_error(error);
        records = database_get(f->database, "", &error);
        g_assert_no_error(error);
        g_assert_true(g_hash_table_contains(records, key));
}

static gboolean exists(Fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->directory, name, NULL);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

static void move(Fixture *f, const char *from, const char *to) {
        g_autofree char *old = g_build_filename(f->directory, from, NULL),
                        *new = g_build_filename(f->directory, to, NULL);

        g_assert_cmpint(g_rename(old, new), ==, 0);
}

static void spoil(Fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->directory, name, NULL);

        g_assert_true(g_file_set_contents(path, "not whole", -1, NULL));
}

/* Killed before the broken one was put aside: what was made of the new one is nothing. */
static void test_half_made(Fixture *f, gconstpointer unused) {
        g_assert_true(database_put(f->database, "hold/1", "{\"value\":1}", NULL));
        spoil(f, "snooze.db.new");
        assert_record(f, "hold/1");
        g_assert_false(exists(f, "snooze.db.new"));
}

/* Killed after it was: the new one is whole, and the journal of the old one is none of its. */
static void test_half_put_aside(Fixture *f, gconstpointer unused) {
        g_assert_true(database_put(f->database, "hold/1", "{\"value\":1}", NULL));
        g_clear_pointer(&f->database, database_close);
        move(f, "snooze.db", "snooze.db.new");
        spoil(f, "snooze.db-wal");
        assert_record(f, "hold/1");
        g_assert_false(exists(f, "snooze.db.new"));
}

/* Put aside again and again and killed at any moment: the next to open it finds the record and the state. */
static void test_killed(Fixture *f, gconstpointer unused) {
        g_autoptr(GBytes) blob = g_bytes_new_static("learnt", 6);

        g_assert_true(database_put(f->database, "hold/1", "{\"value\":1}", NULL));
        g_assert_true(database_put_state(f->database, "one", 3, "1.0", blob, NOW, NULL));
        for (unsigned round = 0; round < 20; round++) {
                int begun[2], status;
                pid_t child;
                char byte;

                g_clear_pointer(&f->database, database_close);
                g_assert_cmpint(pipe2(begun, O_CLOEXEC), ==, 0);
                child = fork();
                g_assert_cmpint(child, >=, 0);
                if (child == 0)
                        for (uint64_t i = 0;; i++) {
                                Salvage salvage = {};

                                if (!database_replace_broken(f->directory, NOW + i * USEC_PER_SEC, &salvage, NULL) ||
                                    salvage.records != 1 || salvage.states != 1 || write(begun[1], "x", 1) != 1)
                                        _exit(1);
                                g_free(salvage.aside);
                        }
                close(begun[1]);
                g_assert_cmpint(read(begun[0], &byte, 1), ==, 1);
                g_usleep((gulong) g_random_int_range(0, 20000));
                g_assert_cmpint(kill(child, SIGKILL), ==, 0);
                g_assert_cmpint(waitpid(child, &status, 0), ==, child);
                g_assert_true(WIFSIGNALED(status));
                close(begun[0]);
                assert_record(f, "hold/1");
                assert_state(f, "one", 3, "1.0", "learnt");
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/database/upgrade", test_upgrade);
        g_test_add_func("/database/upgrade-fails-whole", test_upgrade_fails_whole);
#define ADD(path, function) g_test_add("/database/" path, Fixture, NULL, setup, function, teardown)
        ADD("upgrade-from-first", test_upgrade_from_first);
        ADD("upgrade-from-second", test_upgrade_from_second);
        ADD("journal-of-events", test_journal_of_events);
        ADD("upgrade-from-third", test_upgrade_from_third);
        ADD("beginning-is-told-once", test_beginning_is_told_once);
        ADD("events-are-salvaged", test_events_are_salvaged);
        g_test_add("/database/events-are-salvaged-from-third", Fixture, "third", setup, test_events_are_salvaged,
                   teardown);
        ADD("states", test_states);
        ADD("the-same-state-is-written-once", test_the_same_state_is_written_once);
        ADD("on-trial", test_on_trial);
        ADD("newer-is-left-alone", test_newer_is_left_alone);
        ADD("samples-become-fewer", test_samples_become_fewer);
        ADD("empty-stretches", test_empty_stretches);
        ADD("history-ends", test_history_ends);
        ADD("history-is-bounded", test_history_is_bounded);
        ADD("events-crowd-their-like", test_events_crowd_their_like);
        ADD("full", test_full);
        ADD("rubbish-rows", test_rubbish_rows);
        ADD("put-aside", test_put_aside);
        ADD("half-made", test_half_made);
        ADD("half-put-aside", test_half_put_aside);
        ADD("killed", test_killed);
        return g_test_run();
}
