/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scan.h"

typedef struct Sought {
        pid_t pid;
        unsigned found;
        gboolean self;
        char cmdline[PATH_MAX]; /* begins with where this program lies */
        uid_t owner;
} Sought;

static void on_process(const ScannedProcess *process, void *userdata) {
        Sought *sought = userdata;

        sought->self = sought->self || process->pid == getpid();
        if (process->pid != sought->pid)
                return;
        sought->found++;
        sought->owner = process->owner;
        g_strlcpy(sought->cmdline, process->cmdline ? process->cmdline : "", sizeof(sought->cmdline));
}

static void test_a_real_process(void) {
        Sought sought = { .pid = fork() }, without, ended;

        g_assert_cmpint(sought.pid, >=, 0);
        if (sought.pid == 0) {
                pause();
                _exit(0);
        }
        without = ended = sought;
        g_assert_cmpint(scan("", TRUE, on_process, &sought), ==, 1);
        g_assert_cmpuint(sought.found, ==, 1);
        g_assert_false(sought.self);
        g_assert_cmpuint(sought.owner, ==, getuid());
        g_assert_nonnull(strstr(sought.cmdline, "test-scan"));

        g_assert_cmpint(scan("", FALSE, on_process, &without), ==, 1);
        g_assert_cmpstr(without.cmdline, ==, "");

        kill(sought.pid, SIGKILL);
        g_assert_cmpint(waitid(P_PID, (id_t) sought.pid, &(siginfo_t) { 0 }, WEXITED | WNOWAIT), ==, 0);
        g_assert_cmpint(scan("", TRUE, on_process, &ended), ==, 1);
        g_assert_cmpuint(ended.found, ==, 0); /* it has ended, though nobody took leave of it */
        g_assert_cmpint(waitpid(sought.pid, NULL, 0), ==, sought.pid);
}

static void test_no_proc_is_an_error(void) {
        g_assert_cmpint(scan("/nonexistent", FALSE, on_process, NULL), ==, -ENOENT);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/processes/scan/a-real-process", test_a_real_process);
        g_test_add_func("/processes/scan/no-proc-is-an-error", test_no_proc_is_an_error);
        return g_test_run();
}
