/* SPDX-License-Identifier: Apache-2.0 */

/* An official plugin is enabled when it is first seen, and starts when that is on the disk, where systemd looks for
 * it. */

#include "plugin-fixture.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/errors.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

#define CHECK "\"IdleCheck\""
#define QUICK ", \"timeouts\": {\"check\": 1.5, \"initialize\": 3, \"shutdown\": 0.5}"

/* → where its mark is, or is missing; free with g_free(). */
static char *mark_of_one(const PluginFixture *f) {
        return g_build_filename(f->directory, "state/enabled/one", NULL);
}

static void on_loaded(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        PluginFixture *f = userdata;
        g_autofree char *mark = mark_of_one(f);

        g_assert_null(error);
        g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
        f->rounds++;
}

static void start_without_mark(PluginFixture *f) {
        g_autofree char *mark = NULL;

        fixture_prepare(f);
        fixture_add(f, "one", "good", CHECK, QUICK);
        mark = mark_of_one(f);
        g_assert_cmpint(g_remove(mark), ==, 0);
        fixture_start(f, "{}");
}

/* systemd looks for the mark when it starts the plugin, so it has to be there first. */
static void test_official_waits_for_its_mark(void) {
        PluginFixture f = {};
        Plugin *plugin;

        start_without_mark(&f);
        plugin = plugins_find(f.plugins, "one");
        g_assert_false(plugin_enabled(plugin));
        fixture_make_official(&f, "one");
        enabled_learn(plugin);
        g_assert_false(plugin_enabled(plugin));
        plugin->manifest->enabled_by_default = TRUE;
        enabled_learn(plugin);
        g_assert_true(plugin_enabled(plugin));
        plugin_load(plugin, on_loaded, &f);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_DISCOVERED);
        run_until(f.bus.event, f.rounds == 1);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);

        /* Who said no once is not asked again. */
        fixture_set_enabled(&f, "one", FALSE);
        enabled_learn(plugin);
        g_assert_false(plugin_enabled(plugin));
        fixture_down(&f);
}

static gboolean hang(void *data, GError **error) {
        char word;

        g_assert_cmpint(read(*(int *) data, &word, 1), ==, 0);
        return TRUE;
}

static void on_failed(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        PluginFixture *f = userdata;

        g_assert_nonnull(error);
        g_ptr_array_add(f->forgotten, g_strdup(error->message));
}

/* Nobody waits for a disk that does not answer for longer than others do. */
static void test_a_mark_that_does_not_come(void) {
        PluginFixture f = {};
        g_autofree char *mark = NULL;
        Plugin *plugin;
        int disk[2];

        start_without_mark(&f);
        mark = mark_of_one(&f);
        plugin = plugins_find(f.plugins, "one");
        fixture_make_official(&f, "one");
        plugin->manifest->enabled_by_default = TRUE;
        g_assert_cmpint(pipe2(disk, O_CLOEXEC), ==, 0);
        g_assert_cmpint(store_run(f.store, hang, &disk[0], NULL, NULL, NULL), >=, 0);
        enabled_learn(plugin);

        /* Called off. */
        plugin_load(plugin, on_failed, &f);
        plugin_unload(plugin, NULL, NULL);
        run_until(f.bus.event, f.forgotten->len == 1);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_STOPPED);

        /* Twice: it was refused before, and is not left waiting by that. */
        for (guint n = 2; n <= 3; n++) {
                _cleanup_(sd_event_source_unrefp) sd_event_source *timer = NULL;

                plugin_load(plugin, on_failed, &f);
                timer = sd_event_source_ref(plugin->timer);
                /* Whoever comes later puts nothing off. */
                plugin_load(plugin, NULL, NULL);
                g_assert_true(timer && plugin->timer == timer);
                /* Nor does another manifest, by which one that failed is discovered again, leave anybody waiting. */
                if (n == 3)
                        plugin_manifest_taken(plugin);
                run_until(f.bus.event, f.forgotten->len == n);
                g_assert_cmpstr(g_ptr_array_index(f.forgotten, n - 1), ==,
                                "could not be enabled so far: the disk does not answer");
                g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_FAILED);
                g_assert_cmpstr(plugin_last_error(plugin), ==, g_ptr_array_index(f.forgotten, n - 1));
        }

        /* It was wanted. */
        close(disk[1]);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
        g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
        g_assert_cmpstr(plugin_last_error(plugin), ==, "");
        fixture_down(&f);
        close(disk[0]);
}

static void on_forgotten(const GError *error, void *userdata) {
        gboolean *done = userdata;

        g_assert_no_error(error);
        *done = TRUE;
}

/* What a daemon before this one kept of the process that it had started. */
static void keep_origin(PluginFixture *f) {
        char bus[SD_ID128_STRING_MAX];
        g_autofree char *line = NULL;
        sd_id128_t id;

        g_assert_cmpint(sd_bus_get_bus_id(f->connection, &id), >=, 0);
        line = g_strdup_printf("{\"bus\": \"%s\", \"owner\": \":1.1000\", \"directory\": \"/plugins\", \"path\": "
                               "\"/plugins/one/plugin.json\", \"exec\": \"/plugins/one/one\"}\n{\"name\": \"one\", "
                               "\"version\": \"1.0.0\", \"contracts\": [\"IdleCheck\"]}",
                               sd_id128_to_string(id, bus));
        fixture_write(f, "run/one.origin", line);
}

/* It would tell what it knows after that was removed. */
static void test_what_may_be_found_yet_is_not_forgotten(void) {
        gboolean done = FALSE;
        PluginFixture f = {};
        Plugin *plugin;

        start_without_mark(&f);
        plugin = plugins_find(f.plugins, "one");
        f.plugins->origins_directory = g_build_filename(f.directory, "run", NULL);
        keep_origin(&f);
        g_assert_true(origin_known(plugin));
        g_assert_cmpint(plugins_forget(f.plugins, "one", on_forgotten, &done), ==, -EBUSY);

        /* Neither while the bus is asked whether it runs. */
        g_assert_true(plugin_dismiss(plugin));
        origin_drop(plugin);
        g_assert_cmpint(plugins_forget(f.plugins, "one", on_forgotten, &done), ==, -EBUSY);
        run_until(f.bus.event, !plugin->dismissed);
        g_assert_cmpint(plugins_forget(f.plugins, "one", on_forgotten, &done), ==, 0);
        run_until(f.bus.event, done);

        /* Nobody runs, whatever is kept. */
        keep_origin(&f);
        done = FALSE;
        g_assert_cmpint(plugins_forget(f.plugins, "one", on_forgotten, &done), ==, 0);
        run_until(f.bus.event, done);
        fixture_down(&f);
}

static void on_refused(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        PluginFixture *f = userdata;

        g_assert_nonnull(error);
        g_ptr_array_add(f->forgotten, g_strdup(error->name));
}

/* The bus says that nobody runs, and nobody is started for those who asked meanwhile. */
static void test_disabled_while_it_is_looked_for(void) {
        PluginFixture f = {};
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "good", CHECK, QUICK);
        fixture_start(&f, "{}");
        plugin = plugins_find(f.plugins, "one");
        g_assert_true(plugin_dismiss(plugin));
        g_assert_cmpint(plugin_call(plugin, IDLE_CHECK_INTERFACE, "CheckIdle", 0, TRUE, NULL, on_refused, &f), ==, 0);
        plugin_enabled_changed(plugin, FALSE);
        run_until(f.bus.event, f.forgotten->len == 1);
        g_assert_cmpstr(g_ptr_array_index(f.forgotten, 0), ==, ERROR_NOT_RUNNING);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_DISCOVERED);
        fixture_down(&f);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/enabled/official-waits-for-its-mark", test_official_waits_for_its_mark);
        g_test_add_func("/enabled/a-mark-that-does-not-come", test_a_mark_that_does_not_come);
        g_test_add_func("/enabled/what-may-be-found-yet-is-not-forgotten",
                        test_what_may_be_found_yet_is_not_forgotten);
        g_test_add_func("/enabled/disabled-while-it-is-looked-for", test_disabled_while_it_is_looked_for);
        return g_test_run();
}
