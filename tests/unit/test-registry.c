/* SPDX-License-Identifier: Apache-2.0 */

/* More plugins than there may be. What is beyond is not taken, and not passed over in silence. */

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

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/registry/so-many-and-no-more", test_so_many_and_no_more);
        return g_test_run();
}
