/* SPDX-License-Identifier: Apache-2.0 */

/* Trees that are taken over: what comes along, what is refused, when two are the same, and that none of it leaves its
 * directory. */

#include "util/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

typedef struct Fixture {
        char *directory, *from, *to;
        int source, target;
} Fixture;

static void make(const char *directory, const char *name, const char *content, mode_t mode) {
        g_autofree char *path = g_build_filename(directory, name, NULL), *parent = g_path_get_dirname(path);

        g_assert_cmpint(g_mkdir_with_parents(parent, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, content, -1, NULL));
        g_assert_cmpint(chmod(path, mode), ==, 0);
}

static void setup(Fixture *f, const void *data) {
        f->directory = g_dir_make_tmp("snooze-tree-XXXXXX", NULL);
        g_assert_nonnull(f->directory);
        f->from = g_build_filename(f->directory, "from", NULL);
        f->to = g_build_filename(f->directory, "to", NULL);
        g_assert_cmpint(mkdir(f->from, 0755), ==, 0);
        g_assert_cmpint(mkdir(f->to, 0755), ==, 0);
        f->source = open(f->from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        f->target = open(f->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(f->source, >=, 0);
        g_assert_cmpint(f->target, >=, 0);
}

static void teardown(Fixture *f, const void *data) {
        g_autofree char *name = g_path_get_basename(f->directory), *parent = g_path_get_dirname(f->directory);
        _cleanup_close_ int above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        (void) safe_close(f->source);
        (void) safe_close(f->target);
        g_assert_true(tree_remove(above, name, NULL));
        g_assert_false(g_file_test(f->directory, G_FILE_TEST_EXISTS));
        g_free(f->directory);
        g_free(f->from);
        g_free(f->to);
}

static gboolean copy(const Fixture *f, GError **error) {
        TreeWriter writer = { .directory = f->target };

        return tree_copy(f->source, 0, &writer, error);
}

static void assert_refused(const Fixture *f, const char *part) {
        g_autoptr(GError) error = NULL;

        g_assert_false(copy(f, &error));
        g_assert_nonnull(error);
        g_assert_nonnull(strstr(error->message, part));
}

static void assert_mode(const char *directory, const char *name, mode_t mode) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        struct stat st;

        g_assert_cmpint(lstat(path, &st), ==, 0);
        g_assert_cmpint(st.st_mode & 07777, ==, mode);
}

static void test_copy(Fixture *f, const void *data) {
        g_autoptr(GError) error = NULL;
        g_autofree char *link = g_build_filename(f->from, "a/link", NULL);

        make(f->from, "a/b/text", "one", 0666);
        make(f->from, "program", "two", 0700);
        g_assert_cmpint(symlink("../program", link), ==, 0);
        g_assert_true(copy(f, &error));
        g_assert_no_error(error);
        assert_mode(f->to, "a/b", 0755);
        assert_mode(f->to, "a/b/text", 0644);
        assert_mode(f->to, "program", 0755);
        g_assert_true(tree_equal(f->source, f->target, &error));
        g_assert_no_error(error);
}

static void test_differences(Fixture *f, const void *data) {
        const struct {
                const char *name, *content;
                mode_t mode;
        } changes[] = {
                { "text", "ono", 0644 }, { "text", "one more", 0644 }, { "text", "one", 0755 }, { "more", "", 0644 }
        };

        make(f->from, "text", "one", 0644);
        g_assert_true(copy(f, NULL));
        for (size_t i = 0; i < G_N_ELEMENTS(changes); i++) {
                make(f->to, changes[i].name, changes[i].content, changes[i].mode);
                g_assert_false(tree_equal(f->source, f->target, NULL));
                g_assert_false(tree_equal(f->target, f->source, NULL));
                make(f->to, "text", "one", 0644);
                if (i + 1 < G_N_ELEMENTS(changes))
                        g_assert_true(tree_equal(f->source, f->target, NULL));
        }
}

static void test_links(Fixture *f, const void *data) {
        const struct {
                const char *target;
                unsigned depth;
                gboolean stays;
        } table[] = {
                { "a", 0, TRUE },     { "a/b", 0, TRUE },   { "../a", 1, TRUE },       { "../../a", 2, TRUE },
                { "..", 1, TRUE },    { "..", 0, FALSE },   { "../a", 0, FALSE },      { "/a", 3, FALSE },
                { "", 3, FALSE },     { "a/..", 3, FALSE }, { "a/../../b", 3, FALSE }, { "../../a", 1, FALSE },
                { "a//b", 0, FALSE }, { "./a", 0, FALSE },  { "../a/../b", 3, FALSE },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++)
                g_assert_cmpint(tree_link_stays(table[i].target, table[i].depth), ==, table[i].stays);
}

static void test_bad_links(Fixture *f, const void *data) {
        static const char *const targets[] = { "/etc/passwd", "../to", "a/../../to" };

        for (size_t i = 0; i < G_N_ELEMENTS(targets); i++) {
                g_assert_cmpint(symlinkat(targets[i], f->source, "link"), ==, 0);
                assert_refused(f, "link: is a link that may lead out");
                g_assert_cmpint(unlinkat(f->source, "link", 0), ==, 0);
        }
}

static void test_no_files(Fixture *f, const void *data) {
        g_assert_cmpint(mkfifoat(f->source, "pipe", 0666), ==, 0);
        assert_refused(f, "pipe: is a device, pipe or socket");
}

static void test_setuid(Fixture *f, const void *data) {
        make(f->from, "program", "", 0755);
        g_assert_cmpint(fchmodat(f->source, "program", 04755, 0), ==, 0);
        assert_refused(f, "program: is setuid or setgid");
}

static void test_too_many(Fixture *f, const void *data) {
        for (unsigned i = 0; i <= TREE_ENTRIES_MAX; i++) {
                g_autofree char *name = g_strdup_printf("%u", i);

                g_assert_cmpint(mkdirat(f->source, name, 0755), ==, 0);
        }
        assert_refused(f, "more than the 2048");
}

static void test_too_much(Fixture *f, const void *data) {
        _cleanup_close_ int fd = openat(f->source, "hole", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

        g_assert_cmpint(ftruncate(fd, (off_t) TREE_BYTES_MAX), ==, 0);
        g_assert_true(copy(f, NULL));
        g_assert_true(tree_remove(f->target, "hole", NULL));
        g_assert_cmpint(ftruncate(fd, (off_t) TREE_BYTES_MAX + 1), ==, 0);
        assert_refused(f, "more than the 64 MiB");
}

static void test_too_deep(Fixture *f, const void *data) {
        make(f->from, "1/2/3/4/5/6/7/8/file", "", 0644);
        g_assert_true(copy(f, NULL));
        g_assert_true(tree_remove(f->target, "1", NULL));
        make(f->from, "1/2/3/4/5/6/7/8/9/file", "", 0644);
        assert_refused(f, "deeper than");
}

static void test_names(Fixture *f, const void *data) {
        static const char *const names[] = { "a\nb", "a\033b", "\xff" };
        TreeWriter writer = { .directory = f->target };

        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                make(f->from, names[i], "", 0644);
                assert_refused(f, "control characters");
                g_assert_cmpint(unlinkat(f->source, names[i], 0), ==, 0);
        }
        for (const char *const *path =
                     (const char *const[]){ "..", "../a", "a/../b", "/a", "a//b", "./a", "a/.", "a/", NULL };
             *path; path++) {
                g_autoptr(GError) error = NULL;

                g_assert_cmpint(tree_make_file(&writer, *path, 0644, &error), ==, -1);
                g_assert_nonnull(error);
                g_assert_false(tree_make_link(&writer, *path, "x", NULL));
                g_assert_false(tree_make_directory(&writer, *path, NULL));
        }
}

/* Who writes what somebody else says must not be led out by what was written before. */
static void test_no_way_over_a_link(Fixture *f, const void *data) {
        TreeWriter writer = { .directory = f->target };
        g_autofree char *outside = g_build_filename(f->directory, "outside", NULL);

        g_assert_cmpint(symlinkat("..", f->target, "up"), ==, 0);
        g_assert_cmpint(tree_make_file(&writer, "up/outside", 0644, NULL), ==, -1);
        g_assert_false(tree_make_directory(&writer, "up/outside", NULL));
        g_assert_false(tree_make_link(&writer, "up/outside", "x", NULL));
        g_assert_false(tree_make_directory(&writer, "up", NULL));
        g_assert_cmpint(tree_make_file(&writer, "up", 0644, NULL), ==, -1);
        g_assert_false(g_file_test(outside, G_FILE_TEST_EXISTS));
        /* Removing ends at it, too. */
        make(f->directory, "kept", "", 0644);
        g_assert_true(tree_remove(f->target, "up", NULL));
        g_assert_cmpint(faccessat(f->target, "../kept", F_OK, 0), ==, 0);
}

static void test_reader(Fixture *f, const void *data) {
        TreeWriter writer = { .directory = f->target };
        g_autoptr(GError) error = NULL;

        if (geteuid() != 0) {
                g_test_skip("impossible here: other users need root");
                return;
        }
        make(f->from, "secret", "", 0600);
        g_assert_false(tree_copy(f->source, 4711, &writer, &error));
        g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_ACCES);
        g_assert_cmpint(fchownat(f->source, "secret", 4711, 0, 0), ==, 0);
        g_assert_true(tree_copy(f->source, 4711, &writer, NULL));
}

int main(int argc, char **argv) {
        const struct {
                const char *name;
                void (*function)(Fixture *f, const void *data);
        } tests[] = {
                { "/tree/copy", test_copy },
                { "/tree/differences", test_differences },
                { "/tree/links", test_links },
                { "/tree/bad-links", test_bad_links },
                { "/tree/no-files", test_no_files },
                { "/tree/setuid", test_setuid },
                { "/tree/too-many", test_too_many },
                { "/tree/too-much", test_too_much },
                { "/tree/too-deep", test_too_deep },
                { "/tree/names", test_names },
                { "/tree/no-way-over-a-link", test_no_way_over_a_link },
                { "/tree/reader", test_reader },
        };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++)
                g_test_add(tests[i].name, Fixture, NULL, setup, tests[i].function, teardown);
        return g_test_run();
}
