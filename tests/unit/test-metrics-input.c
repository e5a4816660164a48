/* SPDX-License-Identifier: Apache-2.0 */

/* Input at terminals: a /dev of our own, whose files get the access times that a kernel would give them. */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utmpx.h>

#include "base/clock.h"
#include "daemon/metrics/metrics.h"

#define UP (10000 * USEC_PER_SEC)
#define WALL (UINT64_C(1700000000) * USEC_PER_SEC)

typedef struct Fixture {
        char *root;
        Metrics *metrics;
        uint64_t up, wall;
        Sample sample;
} Fixture;

static void setup(Fixture *f, gconstpointer unused) {
        g_autofree char *pseudo = NULL;

        *f = (Fixture) { .root = g_dir_make_tmp("snooze-input-XXXXXX", NULL), .up = UP, .wall = WALL };
        pseudo = g_build_filename(f->root, "dev", "pts", NULL);
        g_assert_cmpint(g_mkdir_with_parents(pseudo, 0755), ==, 0);
        f->metrics = metrics_new(f->root);
}

static void teardown(Fixture *f, gconstpointer unused) {
        const char *argv[] = { "rm", "-rf", f->root, NULL };

        metrics_free(f->metrics);
        g_assert_true(
                g_spawn_sync(NULL, (char **) argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, NULL, NULL));
        g_free(f->root);
}

/* Somebody types there at this wall-clock time, and the program behind writes an answer much later. */
static void touch(Fixture *f, const char *name, uint64_t wall) {
        g_autofree char *path = g_build_filename(f->root, "dev", name, NULL);
        struct timespec times[2] = { { .tv_sec = (time_t) (wall / USEC_PER_SEC) },
                                     { .tv_sec = (time_t) (wall / USEC_PER_SEC) + 100000 } };

        if (!g_file_test(path, G_FILE_TEST_EXISTS))
                g_assert_true(g_file_set_contents(path, "", 0, NULL));
        g_assert_cmpint(utimensat(AT_FDCWD, path, times, 0), ==, 0);
}

static void vanish(Fixture *f, const char *name) {
        g_autofree char *path = g_build_filename(f->root, "dev", name, NULL);

        g_assert_cmpint(g_unlink(path), ==, 0);
}

static void pass(Fixture *f, unsigned seconds) {
        f->up += seconds * USEC_PER_SEC;
        f->wall += seconds * USEC_PER_SEC;
}

static double idle_seconds(Fixture *f) {
        pass(f, 1);
        metrics_sample(f->metrics, f->up, f->wall, &f->sample);
        g_assert_cmpint(f->sample.reading[METRIC_INPUT], !=, READING_FAILED);
        return f->sample.reading[METRIC_INPUT] == READING_OK ? f->sample.value[METRIC_INPUT] : -1;
}

static void assert_idle(Fixture *f, double expected) {
        g_assert_cmpfloat_with_epsilon(idle_seconds(f), expected, 1e-6);
}

static void test_absent(Fixture *f, gconstpointer unused) {
        touch(f, "tty1", WALL);
        touch(f, "ttyS0", WALL);
        touch(f, "pts/ptmx", WALL);
        touch(f, "ptmx", WALL);
        assert_idle(f, -1);
}

static void test_latest_counts(Fixture *f, gconstpointer unused) {
        touch(f, "pts/0", WALL - 500 * USEC_PER_SEC);
        touch(f, "pts/1", WALL - 100 * USEC_PER_SEC);
        touch(f, "pts/12", WALL - 900 * USEC_PER_SEC);
        assert_idle(f, 101);
        pass(f, 50);
        assert_idle(f, 152);
        touch(f, "pts/12", f->wall);
        assert_idle(f, 1);
}

/* Between looks idle time goes on; the look that comes finds when it really was. */
static void test_interval(Fixture *f, gconstpointer unused) {
        metrics_set_input_interval(f->metrics, 60 * USEC_PER_SEC);
        touch(f, "pts/0", WALL - 500 * USEC_PER_SEC);
        assert_idle(f, 501);
        pass(f, 20);
        touch(f, "pts/0", f->wall);
        assert_idle(f, 522);
        pass(f, 38);
        assert_idle(f, 40);
}

static void test_look_on_demand(Fixture *f, gconstpointer unused) {
        const char *const terminals[] = { "tty2", NULL };

        metrics_set_input_interval(f->metrics, 60 * USEC_PER_SEC);
        touch(f, "pts/0", WALL - 500 * USEC_PER_SEC);
        assert_idle(f, 501);
        touch(f, "pts/0", f->wall);
        assert_idle(f, 502);
        metrics_look_at_input(f->metrics);
        assert_idle(f, 2);

        /* As somebody logs in, or a stage begins. */
        touch(f, "tty2", f->wall);
        metrics_set_logind_terminals(f->metrics, terminals);
        assert_idle(f, 1);
        touch(f, "pts/0", f->wall);
        metrics_set_input_interval(f->metrics, 0);
        assert_idle(f, 1);
        touch(f, "pts/0", f->wall);
        assert_idle(f, 1);
}

/* Input before the machine's boot cannot be, but in a container started later it is: a plain number all the same. */
static void test_before_boot(Fixture *f, gconstpointer unused) {
        touch(f, "pts/0", WALL - 50000 * USEC_PER_SEC);
        assert_idle(f, 50001);
}

/* Who closes the window was there: the time does not fall back to that of another. */
static void test_closed_terminal(Fixture *f, gconstpointer unused) {
        touch(f, "pts/0", WALL - 5000 * USEC_PER_SEC);
        touch(f, "pts/1", WALL - 10 * USEC_PER_SEC);
        assert_idle(f, 11);
        vanish(f, "pts/1");
        assert_idle(f, 12);
        vanish(f, "pts/0");
        assert_idle(f, 13);
        /* The number is given out again. */
        touch(f, "pts/1", f->wall);
        assert_idle(f, 1);
}

static void test_clock_set_back(Fixture *f, gconstpointer unused) {
        touch(f, "pts/0", WALL - 10 * USEC_PER_SEC);
        assert_idle(f, 11);
        f->wall -= USEC_PER_DAY;
        pass(f, 600);
        assert_idle(f, 612);
        /* Input is seen, although its time is before the one known. */
        touch(f, "pts/0", f->wall);
        assert_idle(f, 1);
}

static void test_clock_set_forward(Fixture *f, gconstpointer unused) {
        touch(f, "pts/0", WALL - 10 * USEC_PER_SEC);
        assert_idle(f, 11);
        f->wall += 30 * USEC_PER_DAY;
        assert_idle(f, 12);
        /* Typed just before the clock was set, seen after: it was not a month ago. */
        touch(f, "pts/0", f->wall - 30 * USEC_PER_DAY);
        pass(f, 4);
        assert_idle(f, 5);
}

/* At the first look a time ahead of the clock says no more than "not known to be long ago". */
static void test_time_ahead(Fixture *f, gconstpointer unused) {
        touch(f, "pts/0", WALL + USEC_PER_DAY);
        assert_idle(f, 0);
        pass(f, 1000);
        assert_idle(f, 1001);
}

static void test_session_terminals(Fixture *f, gconstpointer unused) {
        static const char *const sessions[] = { "tty2", "pts/0", "../../etc/passwd", "tty/../x", "", NULL };

        touch(f, "tty1", WALL);
        touch(f, "tty2", WALL - 300 * USEC_PER_SEC);
        metrics_set_logind_terminals(f->metrics, sessions);
        assert_idle(f, 301);
        touch(f, "tty2", f->wall);
        assert_idle(f, 1);
}

static void write_login(Fixture *f, short type, const char *line) {
        g_autofree char *directory = g_build_filename(f->root, "run", NULL),
                        *path = g_build_filename(directory, "utmp", NULL);
        struct utmpx record = { .ut_type = type };

        g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
        memcpy(record.ut_line, line, MIN(strlen(line), sizeof(record.ut_line)));
        g_assert_true(g_file_set_contents(path, (const char *) &record, sizeof(record), NULL));
}

static void test_login_records(Fixture *f, gconstpointer unused) {
        touch(f, "tty1", WALL - 50 * USEC_PER_SEC);
        write_login(f, LOGIN_PROCESS, "tty1");
        assert_idle(f, -1);
        write_login(f, USER_PROCESS, "tty1");
        /* It may have been used at any time since the look before. */
        assert_idle(f, 1);
        write_login(f, USER_PROCESS, "ttyttyttyttyttyttyttyttyttyttyttyttyttytty");
        assert_idle(f, 2);
}

/* Where nothing but the kernel can be asked: a console that login(1) gave to somebody. */
static void test_consoles(Fixture *f, gconstpointer unused) {
        g_autofree char *console = g_build_filename(f->root, "sys", "class", "tty", "console", NULL);
        g_autofree char *active = g_build_filename(console, "active", NULL),
                        *serial = g_build_filename(f->root, "dev", "ttyS0", NULL);

        g_assert_cmpint(g_mkdir_with_parents(console, 0755), ==, 0);
        g_assert_true(g_file_set_contents(active, "tty0 ttyS0\n", -1, NULL));
        metrics_free(f->metrics);
        f->metrics = metrics_new(f->root);
        touch(f, "ttyS0", WALL - 20 * USEC_PER_SEC);
        if (geteuid() == 0) {
                assert_idle(f, -1);
                g_assert_cmpint(chown(serial, 1000, 1000), ==, 0);
                assert_idle(f, 1);
        } else
                assert_idle(f, 21);
}

static void test_asleep(Fixture *f, gconstpointer unused) {
        const unsigned night = 8 * 3600;

        touch(f, "pts/0", WALL - 100 * USEC_PER_SEC);
        assert_idle(f, 101);
        /* Typed after the latest look, and before it fell asleep. */
        pass(f, 20);
        touch(f, "pts/0", f->wall - 10 * USEC_PER_SEC);
        f->wall += night * USEC_PER_SEC;
        metrics_set_slept(f->metrics, night * USEC_PER_SEC);
        assert_idle(f, night + 11);
        pass(f, 50);
        assert_idle(f, night + 62);
        metrics_set_logind_input(f->metrics, TRUE, f->wall - 30 * USEC_PER_SEC);
        assert_idle(f, 31);
        f->wall += night * USEC_PER_SEC;
        metrics_set_slept(f->metrics, 2 * night * USEC_PER_SEC);
        assert_idle(f, night + 32);
}

static void test_joined_with_logind(Fixture *f, gconstpointer unused) {
        touch(f, "pts/0", WALL - 100 * USEC_PER_SEC);
        metrics_set_logind_input(f->metrics, TRUE, WALL - 40 * USEC_PER_SEC);
        assert_idle(f, 41);
        metrics_set_logind_input(f->metrics, TRUE, UINT64_MAX);
        pass(f, 100);
        assert_idle(f, 0);
        pass(f, 100);
        assert_idle(f, 0);
        /* It ended; what was going on at the sample before is known to have been. */
        metrics_set_logind_input(f->metrics, TRUE, WALL - 40 * USEC_PER_SEC);
        pass(f, 9);
        assert_idle(f, 10);
        /* A clock that is set moves nothing. */
        f->wall += USEC_PER_DAY;
        assert_idle(f, 11);
        metrics_set_logind_input(f->metrics, TRUE, f->wall + USEC_PER_DAY);
        assert_idle(f, 0);
}

static void test_logind_without_input(Fixture *f, gconstpointer unused) {
        metrics_set_logind_input(f->metrics, FALSE, 0);
        assert_idle(f, -1);
        metrics_set_logind_input(f->metrics, TRUE, 0);
        assert_idle(f, (double) UP / USEC_PER_SEC + 2);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/metrics-input/" path, Fixture, NULL, setup, function, teardown)
        ADD("absent", test_absent);
        ADD("latest-counts", test_latest_counts);
        ADD("interval", test_interval);
        ADD("look-on-demand", test_look_on_demand);
        ADD("before-boot", test_before_boot);
        ADD("closed-terminal", test_closed_terminal);
        ADD("clock-set-back", test_clock_set_back);
        ADD("clock-set-forward", test_clock_set_forward);
        ADD("time-ahead", test_time_ahead);
        ADD("session-terminals", test_session_terminals);
        ADD("login-records", test_login_records);
        ADD("consoles", test_consoles);
        ADD("asleep", test_asleep);
        ADD("joined-with-logind", test_joined_with_logind);
        ADD("logind-without-input", test_logind_without_input);
        return g_test_run();
}
