/* SPDX-License-Identifier: Apache-2.0 */

/* Of a test that dies nothing is left: neither its bus nor what that has started. */

#include <errno.h>
#include <stdlib.h>

#include "private-bus.h"

#define SERVICE "io.cloudsnooze.Plugin1.one"
#define PATIENCE 20U /* seconds, for each end */

static void write_service(const char *directory) {
        g_autofree char *path = g_build_filename(directory, SERVICE ".service", NULL);
        g_autofree char *text = g_strdup_printf("[D-BUS Service]\nName=" SERVICE "\nExec=%s one idle %s\n",
                                                g_getenv("FAKE_PLUGIN"), directory);
        g_autoptr(GError) error = NULL;

        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
}

static void start_service(PrivateBus *bus) {
        sd_bus *connection = private_bus_connect(bus);

        g_assert_cmpint(sd_bus_call_method(connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "StartServiceByName", NULL, NULL, "su", SERVICE,
                                           0U),
                        >=, 0);
        sd_bus_flush_close_unref(connection);
}

/* A test with a bus and a plugin on it, which is killed. */
static void die(const char *directory) {
        PrivateBus bus = { 0 };

        /* The directory of the bus, which nobody lives to remove, is one of ours. */
        g_setenv("TMPDIR", directory, TRUE);
        private_bus_up_with(&bus, directory);
        start_service(&bus);
        (void) raise(SIGKILL);
}

static void remove_tree(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                remove_tree(child);
        }
        (void) g_remove(path);
}

static void test_nothing_is_left(void) {
        char directory[] = "/tmp/snooze-test-private-bus-XXXXXX";
        unsigned orphans = 0;
        int status;
        pid_t test, pid;

        g_assert_nonnull(mkdtemp(directory));
        write_service(directory);
        /* What it leaves becomes ours, and its end is told to us. */
        g_assert_cmpint(prctl(PR_SET_CHILD_SUBREAPER, 1), ==, 0);
        test = fork();
        g_assert_cmpint(test, >=, 0);
        if (test == 0)
                die(directory);
        g_assert_cmpint(waitpid(test, &status, 0), ==, test);
        g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        do {
                (void) alarm(PATIENCE);
                pid = waitpid(-1, NULL, 0);
                orphans += pid > 0;
        } while (pid > 0);
        (void) alarm(0);
        g_assert_cmpint(errno, ==, ECHILD);
        /* The bus and the plugin; there may be somebody between them. */
        g_assert_cmpint(orphans, >=, 2);
        remove_tree(directory);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/private-bus/nothing-is-left-of-a-test-that-dies", test_nothing_is_left);
        return g_test_run();
}
