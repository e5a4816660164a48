/* SPDX-License-Identifier: Apache-2.0 */

/* More plugins than there may be, of which what is beyond is not taken, and not passed over in silence; and
 * directories that anybody could fill. */

#include <sys/inotify.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "plugin-fixture.h"

/* Broken ones are listed, too, and nothing else has to be there for them. */
static void add_many(PluginFixture *f, const char *where, unsigned from, unsigned n) {
        for (unsigned i = from; i < from + n; i++) {
                g_autofree char *directory = g_strdup_printf("%s/%s/p%u", f->directory, where, i);
                g_autofree char *path = g_build_filename(directory, "plugin.json", NULL);

                g_assert_cmpint(g_mkdir_with_parents(directory, 0755), ==, 0);
                /* Empty, and so written nowhere: thousands would be waited for. */
                g_assert_true(g_close(g_creat(path, 0644), NULL));
        }
}

static unsigned told(PluginFixture *f, const char *directory) {
        g_autofree char *part =
                g_strdup_printf("plugins: %s/%s: there are 4096 plugins already, and no more are taken",
                                f->directory, directory);
        unsigned n = 0;

        for (guint i = 0; i < f->problems->len; i++)
                n += g_str_has_prefix(g_ptr_array_index(f->problems, i), part);
        return n;
}

static void test_so_many_and_no_more(void) {
        g_autofree char *configuration = NULL;
        PluginFixture f = {};

        fixture_prepare(&f);
        add_many(&f, "plugins", 0, PLUGINS_MAX - 1);
        /* One that stands twice counts once. */
        add_many(&f, "more", PLUGINS_MAX - 2, 2);
        configuration = g_strdup_printf("{\"plugins\": {\"directories\": [\"%s/more\"]}}", f.directory);
        fixture_start(&f, configuration);
        g_assert_cmpuint(f.plugins->list->len, ==, PLUGINS_MAX);
        g_assert_cmpuint(told(&f, "more"), ==, 0);

        /* However many they are, and however often somebody looks. */
        add_many(&f, "more", PLUGINS_MAX, 3);
        run_until(f.bus.event, told(&f, "more") > 0);
        g_assert_cmpuint(told(&f, "more"), ==, 1);
        g_strfreev(plugins_discover(f.plugins));
        g_assert_cmpuint(told(&f, "more"), ==, 1);
        g_assert_cmpuint(told(&f, "plugins"), ==, 0);
        g_assert_cmpuint(f.plugins->list->len, ==, PLUGINS_MAX);
        /* The first by their names, wherever the file system has put them. */
        g_assert_nonnull(plugins_find(f.plugins, "p4095"));
        fixture_down(&f);
}

/* How often its names were read since it is watched. */
static unsigned reads(int watch, int directory) {
        char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
        const struct inotify_event *event;
        unsigned n = 0;
        ssize_t length;

        while ((length = read(watch, buffer, sizeof(buffer))) > 0)
                for (const char *at = buffer; at < buffer + length; at += sizeof(*event) + event->len) {
                        event = (const struct inotify_event *) at;
                        n += event->wd == directory && (event->mask & IN_ACCESS);
                }
        return n;
}

static void test_what_others_can_fill_is_not_read(void) {
        g_autofree char *configuration = NULL, *folder = NULL, *expected = NULL;
        _cleanup_close_ int watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        PluginFixture f = {};
        int directory;

        g_assert_cmpint(watch, >=, 0);
        fixture_prepare(&f);
        add_many(&f, "open", 0, 2);
        folder = g_build_filename(f.directory, "open", NULL);
        directory = inotify_add_watch(watch, folder, IN_ACCESS);
        g_assert_cmpint(directory, >=, 0);
        configuration = g_strdup_printf("{\"plugins\": {\"directories\": [\"%s\"]}}", folder);
        fixture_start(&f, configuration);
        g_assert_cmpuint(f.plugins->list->len, ==, 2);
        g_assert_cmpuint(reads(watch, directory), >, 0);

        g_assert_cmpint(g_chmod(folder, 0777), ==, 0);
        g_strfreev(plugins_discover(f.plugins));
        g_assert_cmpuint(reads(watch, directory), ==, 0);
        expected = g_strdup_printf("plugins: %s: can be written by others than its owner", folder);
        g_assert_true(g_ptr_array_find_with_equal_func(f.problems, expected, g_str_equal, NULL));
        /* Nothing is taken away by that. */
        g_assert_cmpuint(f.plugins->list->len, ==, 2);
        fixture_down(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/registry/so-many-and-no-more", test_so_many_and_no_more);
        g_test_add_func("/registry/what-others-can-fill-is-not-read", test_what_others_can_fill_is_not_read);
        return g_test_run();
}
