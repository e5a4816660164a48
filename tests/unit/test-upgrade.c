/* SPDX-License-Identifier: Apache-2.0 */

/* New versions that wait: for what stands in their way to go, and for each other. What the watch on the directory saw
 * is handed to plugin_upgrade() as the watch does it, what somebody asks for as Upgrade does. */

#include "base/errors.h"
#include "plugin-fixture.h"

#define CHECK "\"IdleCheck\""

/* Written over what is there, and read. */
static Manifest *describe_in(PluginFixture *f, const char *directory, const char *id, const char *version,
                             const char *further) {
        g_autofree char *plugins = g_build_filename(f->directory, directory, NULL);
        g_autofree char *name = g_strdup_printf("%s/%s/plugin.json", directory, id);
        g_autofree char *text = g_strdup_printf("{\"name\": \"%s\", \"version\": \"%s\", \"exec\": \"%s\", "
                                                "\"contracts\": [" CHECK "]%s}",
                                                id, version, g_getenv("FAKE_PLUGIN"), further);
        g_autoptr(GError) error = NULL;
        Manifest *manifest;

        fixture_write(f, name, text);
        manifest = manifest_load(plugins, id, f->plugins->trusted_uid, &error);
        g_assert_no_error(error);
        return manifest;
}

static Manifest *describe(PluginFixture *f, const char *id, const char *version, const char *further) {
        return describe_in(f, "plugins", id, version, further);
}

typedef struct Told {
        unsigned n;
        char *error;
} Told;

/* → the one plugin of a daemon that has just begun; behaviour: of its program. */
static Plugin *start_with_one(PluginFixture *f, const char *behaviour) {
        fixture_prepare(f);
        fixture_add(f, "one", behaviour, CHECK, "");
        fixture_start(f, "{}");
        return plugins_find(f->plugins, "one");
}

static void on_settled(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        Told *told = userdata;

        told->n++;
        told->error = g_strdup(error ? error->name : "");
}

static unsigned problems_with(PluginFixture *f, const char *part) {
        unsigned n = 0;

        for (guint i = 0; i < f->problems->len; i++)
                n += strstr(g_ptr_array_index(f->problems, i), part) != NULL;
        return n;
}

/* One takes the place of another when a third is seen, which lacks something, and a fourth is asked for: that one is
 * refused, and the third waits on until it lacks nothing, whatever becomes of the second. */
static void test_busy_forgets_nothing(void) {
        PluginFixture f = {};
        Told first = {}, second = {};
        Plugin *plugin;

        plugin = start_with_one(&f, "slot-good");
        plugin_load(plugin, NULL, NULL);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);

        /* No service of the bus starts it in its slot. */
        plugin_upgrade(plugin, describe(&f, "one", "1.1.0", ""), on_settled, &first);
        g_assert_nonnull(plugin->swap);
        plugin_upgrade(plugin,
                       describe(&f, "one", "1.2.0",
                                ", \"dependencies\": [{\"name\": \"missing\", \"version\": \"*\"}]"),
                       NULL, NULL);
        g_assert_cmpuint(problems_with(&f, "version 1.2.0 cannot replace version 1.0.0"), ==, 1);
        plugin_upgrade(plugin, describe(&f, "one", "1.3.0", ""), on_settled, &second);
        run_until(f.bus.event, second.n == 1);
        g_assert_cmpstr(second.error, ==, ERROR_BUSY);
        g_assert_nonnull(plugin->refused);
        g_assert_cmpstr(plugin->refused->version, ==, "1.2.0");
        g_assert_nonnull(plugin->refusal);

        run_until(f.bus.event, first.n == 1);
        g_assert_cmpstr(first.error, ==, ERROR_PLUGIN_FAILED);
        g_assert_null(plugin->swap);
        g_assert_cmpstr(plugin->manifest->version, ==, "1.0.0");
        g_assert_nonnull(plugin->refused);
        g_assert_cmpstr(plugin->refused->version, ==, "1.2.0");

        /* Seen again, it is told of no second time; and when it lacks nothing it is its turn. */
        manifest_free(describe(&f, "one", "1.2.0",
                               ", \"dependencies\": [{\"name\": \"missing\", \"version\": \"*\"}]"));
        g_strfreev(plugins_discover(f.plugins));
        g_assert_cmpuint(problems_with(&f, "version 1.2.0 cannot replace version 1.0.0"), ==, 1);
        fixture_add(&f, "missing", "good", CHECK, "");
        g_strfreev(plugins_discover(f.plugins));
        g_assert_nonnull(plugin->swap);
        g_assert_null(plugin->refused);
        g_free(first.error);
        g_free(second.error);
        fixture_down(&f);
}

/* Plugins that each need all before them, in the version that each has. The new version of each needs that of the
 * first alone: all of them can follow it, and for the second of them 2^(n-2) steps are to be looked at. NULL: they
 * would. */
static char *obstacle_of_many(PluginFixture *f, unsigned n) {
        Manifest *first;
        char *obstacle;

        fixture_prepare(f);
        for (unsigned i = 0; i < n; i++) {
                g_autoptr(GString) needs = g_string_new(", \"dependencies\": [");
                g_autofree char *id = g_strdup_printf("p%02u", i);

                for (unsigned k = 0; k < i; k++)
                        g_string_append_printf(needs, "%s{\"name\": \"p%02u\", \"version\": \"<2\"}",
                                               k > 0 ? ", " : "", k);
                g_string_append(needs, "]");
                fixture_add(f, id, "good", CHECK, needs->str);
        }
        fixture_start(f, "{}");
        for (unsigned i = 1; i < n; i++) {
                g_autofree char *id = g_strdup_printf("p%02u", i);
                Plugin *plugin = plugins_find(f->plugins, id);

                plugin->refused = describe(f, id, "2.0.0",
                                           ", \"dependencies\": [{\"name\": \"p00\", \"version\": \">=2\"}]");
                plugin->refusal = g_strdup("as the watch was told");
        }
        first = describe(f, "p00", "2.0.0", "");
        obstacle = dependencies_obstacle(plugins_find(f->plugins, "p00"), first);
        manifest_free(first);
        return obstacle;
}

static void test_so_many_follow(void) {
        PluginFixture f = {};
        g_autofree char *obstacle = obstacle_of_many(&f, 10);

        g_assert_cmpstr(obstacle, ==, NULL);
        fixture_down(&f);
}

/* What would take for ever to find out is not found out: the daemon has others to serve. */
static void test_beyond_so_many_steps_nothing_follows(const void *data) {
        PluginFixture f = {};
        g_autofree char *obstacle = obstacle_of_many(&f, GPOINTER_TO_UINT(data));

        g_assert_nonnull(obstacle);
        g_assert_nonnull(strstr(obstacle, "which is enabled, needs p00 <2"));
        g_assert_cmpuint(f.plugins->followers, ==, 257);
        g_assert_cmpuint(f.plugins->follow_depth, ==, 0);
        fixture_down(&f);
}

/* Seen while it is looked for one that ran before the daemon did: there is none, and what is there now is started. */
static void test_another_one_while_it_is_looked_for(void) {
        g_autofree char *elsewhere = NULL;
        PluginFixture f = {};
        Told told = {};
        Plugin *plugin;

        plugin = start_with_one(&f, "good");
        plugin_load(plugin, on_settled, &told);
        g_assert_true(plugin_adopting(plugin));
        plugin_upgrade(plugin, describe_in(&f, "elsewhere", "one", "1.1.0", ""), NULL, NULL);
        run_until(f.bus.event, told.n == 1);
        g_assert_cmpstr(told.error, ==, "");
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);
        g_assert_cmpstr(plugin->manifest->version, ==, "1.1.0");
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 1);
        g_assert_null(plugin->next_manifest);
        /* Whose it is, a package's or an administrator's, goes by where it lies. */
        elsewhere = g_build_filename(f.directory, "elsewhere", NULL);
        g_assert_cmpstr(plugin->directory, ==, elsewhere);
        g_free(told.error);
        fixture_down(&f);
}

/* Its files are broken when somebody has it sent away that ran before the daemon did: it runs on, as nobody knows how
 * to talk to it, and is there when they are mended. */
static void test_broken_while_it_is_sent_away(void) {
        static const char name[] = "io.cloudsnooze.Plugin1.one";
        PluginFixture f = {};
        Told told = {};
        Plugin *plugin;

        plugin = start_with_one(&f, "good");
        g_assert_cmpint(sd_bus_call_method(f.connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "StartServiceByName", NULL, NULL, "su", name, 0),
                        >=, 0);
        plugin_unload(plugin, NULL, NULL);
        g_assert_true(plugin->dismissed);
        fixture_write(&f, "plugins/one/plugin.json", "{");
        g_strfreev(plugins_discover(f.plugins));
        g_assert_null(plugin->manifest);
        run_until(f.bus.event, !plugin->dismissed);
        g_assert_cmpuint(fixture_noted(&f, "one", "Shutdown"), ==, 0);

        manifest_free(describe(&f, "one", "1.0.0", ""));
        g_strfreev(plugins_discover(f.plugins));
        g_assert_nonnull(plugin->manifest);
        plugin_unload(plugin, on_settled, &told);
        g_assert_true(plugin->dismissed);
        run_until(f.bus.event, told.n == 1);
        g_assert_cmpstr(told.error, ==, "");
        g_assert_cmpuint(fixture_noted(&f, "one", "Shutdown"), ==, 1);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 1);
        g_free(told.error);
        fixture_down(&f);
}

/* One that is known to run no more is not looked for again. */
static void test_nobody_ran(void) {
        PluginFixture f = {};
        Told told = {};
        Plugin *plugin;

        plugin = start_with_one(&f, "good");
        plugin_unload(plugin, NULL, NULL);
        run_until(f.bus.event, !plugin->dismissed);
        plugin_unload(plugin, on_settled, &told);
        g_assert_false(plugin->dismissed);
        run_until(f.bus.event, told.n == 1);
        g_assert_cmpstr(told.error, ==, "");
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 0);
        g_free(told.error);
        fixture_down(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/upgrade/busy-forgets-nothing", test_busy_forgets_nothing);
        g_test_add_func("/upgrade/another-one-while-it-is-looked-for", test_another_one_while_it_is_looked_for);
        g_test_add_func("/upgrade/broken-while-it-is-sent-away", test_broken_while_it_is_sent_away);
        g_test_add_func("/upgrade/nobody-ran", test_nobody_ran);
        g_test_add_func("/upgrade/so-many-follow", test_so_many_follow);
        g_test_add_data_func("/upgrade/beyond-so-many-steps/one-more", GUINT_TO_POINTER(11),
                             test_beyond_so_many_steps_nothing_follows);
        g_test_add_data_func("/upgrade/beyond-so-many-steps/40", GUINT_TO_POINTER(40),
                             test_beyond_so_many_steps_nothing_follows);
        return g_test_run();
}
