/* SPDX-License-Identifier: Apache-2.0 */

/* /proc/PID/stat: what it says, and whatever else may stand there. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/process-stat.h"

#define LINE "4242 (tmux: (server)) S 1 4242 4200 34819 4300 4194560 1500 0 7 0 150 50 25 25 20 0 3 0 1000 1 2"

static void test_a_line_of_the_kernel(void) {
        static const char longer[] =
                LINE " 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 3 0 0 0 0 0 0 0 0 0 0";
        ProcessStat stat;

        g_assert_cmpint(process_stat_parse(LINE, 100, &stat), ==, 0);
        g_assert_cmpint(stat.pid, ==, 4242);
        g_assert_cmpint(stat.parent, ==, 1);
        g_assert_cmpint(stat.group, ==, 4242);
        g_assert_cmpint(stat.foreground, ==, 4300);
        g_assert_cmpint(stat.state, ==, 'S');
        g_assert_cmpstr(stat.name, ==, "tmux: (server)");
        g_assert_cmpuint(stat.terminal, ==, 34819);
        g_assert_cmpuint(stat.major_faults, ==, 7);
        g_assert_cmpuint(stat.cpu, ==, 2000000);
        g_assert_cmpuint(stat.children_cpu, ==, 500000);
        g_assert_cmpuint(stat.threads, ==, 3);
        g_assert_cmpuint(stat.started, ==, 10000000);
        g_assert_cmpuint(stat.blocked_ticks, ==, 0);

        g_assert_cmpint(process_stat_parse(longer, 100, &stat), ==, 0);
        g_assert_cmpuint(stat.blocked_ticks, ==, 3);
}

static void test_names_may_hold_anything(void) {
        static const char after[] = " R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5";
        g_autofree char *many = g_strnfill(200, 'x'), *long_line = g_strdup_printf("7 (%s)%s", many, after);
        ProcessStat stat;

        g_assert_cmpint(process_stat_parse("7 (a) S 1 (b)) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5", 100, &stat), ==,
                        0);
        g_assert_cmpstr(stat.name, ==, "a) S 1 (b)");
        g_assert_cmpint(stat.state, ==, 'R');
        g_assert_cmpint(stat.foreground, ==, -1);
        g_assert_cmpint(process_stat_parse(long_line, 100, &stat), ==, 0);
        g_assert_cmpuint(strlen(stat.name), ==, PROCESS_NAME_SIZE - 1);
}

static void test_other_lines_are_refused(void) {
        static const char *const lines[] = {
                "",
                "x",
                "7",
                "7 (",
                "7 )(",
                "7 (a",
                "7 (a)",
                "7 (a) ",
                "7 (a) R",
                "7 (a) R 1 2",
                "99999999999999999999 (a) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5",
                "-7 (a) R 1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5",
                "7 (a) R -1 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5",
                "7 (a) R 1 7 7 0 -1 0 0 0 0 0 x 0 0 0 20 0 1 0 5",
                "7 (a) R 1 7 7 0 -1 0 0 0 0 0 -5 0 0 0 20 0 1 0 5",
                "7 (a) R 1 7 7 0 -1 0 0 0 0 0 9223372036854775807 9 0 0 20 0 1 0 5",
        };
        ProcessStat stat;

        for (gsize i = 0; i < G_N_ELEMENTS(lines); i++)
                g_assert_cmpint(process_stat_parse(lines[i], 100, &stat), ==, -EBADMSG);
        g_assert_cmpint(process_stat_parse(LINE, 0, &stat), ==, -EBADMSG);
}

/* Whatever stands there, the parser ends and keeps to its bounds (the sanitizers watch). */
static void test_garbled_lines(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(7);
        ProcessStat stat;

        for (unsigned i = 0; i < 20000; i++) {
                char line[] = LINE;

                for (unsigned k = 0; k < 3; k++)
                        line[g_rand_int_range(random, 0, sizeof(line) - 1)] = (char) g_rand_int_range(random, 0, 256);
                if (process_stat_parse(line, 100, &stat) == 0)
                        g_assert_cmpuint(strnlen(stat.name, sizeof(stat.name)), <, sizeof(stat.name));
        }
}

static void test_this_process(void) {
        _cleanup_close_ int folder = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
        char text[8];
        ProcessStat stat;

        g_assert_cmpint(folder, >=, 0);
        g_assert_cmpint(process_stat_read(folder, sysconf(_SC_CLK_TCK), &stat), ==, 0);
        g_assert_cmpint(stat.pid, ==, getpid());
        g_assert_cmpint(stat.parent, ==, getppid());
        g_assert_cmpint(stat.state, ==, 'R');
        g_assert_cmpuint(stat.threads, >=, 1);

        g_assert_cmpint(process_file_read(folder, "stat", text, sizeof(text)), ==, sizeof(text) - 1);
        g_assert_cmpint(process_file_read(folder, "no-such-file", text, sizeof(text)), ==, -ENOENT);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/process-stat/line", test_a_line_of_the_kernel);
        g_test_add_func("/process-stat/names", test_names_may_hold_anything);
        g_test_add_func("/process-stat/others", test_other_lines_are_refused);
        g_test_add_func("/process-stat/garbled", test_garbled_lines);
        g_test_add_func("/process-stat/self", test_this_process);
        return g_test_run();
}
