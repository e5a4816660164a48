/* SPDX-License-Identifier: Apache-2.0 */

/* What an administrator may write about a job. */

#include <signal.h>
#include <string.h>

#include "job.h"

static GPtrArray *parse(const char *text) {
        g_autoptr(GError) error = NULL;
        GPtrArray *jobs = jobs_parse((const char *const[]) { text, NULL }, &error);

        g_assert_no_error(error);
        return jobs;
}

static void test_signal(void) {
        g_autoptr(GPtrArray) jobs = parse("train: cmdline='python3? .*train' owner=alice signal=USR1");
        const Job *job = g_ptr_array_index(jobs, 0);

        g_assert_cmpstr(job->pattern->name, ==, "train");
        g_assert_cmpstr(job->pattern->owner, ==, "alice");
        g_assert_cmpint(job->signal, ==, SIGUSR1);
        g_assert_cmpint(job->until, ==, JOB_UNTIL_EXIT);
        g_assert_cmpstr(job_signal_name(job->signal), ==, "SIGUSR1");
}

static void test_command(void) {
        g_autoptr(GPtrArray) jobs = parse("sim: name=^lmp$ command='/usr/bin/save %p'"),
                             alone = parse("sim: name=^lmp$ command='\"/usr/bin/save all\"'");
        const Job *job = g_ptr_array_index(jobs, 0);
        g_autofree char *pid = job_expand(job->command[1], 42), *percent = job_expand("/srv/100%%/%p", 42);

        g_assert_cmpint(job->until, ==, JOB_UNTIL_COMMAND);
        g_assert_cmpint(job->signal, ==, 0);
        g_assert_cmpuint(g_strv_length(job->command), ==, 2);
        g_assert_cmpstr(pid, ==, "42");
        g_assert_cmpstr(percent, ==, "/srv/100%/42");
        job = g_ptr_array_index(alone, 0);
        g_assert_cmpuint(g_strv_length(job->command), ==, 1);
        g_assert_cmpstr(job->command[0], ==, "/usr/bin/save all");
}

static void test_until(void) {
        g_autoptr(GPtrArray) file = parse("a: name=x signal=SIGTERM until=/srv/%p.done"),
                             told = parse("a: name=x until=told signal=HUP"),
                             ended = parse("a: name=x command=/bin/true until=exit");

        g_assert_cmpint(((const Job *) g_ptr_array_index(file, 0))->until, ==, JOB_UNTIL_FILE);
        g_assert_cmpstr(((const Job *) g_ptr_array_index(file, 0))->file, ==, "/srv/%p.done");
        g_assert_cmpint(((const Job *) g_ptr_array_index(told, 0))->until, ==, JOB_UNTIL_TOLD);
        g_assert_cmpint(((const Job *) g_ptr_array_index(ended, 0))->until, ==, JOB_UNTIL_EXIT);
}

static void test_wrong(void) {
        static const char *const wrong[] = {
                "",
                "a",
                "a:",
                "a: name=x",
                "a: signal=USR1",
                "a: name=x signal=KILL",
                "a: name=x signal=STOP",
                "a: name=x signal=10",
                "a: name=x signal=",
                "a: name=x signal=USR1 signal=USR2",
                "a: name=x signal=USR1 command=/bin/true",
                "a: name=x command=true",
                "a: name=x command=",
                "a: name=x command='/bin/true %q'",
                "a: name=x command='/bin/sh -c \"touch /tmp/mine\"'",
                "a: name=x command='/bin/true --process=%p'",
                "a: name=x command='/bin/true %p x'",
                "a: name=x command='/usr/bin/env %p /tmp/mine'",
                "a: name=x command='/bin/%p'",
                "a: name=x command='/bin/true 100%'",
                "a: name=x command='/bin/true \"'",
                "a: name=x signal=USR1 until=relative",
                "a: name=x signal=USR1 until=",
                "a: name=x signal=USR1 until=/a/%s",
                "a: name=x signal=USR1 until=exit until=told",
                "a: name=x signal=USR1 cpu=5",
                "a: name=x signal=USR1 what=else",
                "a: name=( signal=USR1",
                "a b: name=x signal=USR1",
                "a: name=x 'signal=USR1",
        };

        for (gsize i = 0; i < G_N_ELEMENTS(wrong); i++) {
                g_autoptr(GError) error = NULL;
                GPtrArray *jobs = jobs_parse((const char *const[]) { wrong[i], NULL }, &error);

                if (jobs)
                        g_error("“%s” was taken", wrong[i]);
                g_assert_nonnull(strstr(error->message, wrong[i]));
        }
}

static void test_names_and_numbers(void) {
        const char *const twice[] = { "a: name=x signal=USR1", "a: name=y signal=USR1", NULL };
        g_autofree const char **many = g_new0(const char *, JOBS_MAX + 2);
        g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) first = NULL, second = NULL;

        g_assert_null(jobs_parse(twice, &first));
        g_assert_nonnull(strstr(first->message, "another one has this name"));
        for (guint i = 0; i <= JOBS_MAX; i++) {
                g_ptr_array_add(texts, g_strdup_printf("j%u: name=x signal=USR1", i));
                many[i] = g_ptr_array_index(texts, i);
        }
        g_assert_null(jobs_parse(many, &second));
        g_assert_nonnull(strstr(second->message, "at most 32"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/checkpoint/signal", test_signal);
        g_test_add_func("/checkpoint/command", test_command);
        g_test_add_func("/checkpoint/until", test_until);
        g_test_add_func("/checkpoint/wrong", test_wrong);
        g_test_add_func("/checkpoint/names-and-numbers", test_names_and_numbers);
        return g_test_run();
}
