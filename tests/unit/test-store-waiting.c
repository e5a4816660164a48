/* SPDX-License-Identifier: Apache-2.0 */

/* Samples that wait to be committed, and a daemon that is killed meanwhile: none is lost, none is there twice. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "daemon/store/store.h"
#include "daemon/store/waiting.h"

#define PATIENCE (30 * USEC_PER_SEC)
#define SAMPLES 5U

typedef struct Fixture {
        char *directory, *state, *run, *file;
        uint64_t base;
        sd_event *event;
        Store *store;
        GPtrArray *rows;
} Fixture;

static void setup(Fixture *f, gconstpointer unused) {
        f->directory = g_dir_make_tmp("snooze-waiting-XXXXXX", NULL);
        g_assert_nonnull(f->directory);
        f->state = g_build_filename(f->directory, "state", NULL);
        f->run = g_build_filename(f->directory, "run", NULL);
        f->file = g_build_filename(f->run, WAITING_NAME, NULL);
        g_assert_cmpint(g_mkdir(f->state, 0700), ==, 0);
        g_assert_cmpint(g_mkdir(f->run, 0700), ==, 0);
        f->base = clock_realtime();
        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
}

static void teardown(Fixture *f, gconstpointer unused) {
        const char *argv[] = { "rm", "-rf", f->directory, NULL };

        f->store = store_free(f->store);
        sd_event_unref(f->event);
        g_clear_pointer(&f->rows, g_ptr_array_unref);
        g_assert_true(
                g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
        g_free(f->directory);
        g_free(f->state);
        g_free(f->run);
        g_free(f->file);
}

static void open_store(Fixture *f) {
        g_assert_cmpint(store_new(f->event, f->state, f->run, NULL, NULL, &f->store), ==, 0);
}

static void append(Fixture *f, unsigned i) {
        g_autoptr(JsonObject) object = json_object_new();

        json_object_set_int_member(object, "value", i);
        g_assert_cmpint(store_append(f->store, f->base + i, HISTORY_SAMPLE, object, NULL, NULL), ==, 0);
}

static void on_rows(GPtrArray *rows, const GError *error, void *userdata) {
        Fixture *f = userdata;

        g_assert_no_error(error);
        f->rows = g_ptr_array_ref(rows);
}

/* The values that are in the database, newest first; whatever waits is committed for it. */
static char *values(Fixture *f) {
        GString *text = g_string_new(NULL);

        g_clear_pointer(&f->rows, g_ptr_array_unref);
        g_assert_cmpint(store_query(f->store, 0, UINT64_MAX, 10000, 1U << HISTORY_SAMPLE, on_rows, f), ==, 0);
        while (!f->rows)
                g_assert_cmpint(sd_event_run(f->event, PATIENCE), >, 0);
        for (guint i = 0; i < f->rows->len; i++)
                g_string_append_printf(text, "%s%d", i > 0 ? " " : "",
                                       (int) json_object_get_int_member(f->rows->pdata[i], "value"));
        return g_string_free(text, FALSE);
}

static char *read_waiting(Fixture *f) {
        char *text;

        g_assert_true(g_file_get_contents(f->file, &text, NULL, NULL));
        return text;
}

static void write_waiting(Fixture *f, const char *text, gssize length) {
        g_assert_true(g_file_set_contents(f->file, text, length, NULL));
}

/* As kill -9 does it: nothing is written, freed or told any more. */
static void take_samples_and_die(Fixture *f) {
        pid_t child = fork();
        int status;

        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
                sd_event_unref(f->event);
                g_assert_cmpint(sd_event_new(&f->event), ==, 0);
                open_store(f);
                for (unsigned i = 0; i < SAMPLES; i++)
                        append(f, i);
                (void) kill(getpid(), SIGKILL);
        }
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_true(WIFSIGNALED(status));
}

#define assert_values(f, expected)                    \
        do {                                          \
                g_autofree char *_found = values(f);  \
                g_assert_cmpstr(_found, ==, expected); \
        } while (0)

static void test_file(Fixture *f, gconstpointer unused) {
        g_autofree char *line = NULL, *text = NULL, *after = NULL;
        struct stat st;

        open_store(f);
        append(f, 3);
        line = g_strdup_printf("%" G_GUINT64_FORMAT " {\"value\":3}\n", f->base + 3);
        text = read_waiting(f);
        g_assert_cmpstr(text, ==, line);
        g_assert_cmpint(g_stat(f->file, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
        assert_values(f, "3");
        after = read_waiting(f);
        g_assert_cmpstr(after, ==, "");
        append(f, 4);
        assert_values(f, "4 3");
}

static void test_killed(Fixture *f, gconstpointer unused) {
        g_autofree char *after = NULL;

        take_samples_and_die(f);
        open_store(f);
        assert_values(f, "4 3 2 1 0");
        after = read_waiting(f);
        g_assert_cmpstr(after, ==, "");
}

/* What was there is in the database and still in the file. */
static void test_killed_after_the_commit(Fixture *f, gconstpointer unused) {
        g_autofree char *text = NULL;

        take_samples_and_die(f);
        text = read_waiting(f);
        open_store(f);
        f->store = store_free(f->store);
        write_waiting(f, text, -1);
        open_store(f);
        append(f, 5);
        assert_values(f, "5 4 3 2 1 0");
}

static void test_garbage(Fixture *f, gconstpointer unused) {
        g_autoptr(GString) text =
                g_string_new("rubbish\n\n{\"value\":1}\n-5 {\"value\":1}\n99999999999999999999 {}\n17 [1]\n");
        g_autofree char *deep = g_strnfill(5000, '['), *after = NULL;

        g_string_append_printf(text, "18 %s\n19 {\"value\":1} {}\n20 {\"value\":\"\xff\"}\n", deep);
        g_string_append_len(text, "21 {}\0\n", 7);
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " {\"value\":7}\n22 {\"value\":", f->base);
        write_waiting(f, text->str, (gssize) text->len);
        if (g_test_subprocess()) {
                open_store(f);
                append(f, 8);
                assert_values(f, "8 7");
                after = read_waiting(f);
                g_assert_cmpstr(after, ==, "");
                return;
        }
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_passed();
        g_test_trap_assert_stderr("*/run/samples: lines that are no samples are left out: 11*");
}

/* As much as there may be, and more. */
static void test_huge(Fixture *f, gconstpointer unused) {
        g_autofree char *rubbish = g_strnfill(2 * WAITING_BYTES_MAX, '\n'), *after = NULL;

        write_waiting(f, rubbish, -1);
        open_store(f);
        append(f, 1);
        assert_values(f, "1");
        after = read_waiting(f);
        g_assert_cmpstr(after, ==, "");
}

/* While nothing can be written to the database, the file grows up to its ceiling; what is in it then is not lost. */
static void test_no_database(Fixture *f, gconstpointer unused) {
        g_autoptr(JsonObject) object = json_object_new();
        g_autofree char *filler = g_strnfill(1000, 'x'), *after = NULL;
        struct stat st;

        g_assert_cmpint(g_rmdir(f->state), ==, 0);
        open_store(f);
        json_object_set_string_member(object, "filler", filler);
        for (unsigned i = 0; i < 1000; i++) {
                json_object_set_int_member(object, "value", i);
                g_assert_cmpint(store_append(f->store, f->base + i, HISTORY_SAMPLE, object, NULL, NULL), ==, 0);
        }
        g_assert_cmpint(g_stat(f->file, &st), ==, 0);
        g_assert_cmpint(st.st_size, <=, WAITING_BYTES_MAX);
        g_assert_cmpint(st.st_size, >, WAITING_BYTES_MAX - 2048);
        /* All have failed by then. */
        f->store = store_free(f->store);

        g_assert_cmpint(g_mkdir(f->state, 0700), ==, 0);
        open_store(f);
        g_free(values(f));
        g_assert_cmpuint(f->rows->len, >, 200);
        for (guint i = 0; i < f->rows->len; i++)
                g_assert_cmpint(json_object_get_int_member(f->rows->pdata[i], "value"), ==, f->rows->len - 1 - i);
        after = read_waiting(f);
        g_assert_cmpstr(after, ==, "");
}

static void on_done(const GError *error, void *userdata) {
        int *outcome = userdata;

        *outcome = error ? -1 : 1;
}

static int put(Fixture *f) {
        int outcome = 0;

        g_assert_cmpint(store_put(f->store, "key", NULL, on_done, &outcome), ==, 0);
        while (outcome == 0)
                g_assert_cmpint(sd_event_run(f->event, PATIENCE), >, 0);
        return outcome;
}

/* The same without a new start: once it can be written again, what failed before is. */
static void test_database_comes_late(Fixture *f, gconstpointer unused) {
        g_assert_cmpint(g_rmdir(f->state), ==, 0);
        open_store(f);
        append(f, 1);
        g_assert_cmpint(put(f), ==, -1);
        append(f, 2);
        g_assert_cmpint(g_mkdir(f->state, 0700), ==, 0);
        g_assert_cmpint(put(f), ==, 1);
        assert_values(f, "2 1");
}

/* Before it notices that it is the second, it must not take what the first may still need. */
static void test_second(Fixture *f, gconstpointer unused) {
        g_autofree char *before = NULL, *after = NULL;
        Store *first;

        open_store(f);
        append(f, 1);
        first = g_steal_pointer(&f->store);
        before = read_waiting(f);
        open_store(f);
        f->store = store_free(f->store);
        after = read_waiting(f);
        g_assert_cmpstr(before, ==, after);
        f->store = first;
        assert_values(f, "1");
}

static int count_rows(Fixture *f) {
        g_autofree char *path = g_build_filename(f->state, "snooze.db", NULL);
        sqlite3_stmt *statement = NULL;
        sqlite3 *db;
        int n = -1;

        if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK &&
            sqlite3_prepare_v2(db, "SELECT count(*) FROM sample", -1, &statement, NULL) == SQLITE_OK &&
            sqlite3_step(statement) == SQLITE_ROW)
                n = sqlite3_column_int(statement, 0);
        sqlite3_finalize(statement);
        sqlite3_close(db);
        return n;
}

/* Where it cannot wait in the file, it does not wait. */
static void test_no_runtime_directory(Fixture *f, gconstpointer unused) {
        uint64_t end = clock_monotonic() + PATIENCE;

        g_assert_cmpint(g_rmdir(f->run), ==, 0);
        open_store(f);
        append(f, 1);
        while (count_rows(f) < 1)
                g_assert_cmpuint(clock_monotonic(), <, end);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/store-waiting/" path, Fixture, NULL, setup, function, teardown)
        ADD("file", test_file);
        ADD("killed", test_killed);
        ADD("killed-after-the-commit", test_killed_after_the_commit);
        ADD("garbage", test_garbage);
        ADD("huge", test_huge);
        ADD("no-database", test_no_database);
        ADD("database-comes-late", test_database_comes_late);
        ADD("second", test_second);
        ADD("no-runtime-directory", test_no_runtime_directory);
        return g_test_run();
}
