/* SPDX-License-Identifier: Apache-2.0 */

/* Other programs: what they get, how long they have, what is kept of what they say, and whose are run at all. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "access-list.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "run/program.h"
#include "run/run.h"

typedef struct Fixture {
        sd_event *event;
        Runner *runner;
        gboolean done;
        RunEnd end;
        int number;
        char *line, *output;
        uint64_t written, duration;
} Fixture;

static void set_up(Fixture *f, const void *unused) {
        g_assert_cmpint(sd_event_new(&f->event), >=, 0);
        g_assert_cmpint(runner_new(f->event, NULL, NULL, &f->runner), >=, 0);
}

static void tear_down(Fixture *f, const void *unused) {
        runner_free(f->runner);
        sd_event_unref(f->event);
        g_free(f->line);
        g_free(f->output);
}

static void on_done(const RunOutcome *outcome, void *userdata) {
        Fixture *f = userdata;

        g_assert_false(f->done);
        f->done = TRUE;
        f->end = outcome->end;
        f->number = outcome->number;
        f->line = g_strdup(outcome->line);
        f->output = g_strdup(outcome->output);
        f->written = outcome->written;
        f->duration = outcome->duration;
}

static Run *begin(Fixture *f, const char *text, RunParameters parameters) {
        char *const arguments[] = { (char *) "/bin/sh", (char *) "-c", (char *) text, NULL };

        parameters.name = "test";
        parameters.arguments = (char **) arguments;
        parameters.timeout = parameters.timeout ?: USEC_PER_MINUTE;
        parameters.done = on_done;
        parameters.userdata = f;
        return run_start(f->runner, &parameters);
}

static void wait_for_done(Fixture *f) {
        while (!f->done)
                g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
}

/* Until nothing of it lives. */
static void wait_for_death(Fixture *f) {
        while (runner_count(f->runner) > 0)
                g_assert_cmpint(sd_event_run(f->event, UINT64_MAX), >=, 0);
}

static void test_output_and_status(Fixture *f, const void *unused) {
        (void) begin(f, "echo one; echo two >&2; exit 3", (RunParameters) { .output_kept = 100, .errors_too = TRUE });
        wait_for_done(f);
        g_assert_cmpint(f->end, ==, RUN_EXITED);
        g_assert_cmpint(f->number, ==, 3);
        g_assert_cmpstr(f->output, ==, "one\ntwo\n");
        g_assert_cmpstr(f->line, ==, "two");
        g_assert_cmpuint(f->written, ==, 8);
}

static void test_the_end_of_the_output_is_kept(Fixture *f, const void *unused) {
        (void) begin(f, "yes 12345678 | head -n 200000; printf end", (RunParameters) { .output_kept = 12 });
        wait_for_done(f);
        g_assert_cmpstr(f->output, ==, "12345678\nend");
        g_assert_cmpuint(f->written, ==, 9 * 200000 + 3);
}

static void test_output_is_text(Fixture *f, const void *unused) {
        (void) begin(f, "printf 'a\\000b\\377'", (RunParameters) { .output_kept = 100 });
        wait_for_done(f);
        g_assert_cmpstr(f->output, ==, "a b\xef\xbf\xbd");
}

static void test_nothing_is_kept_unless_somebody_asks(Fixture *f, const void *unused) {
        (void) begin(f, "echo line", (RunParameters) { .output_kept = 0 });
        wait_for_done(f);
        g_assert_cmpstr(f->output, ==, "");
        g_assert_cmpstr(f->line, ==, "line");
}

static void test_input(Fixture *f, const void *unused) {
        g_autofree char *much = g_strnfill(300000, 'x');

        (void) begin(f, "wc -c; cat < /proc/self/fd/0 | wc -c", (RunParameters) { .input = much, .output_kept = 100 });
        wait_for_done(f);
        g_assert_true(g_str_has_prefix(f->output, "300000\n"));
}

static void test_no_input(Fixture *f, const void *unused) {
        (void) begin(f, "wc -c; readlink /proc/self/fd/0", (RunParameters) { .output_kept = 100 });
        wait_for_done(f);
        g_assert_cmpstr(f->output, ==, "0\n/dev/null\n");
}

static void test_environment(Fixture *f, const void *unused) {
        g_setenv("OF_THE_TEST", "1", TRUE);
        (void) begin(f, "env | grep -v ^_= | sort; pwd",
                     (RunParameters) { .environment = (const char *const[]) { "MINE=2", NULL }, .output_kept = 1000 });
        wait_for_done(f);
        g_assert_nonnull(strstr(f->output, "MINE=2\n"));
        g_assert_null(strstr(f->output, "OF_THE_TEST"));
        g_assert_true(g_str_has_suffix(f->output, "\n/\n"));
}

static void test_what_cannot_be_run(Fixture *f, const void *unused) {
        char *const arguments[] = { (char *) "/does/not/exist", NULL };

        (void) run_start(f->runner,
                         &(const RunParameters){
                                 .name = "x", .arguments = (char **) arguments, .done = on_done, .userdata = f });
        g_assert_false(f->done);
        wait_for_done(f);
        g_assert_cmpint(f->end, ==, RUN_FAILED);
        g_assert_cmpint(f->number, ==, ENOENT);
}

static void test_told_at_the_deadline(Fixture *f, const void *unused) {
        (void) begin(f, "trap '' TERM; while :; do sleep 1; done", (RunParameters) { .timeout = 100 * USEC_PER_MSEC });
        wait_for_done(f);
        g_assert_cmpint(f->end, ==, RUN_TIMED_OUT);
        g_assert_cmpuint(runner_count(f->runner), ==, 1);
        g_assert_true(runner_hangs(f->runner, "test"));
        wait_for_death(f);
}

static void test_told_at_the_end(Fixture *f, const void *unused) {
        (void) begin(f, "trap 'echo cleaned; exit 0' TERM; echo begun; while :; do sleep 0.1; done",
                     (RunParameters){ .timeout = 2 * USEC_PER_SEC,
                                      .grace = 20 * USEC_PER_SEC,
                                      .await_end = TRUE,
                                      .output_kept = 100 });
        wait_for_done(f);
        g_assert_cmpint(f->end, ==, RUN_TIMED_OUT);
        g_assert_cmpstr(f->line, ==, "cleaned");
        g_assert_cmpuint(f->duration, <, 20 * USEC_PER_SEC);
        wait_for_death(f);
}

static void test_shortened(Fixture *f, const void *unused) {
        Run *run = begin(f, "exec sleep 1000", (RunParameters) { .await_end = TRUE });

        run_shorten(run, usec_add(clock_monotonic(), 100 * USEC_PER_MSEC));
        /* Never longer. */
        run_shorten(run, usec_add(clock_monotonic(), USEC_PER_HOUR));
        wait_for_done(f);
        g_assert_cmpint(f->end, ==, RUN_TIMED_OUT);
        g_assert_cmpuint(f->duration, <, 30 * USEC_PER_SEC);
}

static void test_given_up(Fixture *f, const void *unused) {
        run_give_up(begin(f, "exec sleep 1000", (RunParameters) { .await_end = TRUE }));
        wait_for_death(f);
        g_assert_false(f->done);
}

static void test_flood(Fixture *f, const void *unused) {
        (void) begin(f, "exec yes", (RunParameters) { .output_max = 10000 });
        wait_for_done(f);
        g_assert_cmpint(f->end, ==, RUN_FLOODED);
        wait_for_death(f);
}

static void test_what_it_leaves_behind(Fixture *f, const void *unused) {
        pid_t pid;

        (void) begin(f, "sleep 1000 & echo $!", (RunParameters) { .output_kept = 100 });
        wait_for_done(f);
        pid = (pid_t) atoi(f->output);
        g_assert_cmpint(pid, >, 1);
        /* Its end is a signal of its own. */
        while (kill(pid, 0) == 0)
                g_assert_cmpint(sd_event_run(f->event, 100 * USEC_PER_MSEC), >=, 0);
}

/* Whose programs */

static char *make_program(const char *directory, mode_t mode) {
        char *path = g_build_filename(directory, "program", NULL);

        g_assert_true(g_file_set_contents(path, "#!/bin/sh\n", -1, NULL));
        g_assert_cmpint(chmod(path, mode), ==, 0);
        return path;
}

static void expect_problem(const char *path, uid_t also, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_null(program_trusted(path, also, &error));
        g_assert_nonnull(strstr(error->message, part));
}

/* The mode says that root's group may write: it is the list's mask. */
static void test_access_lists(void) {
        g_autofree char *directory = g_dir_make_tmp("snooze-run-XXXXXX", NULL), *path = make_program(directory, 0755);
        g_autofree char *found = NULL;

        if (access_list_give(path)) {
                expect_problem(path, geteuid(), "access control list");
                g_assert_cmpint(removexattr(path, "system.posix_acl_access"), ==, 0);
                g_assert_cmpint(chmod(path, 0775), ==, 0);
                found = program_trusted(path, geteuid(), NULL);
                g_assert_cmpstr(found, ==, path);
                g_assert_true(access_list_give(directory));
                expect_problem(path, geteuid(), "access control list");
        } else
                g_test_skip("impossible here: a file system without access control lists");
        g_assert_cmpint(unlink(path), ==, 0);
        g_assert_cmpint(rmdir(directory), ==, 0);
}

static void test_whose_programs(void) {
        g_autofree char *directory = g_dir_make_tmp("snooze-run-XXXXXX", NULL), *path = make_program(directory, 0755);
        g_autofree char *link = g_build_filename(directory, "link", NULL), *found = NULL, *through = NULL;
        g_autoptr(GError) error = NULL;

        found = program_trusted(path, geteuid(), &error);
        g_assert_no_error(error);
        g_assert_cmpstr(found, ==, path);
        g_assert_cmpint(symlink(path, link), ==, 0);
        through = program_trusted(link, geteuid(), &error);
        g_assert_cmpstr(through, ==, path);

        expect_problem("program", geteuid(), "absolute path");
        expect_problem(directory, geteuid(), "no executable file");
        expect_problem("/does/not/exist", geteuid(), "No such file");
        g_assert_cmpint(chmod(path, 0644), ==, 0);
        expect_problem(path, geteuid(), "no executable file");
        g_assert_cmpint(chmod(path, 0757), ==, 0);
        expect_problem(path, geteuid(), "can be written by everybody");
        expect_problem(link, geteuid(), "can be written by everybody");
        g_assert_cmpint(chmod(path, 0755), ==, 0);
        g_assert_cmpint(chmod(directory, 0777), ==, 0);
        expect_problem(path, geteuid(), "can be written by everybody");
        g_assert_cmpint(chmod(directory, 0700), ==, 0);
        if (geteuid() == 0) {
                g_assert_cmpint(chown(path, 65534, 0), ==, 0);
                expect_problem(path, 0, "belongs to another user");
                g_assert_cmpint(chown(path, 0, 65534), ==, 0);
                g_assert_cmpint(chmod(path, 0775), ==, 0);
                expect_problem(path, 0, "can be written by its group");
        } else
                expect_problem(path, 0, "belongs to another user");
        (void) g_unlink(link);
        (void) g_unlink(path);
        (void) g_rmdir(directory);
}

int main(int argc, char *argv[]) {
        static const struct {
                const char *name;
                void (*test)(Fixture *f, const void *unused);
        } tests[] = {
                { "/run/output-and-status", test_output_and_status },
                { "/run/the-end-of-the-output-is-kept", test_the_end_of_the_output_is_kept },
                { "/run/output-is-text", test_output_is_text },
                { "/run/nothing-is-kept-unless-somebody-asks", test_nothing_is_kept_unless_somebody_asks },
                { "/run/input", test_input },
                { "/run/no-input", test_no_input },
                { "/run/environment", test_environment },
                { "/run/what-cannot-be-run", test_what_cannot_be_run },
                { "/run/told-at-the-deadline", test_told_at_the_deadline },
                { "/run/told-at-the-end", test_told_at_the_end },
                { "/run/shortened", test_shortened },
                { "/run/given-up", test_given_up },
                { "/run/flood", test_flood },
                { "/run/what-it-leaves-behind", test_what_it_leaves_behind },
        };

        g_test_init(&argc, &argv, NULL);
        for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, set_up, tests[i].test, tear_down);
        g_test_add_func("/run/whose-programs", test_whose_programs);
        g_test_add_func("/run/access-lists", test_access_lists);
        return g_test_run();
}
