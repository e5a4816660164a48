/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "scan.h"

#define LINE "4242 (tmux: (server)) S 1 4242 4200 34819 4300 4194560 1500 0 7 0 150 50 25 25 20 0 1 0 1000 1 2"

static void test_a_line_of_the_kernel(void) {
        ScannedProcess process;

        g_assert_cmpint(scan_parse_stat(LINE, 100, &process), ==, 0);
        g_assert_cmpint(process.pid, ==, 4242);
        g_assert_cmpint(process.parent, ==, 1);
        g_assert_cmpint(process.state, ==, 'S');
        g_assert_cmpstr(process.name, ==, "tmux: (server)");
        g_assert_cmpuint(process.cpu, ==, 2500000);
        g_assert_cmpuint(process.started, ==, 10000000);
}

static void test_other_lines_are_refused(void) {
        static const char *const lines[] = {
                "", "x", "7", "7 (", "7 )(", "7 (a", "7 (a)", "7 (a) ", "7 (a) R", "7 (a) R 1 2", "99999999999999999999 (a) R 1 7 7 0",
                "-7 (a) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5", "7 (a) R 1 7 7 0 -1 0 0 0 0 0 x 0 0 0 20 0 1 0 5",
                "7 (a) R 1 7 7 0 -1 0 0 0 0 0 -5 0 0 0 20 0 1 0 5", "7 (a) R 1 7 7 0 -1 0 0 0 0 0 9223372036854775807 9 0 0 20 0 1 0 5",
        };
        ScannedProcess process;

        for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
                g_assert_cmpint(scan_parse_stat(lines[i], 100, &process), ==, -EBADMSG);
}

/* Whatever stands there, the parser ends and keeps to its bounds (the sanitizers watch). */
static void test_garbled_lines(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(7);
        ScannedProcess process;

        for (unsigned i = 0; i < 20000; i++) {
                char line[] = LINE;

                for (unsigned k = 0; k < 3; k++)
                        line[g_rand_int_range(random, 0, sizeof(line) - 1)] = (char) g_rand_int_range(random, 0, 256);
                if (scan_parse_stat(line, 100, &process) == 0)
                        g_assert_cmpuint(strnlen(process.name, sizeof(process.name)), <, sizeof(process.name));
        }
}

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
        g_test_add_func("/processes/scan/a-line-of-the-kernel", test_a_line_of_the_kernel);
        g_test_add_func("/processes/scan/other-lines-are-refused", test_other_lines_are_refused);
        g_test_add_func("/processes/scan/garbled-lines", test_garbled_lines);
        g_test_add_func("/processes/scan/a-real-process", test_a_real_process);
        g_test_add_func("/processes/scan/no-proc-is-an-error", test_no_proc_is_an_error);
        return g_test_run();
}
