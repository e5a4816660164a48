/* SPDX-License-Identifier: Apache-2.0 */

/* Where root writes: nowhere that somebody else could have prepared. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "access-list.h"
#include "base/cleanup.h"
#include "base/names.h"
#include "helper/helper.h"

typedef struct Fixture {
        Places places;
        char *root;
} Fixture;

static void make(const Fixture *f, const char *directory) {
        g_autofree char *path = g_strconcat(f->root, directory, NULL);

        g_assert_cmpint(g_mkdir_with_parents(path, 0755), ==, 0);
}

static void set_up(Fixture *f, const void *data) {
        g_autoptr(GError) error = NULL;

        umask(0022);
        f->root = g_dir_make_tmp("snooze-place-XXXXXX", &error);
        g_assert_no_error(error);
        f->places = (Places) { .root = f->root, .also = geteuid() };
        make(f, "/etc/systemd/system");
}

static void remove_tree(const char *path) {
        g_autoptr(GDir) directory = g_file_test(path, G_FILE_TEST_IS_SYMLINK) ? NULL : g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                remove_tree(child);
        }
        (void) g_remove(path);
}

static void tear_down(Fixture *f, const void *data) {
        remove_tree(f->root);
        g_free(f->root);
}

#define FILE_PATH "/etc/systemd/system/x.service.d/10-permissions.conf"

static void test_write(Fixture *f, const void *data) {
        g_autofree char *path = g_strconcat(f->root, FILE_PATH, NULL), *directory = g_path_get_dirname(path),
                        *text = NULL;
        g_autoptr(GError) error = NULL;
        gboolean changed = FALSE;
        struct stat st;

        g_assert_true(place_write(&f->places, FILE_PATH, "one\n", &changed, &error));
        g_assert_no_error(error);
        g_assert_true(changed);
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 07777, ==, 0644);

        changed = FALSE;
        g_assert_true(place_write(&f->places, FILE_PATH, "one\n", &changed, &error));
        g_assert_false(changed);
        g_assert_true(place_write(&f->places, FILE_PATH, "two\n", &changed, &error));
        g_assert_true(changed);
        g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "two\n");

        changed = FALSE;
        g_assert_true(place_write(&f->places, FILE_PATH, "", &changed, &error));
        g_assert_true(changed);
        g_assert_false(g_file_test(directory, G_FILE_TEST_EXISTS));
        changed = FALSE;
        g_assert_true(place_remove(&f->places, FILE_PATH, TRUE, &changed, &error));
        g_assert_false(changed);
}

static void assert_refused(Fixture *f, const char *path, const char *part) {
        g_autoptr(GError) error = NULL;
        gboolean changed = FALSE;

        g_assert_false(place_write(&f->places, path, "x\n", &changed, &error));
        g_assert_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE);
        g_assert_nonnull(strstr(error->message, part));
        g_assert_false(changed);
}

static void test_links(Fixture *f, const void *data) {
        g_autofree char *link = g_strconcat(f->root, "/etc/link", NULL),
                        *file = g_strconcat(f->root, "/etc/systemd/system/x", NULL);
        g_autofree char *target = g_strconcat(f->root, "/etc/target", NULL), *text = NULL;
        g_autoptr(GError) error = NULL;
        gboolean changed = FALSE;

        g_assert_cmpint(symlink("systemd", link), ==, 0);
        assert_refused(f, "/etc/link/system/x", "/etc/link");

        /* A link in the file's own place is replaced, not followed. */
        g_assert_true(g_file_set_contents(target, "x\n", -1, NULL));
        g_assert_cmpint(symlink("../../target", file), ==, 0);
        g_assert_true(place_write(&f->places, "/etc/systemd/system/x", "y\n", &changed, &error));
        g_assert_false(g_file_test(file, G_FILE_TEST_IS_SYMLINK));
        g_assert_true(g_file_get_contents(target, &text, NULL, NULL));
        g_assert_cmpstr(text, ==, "x\n");
}

static void test_writable_parents(Fixture *f, const void *data) {
        g_autofree char *path = g_strconcat(f->root, "/etc/systemd", NULL);

        g_assert_cmpint(chmod(path, 0777), ==, 0);
        assert_refused(f, FILE_PATH, "/etc/systemd: can be written by others");
        g_assert_cmpint(chmod(path, 0755), ==, 0);
        assert_refused(f, "/etc/missing/deeper/x", "/etc/missing");
        assert_refused(f, "/etc/../etc/systemd/x", "without . and ..");
}

static void test_owners(Fixture *f, const void *data) {
        g_autofree char *path = g_strconcat(f->root, "/etc/systemd", NULL),
                        *state = g_strconcat(f->root, STATE_DIRECTORY, NULL);
        g_autoptr(GError) error = NULL;

        if (geteuid() != 0) {
                g_test_skip("impossible here: giving files away needs root");
                return;
        }
        g_assert_cmpint(chown(path, 4711, 0), ==, 0);
        assert_refused(f, FILE_PATH, "belongs to user 4711");

        /* The daemon may write into its state directory; what root has put there is trusted if the daemon cannot move
         * it. */
        make(f, STATE_DIRECTORY "/plugins/example");
        g_assert_cmpint(chown(state, 0, 4711), ==, 0);
        g_assert_cmpint(chmod(state, 0775), ==, 0);
        g_assert_false(place_trusted(&f->places, STATE_DIRECTORY "/plugins/example", &error));
        g_assert_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE);
        g_clear_error(&error);
        g_assert_cmpint(chmod(state, 01775), ==, 0);
        g_assert_true(place_trusted(&f->places, STATE_DIRECTORY "/plugins/example", &error));
        g_assert_no_error(error);
        assert_refused(f, FILE_PATH, "belongs to user 4711");
        g_free(path);
        path = g_strconcat(f->root, STATE_DIRECTORY "/plugins", NULL);
        g_assert_cmpint(chown(path, 4711, 0), ==, 0);
        g_assert_false(place_trusted(&f->places, STATE_DIRECTORY "/plugins/example", &error));
        g_assert_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE);
}

static void test_access_lists(Fixture *f, const void *data) {
        g_autofree char *path = g_strconcat(f->root, "/etc/systemd", NULL);

        if (access_list_give(path))
                assert_refused(f, FILE_PATH, "can be written by others");
        else
                g_test_skip("impossible here: a file system without access control lists");
}

static void give(const Fixture *f, const char *directory, gid_t group, mode_t mode) {
        g_autofree char *path = g_strconcat(f->root, directory, NULL);

        g_assert_cmpint(chown(path, 0, group), ==, 0);
        g_assert_cmpint(chmod(path, mode), ==, 0);
}

static void test_local_software(Fixture *f, const void *data) {
        g_autoptr(GError) error = NULL;

        if (geteuid() != 0) {
                g_test_skip("impossible here: giving files away needs root");
                return;
        }
        make(f, "/usr/local/lib/plugins");
        make(f, "/usr/localized/plugins");
        /* As Debian does. */
        give(f, "/usr/local", 50, 02775);
        give(f, "/usr/local/lib", 50, 02775);
        give(f, "/usr/local/lib/plugins", 50, 02775);
        g_assert_true(place_trusted(&f->places, "/usr/local/lib/plugins", &error));
        g_assert_no_error(error);

        give(f, "/usr/local/lib/plugins", 4711, 0775);
        assert_refused(f, "/usr/local/lib/plugins/x", "/usr/local/lib/plugins: can be written by others");
        give(f, "/usr/local/lib/plugins", 50, 0777);
        assert_refused(f, "/usr/local/lib/plugins/x", "/usr/local/lib/plugins: can be written by others");
        give(f, "/usr/localized/plugins", 50, 02775);
        assert_refused(f, "/usr/localized/plugins/x", "/usr/localized/plugins: can be written by others");
        /* Where it is root's alone nobody's group is meant. */
        give(f, "/usr/local/lib/plugins", 50, 02775);
        give(f, "/usr/local", 50, 0755);
        assert_refused(f, "/usr/local/lib/plugins/x", "/usr/local/lib: can be written by others");
}

/* A program: nobody asks what it does. */
static void put(const Fixture *f, const char *path, const char *content, mode_t mode) {
        g_autofree char *real = g_strconcat(f->root, path, NULL), *directory = g_path_get_dirname(path);

        make(f, directory);
        g_assert_true(g_file_set_contents(real, content, -1, NULL));
        g_assert_cmpint(chmod(real, mode), ==, 0);
}

/* @ stands for the root, in both. */
static char *rooted(const Fixture *f, const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, "@", -1);

        return g_strjoinv(f->root, parts);
}

static void assert_interpreters(Fixture *f, const char *content, const char *expected) {
        g_autofree char *path = g_build_filename(f->root, "script", NULL), *joined = NULL,
                        *text = rooted(f, content), *wanted = rooted(f, expected);
        g_auto(GStrv) found = NULL;

        g_assert_true(g_file_set_contents(path, text, -1, NULL));
        found = interpreters(&f->places, path);
        joined = g_strjoinv(" ", found);
        g_assert_cmpstr(joined, ==, wanted);
}

static void test_interpreters(Fixture *f, const void *data) {
        put(f, "/x/program", "\177ELF", 0755);
        put(f, "/x/snooze-plugin-shell", "\177ELF", 0755);
        put(f, "/x/not-snooze-plugin-shell", "\177ELF", 0755);
        assert_interpreters(f, "#!/bin/sh\n", "/bin/sh");
        assert_interpreters(f, "#! /bin/sh -E\nx", "/bin/sh");
        assert_interpreters(f, "#!/usr/bin/env -S FOO=bar sh\n", "/usr/bin/env /usr/bin/sh");
        assert_interpreters(f, "#!/usr/bin/env no-such-program-anywhere\n", "/usr/bin/env");
        assert_interpreters(f, "#!/usr/bin/env @/x/program\n", "/usr/bin/env @/x/program");
        assert_interpreters(f, "#!@/x/snooze-plugin-shell\n", "@/x/snooze-plugin-shell /bin/sh");
        assert_interpreters(f, "#! @/x/snooze-plugin-shell  @/x/program \n", "@/x/snooze-plugin-shell @/x/program");
        assert_interpreters(f, "#!@/x/snooze-plugin-shell sh\n", "@/x/snooze-plugin-shell /bin/sh");
        assert_interpreters(f, "#!@/x/not-snooze-plugin-shell @/x/program\n", "@/x/not-snooze-plugin-shell");
        assert_interpreters(f, "#!\n", "");
        assert_interpreters(f, "\177ELF", "");
        assert_interpreters(f, "", "");
}

/* A directory in a unit is everything below it. */
static void test_interpreters_are_programs(Fixture *f, const void *data) {
        put(f, "/x/snooze-plugin-shell", "\177ELF", 0755);
        put(f, "/x/text", "text", 0644);
        assert_interpreters(f, "#!/usr\n", "");
        assert_interpreters(f, "#!/dev/null\n", "");
        assert_interpreters(f, "#!@/x/text\n", "");
        assert_interpreters(f, "#!@/x/missing\n", "");
        assert_interpreters(f, "#!usr/bin/env\n", "");
        assert_interpreters(f, "#!/usr/bin/env -S -u /usr sh\n", "/usr/bin/env");
        assert_interpreters(f, "#!@/x/snooze-plugin-shell /usr\n", "@/x/snooze-plugin-shell");
}

/* Neither the line that names one nor what it leads to is somebody else's to change. */
static void test_interpreters_are_roots(Fixture *f, const void *data) {
        g_autofree char *others = g_strconcat(f->root, "/others", NULL), *link = g_strconcat(f->root, "/link", NULL),
                        *loop = g_strconcat(f->root, "/loop", NULL), *script = g_strconcat(f->root, "/script", NULL);

        put(f, "/x/program", "\177ELF", 0755);
        put(f, "/others/program", "\177ELF", 0755);
        put(f, "/x/runner", "#!/bin/sh\n", 0755);
        g_assert_cmpint(symlink("x/../others/program", link), ==, 0);
        g_assert_cmpint(symlink("loop", loop), ==, 0);
        assert_interpreters(f, "#!@/others/program\n", "@/others/program");
        assert_interpreters(f, "#!@/link\n", "@/link");
        assert_interpreters(f, "#!@/x/runner\n", "@/x/runner /bin/sh");
        assert_interpreters(f, "#!@/loop\n", "");

        g_assert_cmpint(chmod(others, 0777), ==, 0);
        assert_interpreters(f, "#!@/others/program\n", "");
        assert_interpreters(f, "#!@/link\n", "");
        g_assert_cmpint(chmod(others, 01777), ==, 0);
        assert_interpreters(f, "#!@/link\n", "@/link");
        put(f, "/x/runner", "#!/bin/sh\n", 0777);
        assert_interpreters(f, "#!@/x/runner\n", "");
        g_assert_cmpint(chmod(script, 0666), ==, 0);
        {
                g_auto(GStrv) found = interpreters(&f->places, script);

                g_assert_null(found[0]);
        }
}

/* Where versions are installed: below the directory that the daemon keeps its files in, too. */
static void test_interpreters_of_installed(Fixture *f, const void *data) {
        g_autofree char *state = g_strconcat(f->root, STATE_DIRECTORY, NULL),
                        *program = g_strconcat(f->root, STATE_DIRECTORY "/plugins/example/1.0.0/example", NULL),
                        *own = g_strconcat(f->root, STATE_DIRECTORY "/example", NULL);
        g_auto(GStrv) found = NULL, movable = NULL, daemons = NULL;

        if (geteuid() != 0) {
                g_test_skip("impossible here: giving files away needs root");
                return;
        }
        put(f, STATE_DIRECTORY "/plugins/example/1.0.0/example", "#!/bin/sh\n", 0755);
        put(f, STATE_DIRECTORY "/example", "#!/bin/sh\n", 0755);
        give(f, STATE_DIRECTORY, 4711, 01775);
        found = interpreters(&f->places, program);
        g_assert_cmpstr(found[0], ==, "/bin/sh");

        g_assert_cmpint(chown(own, 4711, 4711), ==, 0);
        daemons = interpreters(&f->places, own);
        g_assert_null(daemons[0]);
        g_assert_cmpint(chmod(state, 0775), ==, 0);
        movable = interpreters(&f->places, program);
        g_assert_null(movable[0]);
}

#define ADD(name, function) g_test_add("/place/" name, Fixture, NULL, set_up, function, tear_down)

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("write", test_write);
        ADD("links", test_links);
        ADD("writable-parents", test_writable_parents);
        ADD("owners", test_owners);
        ADD("access-lists", test_access_lists);
        ADD("local-software", test_local_software);
        ADD("interpreters", test_interpreters);
        ADD("interpreters-are-programs", test_interpreters_are_programs);
        ADD("interpreters-are-roots", test_interpreters_are_roots);
        ADD("interpreters-of-installed", test_interpreters_of_installed);
        return g_test_run();
}
