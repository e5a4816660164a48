/* SPDX-License-Identifier: Apache-2.0 */

#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/file.h"

typedef struct Fixture {
        char *directory;
        char *path;
} Fixture;

static void setup(Fixture *f, gconstpointer unused) {
        f->directory = g_dir_make_tmp("snooze-file-XXXXXX", NULL);
        g_assert_nonnull(f->directory);
        f->path = g_build_filename(f->directory, "content", NULL);
}

static void teardown(Fixture *f, gconstpointer unused) {
        g_autoptr(GDir) directory = g_dir_open(f->directory, 0, NULL);
        const char *name;

        while ((name = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename(f->directory, name, NULL);

                g_assert_cmpint(g_remove(path), ==, 0);
        }
        g_assert_cmpint(g_rmdir(f->directory), ==, 0);
        g_free(f->directory);
        g_free(f->path);
}

static unsigned count_files(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        unsigned n = 0;

        while (g_dir_read_name(directory))
                n++;
        return n;
}

static void test_round_trip(Fixture *f, gconstpointer unused) {
        const char content[] = "one\0two\n";
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL;
        struct stat st;
        gsize length;

        g_assert_true(file_write(f->path, content, sizeof(content), 0640, &error));
        g_assert_no_error(error);
        g_assert_true(file_read(f->path, 100, &text, &length, &error));
        g_assert_no_error(error);
        g_assert_cmpmem(text, length, content, sizeof(content));
        g_assert_cmpint(text[length], ==, '\0');
        g_assert_cmpint(stat(f->path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0640);
        g_assert_cmpuint(count_files(f->directory), ==, 1);
}

static void test_replaces_whole(Fixture *f, gconstpointer unused) {
        g_autofree char *text = NULL;

        g_assert_true(file_write(f->path, "a long first content", 20, 0600, NULL));
        g_assert_true(file_write(f->path, "short", 5, 0600, NULL));
        g_assert_true(file_read(f->path, 100, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "short");
}

static void test_replace(Fixture *f, gconstpointer unused) {
        g_autofree char *text = NULL;
        struct stat st;

        g_assert_true(file_replace(f->path, "a long first content", 20, 0644, NULL));
        g_assert_true(file_replace(f->path, "short", 5, 0600, NULL));
        g_assert_true(file_read(f->path, 100, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "short");
        g_assert_cmpint(stat(f->path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
        g_assert_cmpuint(count_files(f->directory), ==, 1);
}

static void test_bound_is_exact(Fixture *f, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL, *never = NULL;
        gsize length;

        g_assert_true(file_write(f->path, "12345", 5, 0600, NULL));
        g_assert_true(file_read(f->path, 5, &text, &length, NULL));
        g_assert_cmpuint(length, ==, 5);
        g_assert_false(file_read(f->path, 4, &never, &length, &error));
        g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC);
        g_assert_nonnull(strstr(error->message, f->path));
        g_assert_null(never);
}

static void test_empty(Fixture *f, gconstpointer unused) {
        g_autofree char *text = NULL;
        gsize length = 7;

        g_assert_true(file_write(f->path, "", 0, 0600, NULL));
        g_assert_true(file_read(f->path, 0, &text, &length, NULL));
        g_assert_cmpuint(length, ==, 0);
        g_assert_cmpstr(text, ==, "");
}

/* Files of /proc say that they are empty. */
static void test_size_unknown(Fixture *f, gconstpointer unused) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = NULL, *never = NULL;

        g_assert_true(file_read("/proc/self/status", 65536, &text, NULL, &error));
        g_assert_no_error(error);
        g_assert_true(g_str_has_prefix(text, "Name:"));
        g_assert_false(file_read("/proc/self/status", 10, &never, NULL, &error));
        g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC);
}

static void test_only_regular_files(Fixture *f, gconstpointer unused) {
        g_autoptr(GError) fifo = NULL, directory = NULL, missing = NULL;
        g_autofree char *text = NULL;

        g_assert_false(file_read(f->path, 10, &text, NULL, &missing));
        g_assert_error(missing, G_FILE_ERROR, G_FILE_ERROR_NOENT);
        g_assert_cmpint(mkfifo(f->path, 0600), ==, 0);
        g_assert_false(file_read(f->path, 10, &text, NULL, &fifo));
        g_assert_error(fifo, G_FILE_ERROR, G_FILE_ERROR_INVAL);
        g_assert_false(file_read(f->directory, 1 << 20, &text, NULL, &directory));
        g_assert_error(directory, G_FILE_ERROR, G_FILE_ERROR_INVAL);
        g_assert_null(text);
}

static void test_failure_leaves_nothing(Fixture *f, gconstpointer unused) {
        g_autofree char *nowhere = g_build_filename(f->directory, "missing", "content", NULL);
        g_autoptr(GError) error = NULL, occupied = NULL;

        g_assert_false(file_write(nowhere, "x", 1, 0600, &error));
        g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT);

        g_assert_cmpint(g_mkdir(f->path, 0700), ==, 0);
        g_assert_false(file_write(f->path, "x", 1, 0600, &occupied));
        g_assert_nonnull(occupied);
        g_assert_cmpuint(count_files(f->directory), ==, 1);
}

/* A writer is killed at any moment: what is read is always one of the contents it wrote, whole. */
static void test_killed_writer(Fixture *f, gconstpointer unused) {
        enum { LENGTH = 100000 };

        for (unsigned round = 0; round < 20; round++) {
                g_autofree char *content = g_malloc(LENGTH), *text = NULL;
                int ready[2], status;
                gsize length;
                pid_t child;
                char c;

                g_assert_cmpint(pipe2(ready, O_CLOEXEC), ==, 0);
                child = fork();
                g_assert_cmpint(child, >=, 0);
                if (child == 0) {
                        for (unsigned i = 0;; i++) {
                                memset(content, 'a' + (int) (i % 26), LENGTH);
                                if (!file_write(f->path, content, LENGTH, 0600, NULL))
                                        _exit(1);
                                if (i == 0 && write(ready[1], "", 1) != 1)
                                        _exit(1);
                        }
                }
                g_assert_cmpint(read(ready[0], &c, 1), ==, 1);
                g_usleep((gulong) g_random_int_range(0, 3000));
                g_assert_cmpint(kill(child, SIGKILL), ==, 0);
                g_assert_cmpint(waitpid(child, &status, 0), ==, child);
                g_assert_true(WIFSIGNALED(status));
                close(ready[0]);
                close(ready[1]);

                g_assert_true(file_read(f->path, LENGTH, &text, &length, NULL));
                g_assert_cmpuint(length, ==, LENGTH);
                memset(content, text[0], LENGTH);
                g_assert_cmpmem(text, length, content, LENGTH);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/file/" path, Fixture, NULL, setup, function, teardown)
        ADD("round-trip", test_round_trip);
        ADD("replaces-whole", test_replaces_whole);
        ADD("replace", test_replace);
        ADD("bound-is-exact", test_bound_is_exact);
        ADD("empty", test_empty);
        ADD("size-unknown", test_size_unknown);
        ADD("only-regular-files", test_only_regular_files);
        ADD("failure-leaves-nothing", test_failure_leaves_nothing);
        ADD("killed-writer", test_killed_writer);
        return g_test_run();
}
