/* SPDX-License-Identifier: Apache-2.0 */

/* What a pump comes to: whoever reads from it, and ends with it, ends nothing before that is known. */

#include "cli/pump.h"

#include <fcntl.h>
#include <glib-unix.h>
#include <unistd.h>

/* Between two steps of a thread: seldom. */
#define TIMES 1000

static void on_done(Pump *pump, const GError *error, gpointer userdata) {
        gboolean *failed = userdata;

        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, "cannot be read"));
        *failed = TRUE;
}

static void test_a_failure_is_known_before_its_end_is_heard(void) {
        for (unsigned i = 0; i < TIMES; i++) {
                int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), fds[2];
                g_autoptr(GError) error = NULL;
                gboolean failed = FALSE;
                Pump *pump;
                char c;

                g_assert_cmpint(directory, >=, 0);
                g_assert_true(g_unix_open_pipe(fds, FD_CLOEXEC, &error));
                pump = pump_new(directory, "The input", fds[1], "The output", PUMP_OWNS_TO | PUMP_OWNS_FROM, on_done,
                                &failed);
                g_assert_cmpint(read(fds[0], &c, 1), ==, 0);
                (void) g_main_context_iteration(NULL, FALSE);
                g_assert_true(failed);
                pump_free(pump);
                (void) close(fds[0]);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pump/failure-before-end", test_a_failure_is_known_before_its_end_is_heard);
        return g_test_run();
}
