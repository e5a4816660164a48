/* SPDX-License-Identifier: Apache-2.0 */

/* What else the store's thread does beside the database's records and history: jobs, and the states of plugins. */

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/store/store.h"

#define PATIENCE (60 * USEC_PER_SEC)

typedef struct Fixture {
        char *directory;
        sd_event *event;
        Store *store;
        unsigned done, failed, expected; /* expected: the number that the next job to be told of has */
        char *message;
        gboolean found;
        uint32_t version;
        char *plugin_version;
        GBytes *state;
} Fixture;

/* A job that counts what becomes of it; where it has a gate it waits there, as for a disk that hangs. */
typedef struct Job {
        Fixture *fixture;
        unsigned number;
        gboolean fails;
        struct Gate *gate;
} Job;

typedef struct Gate {
        GMutex lock;
        GCond changed;
        gboolean open, reached;
} Gate;

static gint jobs_run, jobs_freed; /* atomic: the thread counts, too */

static void on_problem(const GError *error, void *userdata) {
}

static void setup(Fixture *f, gconstpointer unused) {
        *f = (Fixture) { .directory = g_dir_make_tmp("snooze-jobs-XXXXXX", NULL) };
        g_assert_nonnull(f->directory);
        g_assert_cmpint(sd_event_new(&f->event), ==, 0);
        g_assert_cmpint(store_new(f->event, f->directory, NULL, on_problem, f, &f->store), ==, 0);
        g_atomic_int_set(&jobs_run, 0);
        g_atomic_int_set(&jobs_freed, 0);
}

static void teardown(Fixture *f, gconstpointer unused) {
        const char *argv[] = { "rm", "-rf", f->directory, NULL };

        store_free(f->store);
        sd_event_unref(f->event);
        g_assert_true(
                g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
        g_clear_pointer(&f->state, g_bytes_unref);
        g_free(f->plugin_version);
        g_free(f->message);
        g_free(f->directory);
}

static void wait_done(Fixture *f, unsigned value) {
        uint64_t end = clock_monotonic() + PATIENCE;

        while (f->done < value) {
                g_assert_cmpuint(clock_monotonic(), <, end);
                g_assert_cmpint(sd_event_run(f->event, PATIENCE), >=, 0);
        }
}

static void on_done(const GError *error, void *userdata) {
        Fixture *f = userdata;

        f->done++;
        if (!error)
                return;
        f->failed++;
        g_free(f->message);
        f->message = g_strdup(error->message);
}

static gboolean run_job(void *data, GError **error) {
        Job *job = data;

        if (job->gate) {
                g_mutex_lock(&job->gate->lock);
                job->gate->reached = TRUE;
                g_cond_broadcast(&job->gate->changed);
                while (!job->gate->open)
                        g_cond_wait(&job->gate->changed, &job->gate->lock);
                g_mutex_unlock(&job->gate->lock);
        }
        g_atomic_int_inc(&jobs_run);
        if (job->fails)
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "no room for number %u", job->number);
        return !job->fails;
}

static void free_job(void *data) {
        g_atomic_int_inc(&jobs_freed);
        g_free(data);
}

static int run(Fixture *f, unsigned number, gboolean fails, Gate *gate) {
        Job *job = g_new(Job, 1);

        *job = (Job) { f, number, fails, gate };
        return store_run(f->store, run_job, job, free_job, on_done, f);
}

static void gate_open(Gate *gate) {
        g_mutex_lock(&gate->lock);
        gate->open = TRUE;
        g_cond_broadcast(&gate->changed);
        g_mutex_unlock(&gate->lock);
}

static void gate_await(Gate *gate) {
        g_mutex_lock(&gate->lock);
        while (!gate->reached)
                g_cond_wait(&gate->changed, &gate->lock);
        g_mutex_unlock(&gate->lock);
}

static void on_first(const GError *error, void *userdata) {
        Fixture *f = userdata;

        g_assert_no_error(error);
        g_assert_cmpuint(f->expected++ % 2, ==, 0);
        f->done++;
}

static void on_second(const GError *error, void *userdata) {
        Fixture *f = userdata;

        g_assert_no_error(error);
        g_assert_cmpuint(f->expected++ % 2, ==, 1);
        f->done++;
}

/* A thread that hangs can say nothing of it: others see since when. */
static void test_busy(Fixture *f, gconstpointer unused) {
        uint64_t before = clock_monotonic(), since;
        Gate gate = {};

        g_assert_cmpint(run(f, 0, FALSE, &gate), ==, 0);
        gate_await(&gate);
        since = store_busy_since(f->store);
        g_assert_cmpuint(since, >=, before);
        g_assert_cmpuint(since, <=, clock_monotonic());
        g_assert_cmpuint(store_busy_since(f->store), ==, since);
        gate_open(&gate);
        wait_done(f, 1);
        store_close(f->store);
        g_assert_cmpuint(store_busy_since(f->store), ==, 0);
}

/* A record, a job, a record, a job: told of as they were asked for. */
static void test_order(Fixture *f, gconstpointer unused) {
        g_autoptr(JsonObject) object = json_object_new();

        for (unsigned i = 0; i < 100; i++) {
                g_assert_cmpint(store_put(f->store, "record", object, on_first, f), ==, 0);
                g_assert_cmpint(store_run(f->store, run_job, g_memdup2(&(Job) { f, i, FALSE, NULL }, sizeof(Job)),
                                          free_job, on_second, f),
                                ==, 0);
        }
        wait_done(f, 200);
        g_assert_cmpint(g_atomic_int_get(&jobs_run), ==, 100);
}

static void test_failing(Fixture *f, gconstpointer unused) {
        g_assert_cmpint(run(f, 1, TRUE, NULL), ==, 0);
        g_assert_cmpint(run(f, 2, FALSE, NULL), ==, 0);
        wait_done(f, 2);
        g_assert_cmpuint(f->failed, ==, 1);
        g_assert_cmpstr(f->message, ==, "no room for number 1");
        g_assert_cmpint(g_atomic_int_get(&jobs_run), ==, 2);
}

/* Nothing is written to a queue that is full, and who asked knows at once. */
static void test_full(Fixture *f, gconstpointer unused) {
        Gate gate = {};
        unsigned accepted = 0;
        int r;

        g_assert_cmpint(run(f, 0, FALSE, &gate), ==, 0);
        gate_await(&gate);
        while ((r = run(f, 1, FALSE, NULL)) == 0)
                accepted++;
        g_assert_cmpint(r, ==, -ENOBUFS);
        g_assert_cmpuint(accepted, ==, STORE_QUEUE_MAX - 1);
        g_assert_cmpint(g_atomic_int_get(&jobs_freed), ==, 1);
        g_assert_cmpuint(f->done, ==, 0);

        gate_open(&gate);
        wait_done(f, STORE_QUEUE_MAX);
        g_assert_cmpuint(f->failed, ==, 0);
        g_assert_cmpint(run(f, 2, FALSE, NULL), ==, 0);
        wait_done(f, STORE_QUEUE_MAX + 1);
}

/* Files do not need the database, and it may come later. */
static void test_without_database(Fixture *f, gconstpointer unused) {
        g_autofree char *database = g_build_filename(f->directory, "snooze.db", NULL);
        g_autoptr(JsonObject) object = json_object_new();

        f->store = store_free(f->store);
        (void) g_unlink(database);
        g_assert_cmpint(g_mkdir(database, 0700), ==, 0);
        g_assert_cmpint(store_new(f->event, f->directory, NULL, on_problem, f, &f->store), ==, 0);
        g_assert_cmpint(store_put(f->store, "record", object, on_done, f), ==, 0);
        g_assert_cmpint(run(f, 1, FALSE, NULL), ==, 0);
        wait_done(f, 2);
        g_assert_cmpuint(f->failed, ==, 1);
        g_assert_nonnull(strstr(f->message, "snooze.db"));
        g_assert_cmpint(g_atomic_int_get(&jobs_run), ==, 1);
}

static void on_done_at_end(const GError *error, void *userdata) {
        Fixture *f = userdata;

        g_assert_no_error(error);
        f->done++;
        /* Too late for more. */
        g_assert_cmpint(run(f, 99, FALSE, NULL), ==, -ESHUTDOWN);
}

static void test_done_at_end(Fixture *f, gconstpointer unused) {
        for (unsigned i = 0; i < 10; i++)
                g_assert_cmpint(store_run(f->store, run_job, g_memdup2(&(Job) { f, i, FALSE, NULL }, sizeof(Job)),
                                          free_job, on_done_at_end, f),
                                ==, 0);
        f->store = store_free(f->store);
        g_assert_cmpuint(f->done, ==, 10);
        g_assert_cmpint(g_atomic_int_get(&jobs_run), ==, 10);
        g_assert_cmpint(g_atomic_int_get(&jobs_freed), ==, 20);
}

/* The daemon does not wait for ever; who waits is told, and the job's data stay the thread's until it comes back. */
static void test_hanging_at_end(Fixture *f, gconstpointer unused) {
        Gate gate = {};
        uint64_t end;

        g_assert_cmpint(run(f, 1, FALSE, &gate), ==, 0);
        g_assert_cmpint(run(f, 2, FALSE, NULL), ==, 0);
        gate_await(&gate);
        f->store = store_free(f->store);
        g_assert_cmpuint(f->done, ==, 2);
        g_assert_cmpuint(f->failed, ==, 2);
        g_assert_nonnull(strstr(f->message, "did not answer"));
        g_assert_cmpint(g_atomic_int_get(&jobs_freed), ==, 0);

        gate_open(&gate);
        end = clock_monotonic() + PATIENCE;
        while (g_atomic_int_get(&jobs_freed) < 2) {
                g_assert_cmpuint(clock_monotonic(), <, end);
                g_thread_yield();
        }
        g_assert_cmpint(g_atomic_int_get(&jobs_run), ==, 2);
        g_assert_cmpuint(f->done, ==, 2);
}

static void on_state(const StoreState *state, const GError *error, void *userdata) {
        Fixture *f = userdata;

        f->found = state != NULL;
        g_clear_pointer(&f->state, g_bytes_unref);
        g_clear_pointer(&f->plugin_version, g_free);
        if (state) {
                f->version = state->version;
                f->plugin_version = g_strdup(state->plugin_version);
                f->state = g_bytes_ref(state->state);
                g_assert_cmpuint(state->when, >, 0);
        }
        on_done(error, f);
}

static void get_state(Fixture *f, const char *id) {
        g_assert_cmpint(store_get_state(f->store, id, NULL, on_state, f), ==, 0);
        wait_done(f, f->done + 1);
}

static void put_state(Fixture *f, const char *id, uint32_t version, GBytes *state) {
        g_assert_cmpint(store_put_state(f->store, id, version, "1.2.3", state, on_done, f), ==, 0);
        wait_done(f, f->done + 1);
}

/* As large as it may be, replaced whole, there after a restart, gone when deleted. */
static void test_state(Fixture *f, gconstpointer unused) {
        g_autofree char *content = g_malloc0(STORE_STATE_MAX + 1);
        g_autoptr(GBytes) small = g_bytes_new("small", 5), large = g_bytes_new(content, STORE_STATE_MAX);
        g_autoptr(GBytes) huge = g_bytes_new(content, STORE_STATE_MAX + 1);

        get_state(f, "one");
        g_assert_false(f->found);
        put_state(f, "one", 1, small);
        put_state(f, "one", 2, large);
        put_state(f, "two", 7, small);
        g_assert_cmpint(store_put_state(f->store, "one", 3, "1.2.3", huge, on_done, f), ==, -E2BIG);
        g_assert_cmpuint(f->failed, ==, 0);

        f->store = store_free(f->store);
        g_assert_cmpint(store_new(f->event, f->directory, NULL, on_problem, f, &f->store), ==, 0);
        get_state(f, "one");
        g_assert_true(f->found);
        g_assert_cmpuint(f->version, ==, 2);
        g_assert_cmpstr(f->plugin_version, ==, "1.2.3");
        g_assert_true(g_bytes_equal(f->state, large));

        get_state(f, "two");
        g_assert_true(g_bytes_equal(f->state, small));
        g_assert_cmpuint(f->failed, ==, 0);
}

static void test_state_without_database(Fixture *f, gconstpointer unused) {
        g_autofree char *database = g_build_filename(f->directory, "snooze.db", NULL);
        g_autoptr(GBytes) small = g_bytes_new("small", 5);

        f->store = store_free(f->store);
        (void) g_unlink(database);
        g_assert_cmpint(g_mkdir(database, 0700), ==, 0);
        g_assert_cmpint(store_new(f->event, f->directory, NULL, on_problem, f, &f->store), ==, 0);
        put_state(f, "one", 1, small);
        g_assert_cmpuint(f->failed, ==, 1);
        g_assert_nonnull(strstr(f->message, "snooze.db"));
        get_state(f, "one");
        g_assert_cmpuint(f->failed, ==, 2);
        g_assert_false(f->found);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/store-jobs/" path, Fixture, NULL, setup, function, teardown)
        ADD("order", test_order);
        ADD("busy", test_busy);
        ADD("failing", test_failing);
        ADD("full", test_full);
        ADD("without-database", test_without_database);
        ADD("done-at-end", test_done_at_end);
        ADD("hanging-at-end", test_hanging_at_end);
        ADD("state", test_state);
        ADD("state-without-database", test_state_without_database);
        return g_test_run();
}
