/* SPDX-License-Identifier: Apache-2.0 */

/* The store as the daemon uses it: through its queue, on a loop. */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/store/store.h"

#define PATIENCE (30 * USEC_PER_SEC)

typedef struct Fixture {
        char *directory;
        uint64_t base; /* times below count from here: history of the seventies would be thinned out at once */
        sd_event *event;
        Store *store;
        unsigned done, answered, failed, problems, recoveries;
        GHashTable *records;
        GPtrArray *rows;
        char *message;
} Fixture;

static void on_problem(const GError *error, void *userdata) {
        Fixture *f = userdata;

        if (error) {
                f->problems++;
                g_free(f->message);
                f->message = g_strdup(error->message);
        } else
                f->recoveries++;
}

static void on_done(const GError *error, void *userdata) {
        Fixture *f = userdata;

        f->done++;
        f->failed += error != NULL;
}

static void on_records(GHashTable *records, const GError *error, void *userdata) {
        Fixture *f = userdata;

        g_assert_true((records != NULL) == (error == NULL));
        g_clear_pointer(&f->records, g_hash_table_unref);
        f->records = records ? g_hash_table_ref(records) : NULL;
        f->answered++;
        on_done(error, f);
}

static void on_rows(GPtrArray *rows, const GError *error, void *userdata) {
        Fixture *f = userdata;

        g_assert_true((rows != NULL) == (error == NULL));
        g_clear_pointer(&f->rows, g_ptr_array_unref);
        f->rows = rows ? g_ptr_array_ref(rows) : NULL;
        f->answered++;
        on_done(error, f);
}

static void open_store(Fixture *f) {
        g_assert_cmpint(store_new(f->event, f->directory, NULL, on_problem, f, &f->store), ==, 0);
}

static void close_store(Fixture *f) {
        f->store = store_free(f->store);
}

static void setup(Fixture *f, gconstpointer unused) {
        *f = (Fixture) { .directory = g_dir_make_tmp("snooze-store-XXXXXX", NULL), .base = clock_realtime() };
        g_assert_nonnull(f->directory);
        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
}

static void teardown(Fixture *f, gconstpointer unused) {
        const char *argv[] = { "rm", "-rf", f->directory, NULL };

        close_store(f);
        sd_event_unref(f->event);
        g_clear_pointer(&f->records, g_hash_table_unref);
        g_clear_pointer(&f->rows, g_ptr_array_unref);
        g_assert_true(
                g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
        g_free(f->message);
        g_free(f->directory);
}

static void wait_for(Fixture *f, const unsigned *counter, unsigned value) {
        uint64_t end = clock_monotonic() + PATIENCE;

        while (*counter < value) {
                g_assert_cmpuint(clock_monotonic(), <, end);
                g_assert_cmpint(sd_event_run(f->event, PATIENCE), >=, 0);
        }
}

static void wait_done(Fixture *f, unsigned n) {
        wait_for(f, &f->done, f->done + n);
}

static JsonObject *object_of(const char *key, gint64 value) {
        JsonObject *object = json_object_new();

        json_object_set_int_member(object, key, value);
        return object;
}

static int put(Fixture *f, const char *key, gint64 value) {
        g_autoptr(JsonObject) object = object_of("value", value);

        return store_put(f->store, key, object, on_done, f);
}

static int append(Fixture *f, uint64_t time, HistoryKind kind, gint64 value) {
        g_autoptr(JsonObject) object = object_of("value", value);

        return store_append(f->store, f->base + time, kind, object, on_done, f);
}

static gint64 value_of(Fixture *f, const char *key) {
        JsonObject *object = g_hash_table_lookup(f->records, key);

        return object ? json_object_get_int_member(object, "value") : -1;
}

/* The answer itself: the ends of what was asked for before it come one by one. */
static void get(Fixture *f, const char *prefix) {
        g_assert_cmpint(store_get(f->store, prefix, on_records, f), ==, 0);
        wait_for(f, &f->answered, f->answered + 1);
}

static void query(Fixture *f, uint64_t since, uint64_t until, unsigned max, unsigned kinds) {
        g_assert_cmpint(store_query(f->store, f->base + since, usec_add(f->base, until), max, kinds, on_rows, f), ==,
                        0);
        wait_for(f, &f->answered, f->answered + 1);
}

static void test_records(Fixture *f, gconstpointer unused) {
        open_store(f);
        g_assert_cmpint(put(f, "hold/1", 1), ==, 0);
        g_assert_cmpint(put(f, "hold/17", 17), ==, 0);
        g_assert_cmpint(put(f, "holder", 3), ==, 0);
        g_assert_cmpint(put(f, "decision", 4), ==, 0);
        g_assert_cmpint(put(f, "hold/1", 2), ==, 0);
        wait_done(f, 5);
        g_assert_cmpuint(f->failed, ==, 0);

        get(f, "hold/");
        g_assert_cmpuint(g_hash_table_size(f->records), ==, 2);
        g_assert_cmpint(value_of(f, "hold/1"), ==, 2);
        g_assert_cmpint(value_of(f, "hold/17"), ==, 17);

        g_assert_cmpint(store_put(f->store, "hold/1", NULL, on_done, f), ==, 0);
        wait_done(f, 1);
        get(f, "");
        g_assert_cmpuint(g_hash_table_size(f->records), ==, 3);
        g_assert_cmpint(value_of(f, "hold/1"), ==, -1);
        get(f, "nothing");
        g_assert_cmpuint(g_hash_table_size(f->records), ==, 0);
}

static void test_survives(Fixture *f, gconstpointer unused) {
        open_store(f);
        g_assert_cmpint(put(f, "decision", 7), ==, 0);
        g_assert_cmpint(append(f, 100, HISTORY_STATE, 1), ==, 0);
        /* Nobody waits for it: closing does. */
        close_store(f);
        g_assert_cmpuint(f->done, ==, 2);
        g_assert_cmpuint(f->failed, ==, 0);

        open_store(f);
        get(f, "decision");
        g_assert_cmpint(value_of(f, "decision"), ==, 7);
        query(f, 0, UINT64_MAX, 10, 0);
        g_assert_cmpuint(f->rows->len, ==, 1);
        g_assert_cmpuint(f->problems, ==, 0);
}

static void test_private_file(Fixture *f, gconstpointer unused) {
        g_autofree char *path = g_build_filename(f->directory, "snooze.db", NULL);
        struct stat st;

        open_store(f);
        get(f, "");
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 0777, ==, 0600);
}

static gint64 row_value(const Fixture *f, unsigned i) {
        return json_object_get_int_member(f->rows->pdata[i], "value");
}

static void test_history(Fixture *f, gconstpointer unused) {
        JsonObject *row;

        open_store(f);
        g_assert_cmpint(append(f, 100, HISTORY_STATE, 1), ==, 0);
        g_assert_cmpint(append(f, 300, HISTORY_VOTES, 2), ==, 0);
        g_assert_cmpint(append(f, 200, HISTORY_STATE, 3), ==, 0);
        g_assert_cmpint(append(f, 200, HISTORY_SAMPLE, 4), ==, 0);
        g_assert_cmpint(append(f, 200, HISTORY_CALL, 5), ==, 0);

        /* Newest first, samples only when asked for. */
        query(f, 0, UINT64_MAX, 10, 0);
        g_assert_cmpuint(f->rows->len, ==, 4);
        g_assert_cmpint(row_value(f, 0), ==, 2);
        g_assert_cmpint(row_value(f, 1), ==, 5);
        g_assert_cmpint(row_value(f, 2), ==, 3);
        g_assert_cmpint(row_value(f, 3), ==, 1);
        row = f->rows->pdata[0];
        g_assert_cmpint(json_object_get_int_member(row, "time"), ==, (gint64) f->base + 300);
        g_assert_cmpstr(json_object_get_string_member(row, "kind"), ==, "votes");

        query(f, 200, 300, 10, 1U << HISTORY_STATE | 1U << HISTORY_SAMPLE);
        g_assert_cmpuint(f->rows->len, ==, 2);
        g_assert_cmpint(row_value(f, 0) + row_value(f, 1), ==, 7);
        query(f, 0, UINT64_MAX, 1, 1U << HISTORY_STATE | 1U << HISTORY_SAMPLE);
        g_assert_cmpuint(f->rows->len, ==, 1);
        query(f, 0, UINT64_MAX, 0, 0);
        g_assert_cmpuint(f->rows->len, ==, 0);
        query(f, 300, 100, 10, 0);
        g_assert_cmpuint(f->rows->len, ==, 0);
}

/* A sample that nobody waits for is kept back, but is there for who asks, and when the store closes. */
static void test_samples_wait(Fixture *f, gconstpointer unused) {
        g_autoptr(JsonObject) object = object_of("cpu_usage", 5);

        open_store(f);
        get(f, "");
        g_assert_cmpint(store_append(f->store, f->base, HISTORY_SAMPLE, object, NULL, NULL), ==, 0);
        query(f, 0, UINT64_MAX, 10, 1U << HISTORY_SAMPLE);
        g_assert_cmpuint(f->rows->len, ==, 1);
        g_assert_cmpint(store_append(f->store, f->base + 1, HISTORY_SAMPLE, object, NULL, NULL), ==, 0);
        close_store(f);
        open_store(f);
        query(f, 0, UINT64_MAX, 10, 1U << HISTORY_SAMPLE);
        g_assert_cmpuint(f->rows->len, ==, 2);
}

static void test_ceilings(Fixture *f, gconstpointer unused) {
        g_autofree char *key = g_strnfill(STORE_KEY_MAX + 1, 'k'), *value = g_strnfill(STORE_VALUE_MAX, 'v');
        g_autoptr(JsonObject) huge = json_object_new(), large = json_object_new();
        unsigned accepted = 0;
        int r;

        open_store(f);
        json_object_set_string_member(huge, "value", value);
        g_assert_cmpint(store_put(f->store, "huge", huge, on_done, f), ==, -E2BIG);
        g_assert_cmpint(store_append(f->store, 1, HISTORY_EVENT, huge, on_done, f), ==, -E2BIG);
        g_assert_cmpint(put(f, key, 1), ==, -E2BIG);
        g_assert_cmpint(store_get(f->store, key, on_records, f), ==, -E2BIG);
        g_assert_cmpuint(f->done, ==, 0);

        /* By bytes; what has been finished but not heard of counts, too, so that this ends. */
        value[STORE_VALUE_MAX / 2] = '\0';
        json_object_set_string_member(large, "value", value);
        while ((r = store_put(f->store, "large", large, on_done, f)) == 0)
                accepted++;
        g_assert_cmpint(r, ==, -ENOBUFS);
        g_assert_cmpuint(accepted, <, 33);
        wait_done(f, accepted);

        /* By number. */
        f->done = accepted = 0;
        while ((r = put(f, "small", 1)) == 0)
                accepted++;
        g_assert_cmpint(r, ==, -ENOBUFS);
        g_assert_cmpuint(accepted, ==, STORE_QUEUE_MAX);
        wait_done(f, accepted);
        g_assert_cmpuint(f->failed, ==, 0);
        g_assert_cmpint(put(f, "small", 2), ==, 0);
        wait_done(f, 1);
}

/* One thousand commits one by one would take a second or more on any disk: queued up they share a few. */
static void test_order(Fixture *f, gconstpointer unused) {
        open_store(f);
        for (unsigned i = 0; i < 1000; i++)
                g_assert_cmpint(put(f, "same", i), ==, 0);
        get(f, "same");
        g_assert_cmpuint(f->done, ==, 1001);
        g_assert_cmpint(value_of(f, "same"), ==, 999);
}

static void spoil(const Fixture *f, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(f->directory, name, NULL);

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

static unsigned count_broken(const Fixture *f) {
        g_autoptr(GDir) directory = g_dir_open(f->directory, 0, NULL);
        const char *name;
        unsigned n = 0;

        while ((name = g_dir_read_name(directory)))
                n += g_str_has_prefix(name, "snooze.db.broken-");
        return n;
}

static void test_not_a_database(Fixture *f, gconstpointer unused) {
        spoil(f, "snooze.db",
              "This is a letter to my aunt, which is long enough to look like a header of a database, if nobody reads "
              "it.");
        spoil(f, "snooze.db-wal", "and this is its envelope");
        open_store(f);
        g_assert_cmpint(put(f, "decision", 1), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->failed, ==, 0);
        g_assert_cmpuint(f->problems, ==, 1);
        wait_for(f, &f->recoveries, 1);
        g_assert_nonnull(strstr(f->message, "snooze.db.broken-"));
        g_assert_cmpuint(count_broken(f), ==, 1);
        get(f, "decision");
        g_assert_cmpint(value_of(f, "decision"), ==, 1);
}

/* Pages of the history are overwritten while the daemon is away: it goes on, and the records are saved. */
static void test_damaged(Fixture *f, gconstpointer unused) {
        g_autofree char *path = g_build_filename(f->directory, "snooze.db", NULL), *rubbish = g_strnfill(4096, '\xa5');
        struct stat st;
        int fd;

        open_store(f);
        g_assert_cmpint(put(f, "hold/1", 1), ==, 0);
        for (unsigned i = 0; i < 2000; i++)
                g_assert_cmpint(append(f, i, HISTORY_STATE, i), ==, 0);
        wait_done(f, 2001);
        close_store(f);

        g_assert_cmpint(stat(path, &st), ==, 0);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        /* The first two pages are the schema and the root of the records; all others go. */
        for (off_t offset = 4096; offset < st.st_size; offset += 4096)
                if (offset != 4096)
                        g_assert_cmpint(pwrite(fd, rubbish, 4096, offset), ==, 4096);
        close(fd);

        f->done = 0;
        open_store(f);
        g_assert_cmpint(append(f, 5000, HISTORY_STATE, 5000), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->failed, ==, 0);
        wait_for(f, &f->recoveries, 1);
        g_assert_cmpuint(f->problems, ==, 1);
        g_assert_nonnull(strstr(f->message, "records: 1"));
        get(f, "hold/");
        g_assert_cmpint(value_of(f, "hold/1"), ==, 1);
        query(f, 0, UINT64_MAX, 10, 0);
        g_assert_cmpuint(f->rows->len, ==, 1);
        g_assert_cmpuint(count_broken(f), ==, 1);
}

/* The state directory comes late: told once, and told when it works. */
static void test_no_directory(Fixture *f, gconstpointer unused) {
        g_autofree char *real = g_steal_pointer(&f->directory);
        g_autoptr(JsonObject) forgotten = object_of("value", 9);

        f->directory = g_build_filename(real, "later", NULL);
        open_store(f);
        wait_for(f, &f->problems, 1);
        g_assert_nonnull(strstr(f->message, "later/snooze.db"));
        for (unsigned i = 0; i < 3; i++) {
                g_assert_cmpint(put(f, "decision", i), ==, 0);
                wait_done(f, 1);
        }
        g_assert_cmpuint(f->failed, ==, 3);
        g_assert_cmpint(store_put(f->store, "paused", forgotten, NULL, NULL), ==, 0);
        get(f, "");
        g_assert_null(f->records);
        g_assert_cmpuint(f->problems, ==, 1);

        g_assert_cmpint(g_mkdir(f->directory, 0700), ==, 0);
        g_assert_cmpint(put(f, "decision", 5), ==, 0);
        wait_for(f, &f->recoveries, 1);
        get(f, "");
        g_assert_cmpint(value_of(f, "decision"), ==, 5);
        /* Nobody heard that it could not be written: it has been since. */
        g_assert_cmpint(value_of(f, "paused"), ==, 9);
        g_assert_cmpuint(f->problems, ==, 1);

        close_store(f);
        g_free(f->directory);
        f->directory = g_steal_pointer(&real);
}

static void make_version(const Fixture *f, unsigned version) {
        g_autofree char *path = g_build_filename(f->directory, "snooze.db", NULL);
        g_autofree char *pragma = g_strdup_printf("PRAGMA user_version = %u", version);
        sqlite3 *db;

        g_assert_cmpint(sqlite3_open(path, &db), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_exec(db, pragma, NULL, NULL, NULL), ==, SQLITE_OK);
        g_assert_cmpint(sqlite3_close(db), ==, SQLITE_OK);
}

static void test_newer(Fixture *f, gconstpointer unused) {
        make_version(f, 99);
        open_store(f);
        g_assert_cmpint(put(f, "decision", 1), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->failed, ==, 1);
        g_assert_cmpuint(f->problems, ==, 1);
        g_assert_nonnull(strstr(f->message, "version 99"));
        g_assert_cmpuint(count_broken(f), ==, 0);
}

/* A loop cannot be taken along into a child. */
static void begin_child(Fixture *f) {
        sd_event_unref(f->event);
        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
}

typedef int (*ChildFunction)(Fixture *f);

static void in_child(Fixture *f, ChildFunction function) {
        pid_t child = fork();
        int status;

        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
                begin_child(f);
                _exit(function(f));
        }
        g_assert_cmpint(waitpid(child, &status, 0), ==, child);
        g_assert_true(WIFEXITED(status));
        if (WEXITSTATUS(status) == 77)
                g_test_skip("impossible here: no file system can be mounted");
        else
                g_assert_cmpint(WEXITSTATUS(status), ==, 0);
}

/* For root nothing is read-only: as root, in the child, this is somebody else. */
static int use_read_only(Fixture *f) {
        const uid_t nobody = 65534;

        if (geteuid() == 0) {
                g_assert_cmpint(chown(f->directory, nobody, nobody), ==, 0);
                g_assert_cmpint(setresuid(nobody, nobody, nobody), ==, 0);
        }
        open_store(f);
        g_assert_cmpint(put(f, "decision", 1), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->failed, ==, 0);
        close_store(f);

        g_assert_cmpint(g_chmod(f->directory, 0500), ==, 0);
        open_store(f);
        g_assert_cmpint(put(f, "decision", 2), ==, 0);
        wait_for(f, &f->problems, 1);
        g_assert_cmpint(put(f, "decision", 3), ==, 0);
        wait_for(f, &f->done, 3);
        g_assert_cmpuint(f->problems, ==, 1);
        g_assert_cmpint(g_chmod(f->directory, 0700), ==, 0);
        g_assert_cmpint(put(f, "decision", 4), ==, 0);
        wait_for(f, &f->recoveries, 1);
        get(f, "");
        g_assert_cmpint(value_of(f, "decision"), ==, 4);
        close_store(f);
        return 0;
}

static void test_read_only(Fixture *f, gconstpointer unused) {
        in_child(f, use_read_only);
}

static gboolean write_text(const char *path, const char *text) {
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

        return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t) strlen(text);
}

/* Root has it for the asking; others in a user name space of their own, where that is allowed, as themselves: files of
 * an unmapped user cannot be created. */
static gboolean enter_mount_namespace(void) {
        g_autofree char *uid_map = NULL, *gid_map = NULL;
        uid_t uid = geteuid();
        gid_t gid = getegid();

        if (uid == 0)
                return unshare(CLONE_NEWNS) >= 0;
        uid_map = g_strdup_printf("%u %u 1", uid, uid);
        gid_map = g_strdup_printf("%u %u 1", gid, gid);
        return unshare(CLONE_NEWNS | CLONE_NEWUSER) >= 0 && write_text("/proc/self/uid_map", uid_map) &&
               write_text("/proc/self/setgroups", "deny") && write_text("/proc/self/gid_map", gid_map);
}

static gboolean mount_small_disk(const Fixture *f) {
        return enter_mount_namespace() && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) >= 0 &&
               mount("tmpfs", f->directory, "tmpfs", 0, "size=256k,mode=0700") >= 0;
}

static void take_all_space(const char *ballast) {
        _cleanup_close_ int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        char block[4096] = "";

        while (write(fd, block, sizeof(block)) > 0)
                ;
        g_assert_cmpint(errno, ==, ENOSPC);
}

/* In a child, which has the mount for itself. */
static int fill_disk(Fixture *f) {
        g_autofree char *ballast = g_build_filename(f->directory, "ballast", NULL);

        if (!mount_small_disk(f))
                return 77;
        open_store(f);
        g_assert_cmpint(put(f, "hold/1", 1), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->failed, ==, 0);
        take_all_space(ballast);
        while (f->failed == 0) {
                g_assert_cmpint(append(f, 1, HISTORY_STATE, 1), ==, 0);
                wait_done(f, 1);
        }
        g_assert_cmpint(append(f, 1, HISTORY_STATE, 1), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->problems, ==, 1);
        g_assert_nonnull(strstr(f->message, "full"));
        get(f, "hold/");
        g_assert_nonnull(f->records);
        g_assert_cmpint(value_of(f, "hold/1"), ==, 1);
        g_assert_cmpuint(f->recoveries, ==, 0);

        /* Told each time, and of several of a name the last is written when there is room. */
        f->failed = 0;
        for (int i = 3; i < 6; i++) {
                g_assert_cmpint(put(f, "hold/3", i), ==, 0);
                wait_done(f, 1);
        }
        g_assert_cmpuint(f->failed, ==, 3);

        g_assert_cmpint(g_unlink(ballast), ==, 0);
        f->failed = 0;
        g_assert_cmpint(put(f, "hold/2", 2), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->failed, ==, 0);
        wait_for(f, &f->recoveries, 1);
        g_assert_cmpuint(f->problems, ==, 1);
        g_assert_cmpuint(count_broken(f), ==, 0);
        get(f, "hold/");
        g_assert_cmpint(value_of(f, "hold/3"), ==, 5);
        close_store(f);
        return 0;
}

static void test_full_disk(Fixture *f, gconstpointer unused) {
        in_child(f, fill_disk);
}

static void put_and_wait(Fixture *f, const char *prefix, unsigned n, gboolean release) {
        for (unsigned i = 0; i < n; i += 100) {
                for (unsigned k = 0; k < 100; k++) {
                        g_autofree char *key = g_strdup_printf("%s%u", prefix, i + k);

                        g_assert_cmpint(put(f, key, 1), ==, 0);
                        if (release)
                                g_assert_cmpint(store_put(f->store, key, NULL, on_done, f), ==, 0);
                }
                wait_done(f, release ? 200 : 100);
        }
}

/* Whatever callers hold and release meanwhile, what lasts is there when there is room again. */
static int hold_on_full_disk(Fixture *f) {
        g_autofree char *ballast = g_build_filename(f->directory, "ballast", NULL);

        if (!mount_small_disk(f))
                return 77;
        open_store(f);
        g_assert_cmpint(put(f, "hold/before", 1), ==, 0);
        wait_done(f, 1);
        take_all_space(ballast);
        while (f->failed == 0) {
                g_assert_cmpint(append(f, 1, HISTORY_STATE, 1), ==, 0);
                wait_done(f, 1);
        }
        put_and_wait(f, "hold/short/", 2100, TRUE);
        g_assert_cmpint(put(f, "hold/lasting", 2), ==, 0);
        g_assert_cmpint(store_put(f->store, "hold/before", NULL, on_done, f), ==, 0);
        wait_done(f, 2);
        put_and_wait(f, "hold/many/", 2100, FALSE);
        g_assert_cmpint(put(f, "decision", 3), ==, 0);
        wait_done(f, 1);

        g_assert_cmpint(g_unlink(ballast), ==, 0);
        f->failed = 0;
        g_assert_cmpint(put(f, "pause", 4), ==, 0);
        wait_done(f, 1);
        g_assert_cmpuint(f->failed, ==, 0);
        get(f, "");
        g_assert_cmpint(value_of(f, "hold/lasting"), ==, 2);
        g_assert_cmpint(value_of(f, "hold/before"), ==, -1);
        g_assert_cmpint(value_of(f, "decision"), ==, 3);
        g_assert_cmpuint(g_hash_table_size(f->records), <, 2100);
        close_store(f);
        return 0;
}

static void test_holds_on_full_disk(Fixture *f, gconstpointer unused) {
        in_child(f, hold_on_full_disk);
}

/* The file breaks while there is no room for a new one: it stays, and its records with it, until there is. */
static int damage_on_full_disk(Fixture *f) {
        g_autofree char *ballast = g_build_filename(f->directory, "ballast", NULL);
        g_autofree char *path = g_build_filename(f->directory, "snooze.db", NULL), *rubbish = g_strnfill(4096, '\xa5');
        struct stat st;
        int fd;

        if (!mount_small_disk(f))
                return 77;
        open_store(f);
        g_assert_cmpint(put(f, "hold/1", 1), ==, 0);
        for (unsigned i = 0; i < 400; i++)
                g_assert_cmpint(append(f, i, HISTORY_STATE, i), ==, 0);
        wait_done(f, 401);
        close_store(f);

        g_assert_cmpint(stat(path, &st), ==, 0);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        for (off_t offset = 8192; offset < st.st_size; offset += 4096)
                g_assert_cmpint(pwrite(fd, rubbish, 4096, offset), ==, 4096);
        close(fd);

        open_store(f);
        get(f, "hold/"); /* opened by now, with its journal in place */
        take_all_space(ballast);
        f->done = 0;
        while (f->failed == 0) {
                g_assert_cmpint(append(f, 5000, HISTORY_STATE, 5000), ==, 0);
                wait_done(f, 1);
        }
        g_assert_nonnull(strstr(f->message, "no new one can be begun"));
        g_assert_cmpuint(count_broken(f), ==, 0);

        g_assert_cmpint(g_unlink(ballast), ==, 0);
        f->failed = 0;
        g_assert_cmpint(put(f, "hold/2", 2), ==, 0);
        g_assert_cmpint(append(f, 5000, HISTORY_STATE, 5000), ==, 0);
        wait_done(f, 2);
        g_assert_cmpuint(f->failed, ==, 0);
        g_assert_cmpuint(count_broken(f), ==, 1);
        get(f, "hold/");
        g_assert_cmpint(value_of(f, "hold/1"), ==, 1);
        g_assert_cmpint(value_of(f, "hold/2"), ==, 2);
        close_store(f);
        return 0;
}

static void test_damaged_on_full_disk(Fixture *f, gconstpointer unused) {
        in_child(f, damage_on_full_disk);
}

typedef struct Acknowledged {
        Fixture *fixture;
        int fd;
        uint32_t number;
} Acknowledged;

static void on_acknowledged(const GError *error, void *userdata) {
        Acknowledged *a = userdata;

        if (error || write(a->fd, &a->number, sizeof(a->number)) != sizeof(a->number))
                _exit(1);
        g_free(a);
}

/* Writes for ever, and tells through the pipe what was acknowledged. */
static void write_until_killed(Fixture *f, int fd, uint32_t first) {
        open_store(f);
        for (uint32_t i = first;; i++) {
                g_autofree char *key = g_strdup_printf("k/%08u", i);
                g_autoptr(JsonObject) object = object_of("value", i);
                Acknowledged *a = g_new(Acknowledged, 1);

                *a = (Acknowledged) { f, fd, i };
                while (store_append(f->store, f->base + i, HISTORY_EVENT, object, NULL, NULL) == -ENOBUFS)
                        (void) sd_event_run(f->event, 1000);
                while (i % 2 == 1 && store_put(f->store, "k/latest", object, NULL, NULL) == -ENOBUFS)
                        (void) sd_event_run(f->event, 1000);
                while (store_put(f->store, key, object, on_acknowledged, a) == -ENOBUFS)
                        (void) sd_event_run(f->event, 1000);
                (void) sd_event_run(f->event, 0);
        }
}

/* Killed at any moment, everything that was acknowledged is there, and the history before it. */
static void test_killed(Fixture *f, gconstpointer unused) {
        uint32_t next = 1;

        for (unsigned round = 0; round < 15; round++) {
                uint32_t acknowledged = 0, number;
                int ends[2], status;
                pid_t child;

                g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
                child = fork();
                g_assert_cmpint(child, >=, 0);
                if (child == 0) {
                        close(ends[0]);
                        begin_child(f);
                        write_until_killed(f, ends[1], next);
                }
                close(ends[1]);
                /* From the first acknowledgement on, at any moment. */
                g_assert_cmpint(read(ends[0], &number, sizeof(number)), ==, sizeof(number));
                acknowledged = number;
                g_usleep((gulong) g_random_int_range(0, 20000));
                g_assert_cmpint(kill(child, SIGKILL), ==, 0);
                while (read(ends[0], &number, sizeof(number)) == sizeof(number))
                        acknowledged = number;
                close(ends[0]);
                g_assert_cmpint(waitpid(child, &status, 0), ==, child);
                g_assert_true(WIFSIGNALED(status));

                open_store(f);
                get(f, "k/");
                for (uint32_t i = 1; i <= acknowledged; i++) {
                        g_autofree char *key = g_strdup_printf("k/%08u", i);

                        g_assert_cmpint(value_of(f, key), ==, i);
                }
                g_assert_cmpint(value_of(f, "k/latest"), >=, (acknowledged - 1) | 1);
                query(f, 1, (uint64_t) acknowledged + 1, STORE_QUERY_MAX, 0);
                g_assert_cmpuint(f->rows->len, ==, MIN(acknowledged, STORE_QUERY_MAX));
                g_assert_cmpuint(f->problems, ==, 0);
                /* Some that were not acknowledged may be there, too: go on after them. */
                query(f, 0, UINT64_MAX, 1, 0);
                next = (uint32_t) row_value(f, 0) + 1;
                for (uint32_t i = acknowledged + 1; i < next; i++)
                        (void) append(f, 0, HISTORY_CALL, 0);
                for (uint32_t i = acknowledged + 1; i < next; i++) {
                        g_autofree char *key = g_strdup_printf("k/%08u", i);

                        while (put(f, key, i) == -ENOBUFS)
                                wait_done(f, 1);
                }
                close_store(f);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/store/" path, Fixture, NULL, setup, function, teardown)
        ADD("records", test_records);
        ADD("survives", test_survives);
        ADD("private-file", test_private_file);
        ADD("history", test_history);
        ADD("samples-wait", test_samples_wait);
        ADD("ceilings", test_ceilings);
        ADD("order", test_order);
        ADD("not-a-database", test_not_a_database);
        ADD("damaged", test_damaged);
        ADD("no-directory", test_no_directory);
        ADD("newer", test_newer);
        ADD("read-only", test_read_only);
        ADD("full-disk", test_full_disk);
        ADD("damaged-on-full-disk", test_damaged_on_full_disk);
        ADD("holds-on-full-disk", test_holds_on_full_disk);
        ADD("killed", test_killed);
        return g_test_run();
}
