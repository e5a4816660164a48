/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin inside the daemon: only where it is allowed, asked without a message and otherwise over a channel like any
 * other, and held to the same rules. */

#include "plugin-fixture.h"

#include <sys/stat.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/errors.h"
#include "base/journal.h"
#include "daemon/store/store.h"

#define ALLOWED "\"native_enabled\": true"

/* A copy of its own for each test: loaded code stays, with all that it remembers. */
static void add_module(PluginFixture *f, const char *module, const char *version, const char *more) {
        g_autofree char *path = g_build_filename(f->directory, "plugins/one/one.so", NULL), *text = NULL;
        g_autofree char *manifest = g_strdup_printf(
                "{\"name\": \"one\", \"version\": \"%s\", \"runtime\": \"native\", \"official\": true, "
                "\"exec\": \"one.so\", %s}",
                version, more);
        g_autoptr(GError) error = NULL;
        gsize length;

        fixture_write(f, "plugins/one/plugin.json", manifest);
        fixture_write(f, "state/enabled/one", "");
        g_assert_true(g_file_get_contents(g_getenv(module), &text, &length, &error));
        g_assert_true(g_file_set_contents(path, text, (gssize) length, &error));
        g_assert_cmpint(g_chmod(path, 0755), ==, 0);
}

static void add_native(PluginFixture *f, const char *version) {
        add_module(f, "NATIVE_PLUGIN", version,
                   "\"contracts\": [\"IdleCheck\", \"RequestHandler\", \"State\"], \"timeouts\": {\"check\": 1}, "
                   "\"config_schema\": {\"mode\": {\"type\": \"string\", \"default\": \"idle\"}}");
}

static void begin(PluginFixture *f, const char *plugins) {
        g_autofree char *configuration = g_strdup_printf("{\"plugins\": {%s}}", plugins);

        fixture_prepare(f);
        add_native(f, "1.0.0");
        fixture_start(f, configuration);
        fixture_make_official(f, "one");
}

static void begin_in_mode(PluginFixture *f, const char *mode) {
        g_autofree char *plugins =
                g_strdup_printf(ALLOWED ", \"plugin_configs\": {\"one\": {\"mode\": \"%s\"}}", mode);

        begin(f, plugins);
}

static void on_call(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        unsigned *answers = userdata;

        g_assert_null(error);
        (*answers)++;
}

static int append_request(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "sa{sv}", "finish", 0);
}

static void request(PluginFixture *f) {
        unsigned answers = 0;

        g_assert_cmpint(plugin_call(plugins_find(f->plugins, "one"), REQUEST_HANDLER_INTERFACE, "Handle", 0, FALSE,
                                    append_request, on_call, &answers),
                        ==, 0);
        run_until(f->bus.event, answers == 1);
}

static void assert_vote(PluginFixture *f, Verdict verdict, const char *reason) {
        const Vote *vote = fixture_vote(f, "one");

        g_assert_nonnull(vote);
        g_assert_cmpint(vote->verdict, ==, verdict);
        g_assert_cmpstr(vote->reason, ==, reason);
}

static void test_off_by_default(void) {
        PluginFixture f = {};
        Plugin *plugin;

        begin(&f, "");
        plugin = plugins_find(f.plugins, "one");
        g_assert_false(plugin_enabled(plugin));
        g_assert_nonnull(strstr(plugin_last_error(plugin), "plugins.native_enabled is false"));
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.votes->len, ==, 0);
        g_assert_null(plugin->native);
        fixture_down(&f);
}

/* Neither what only says so nor what only lies there is loaded. */
static void test_official_alone(void) {
        PluginFixture f = {};
        Plugin *plugin;

        begin(&f, ALLOWED);
        plugin = plugins_find(f.plugins, "one");
        g_assert_true(plugin_enabled(plugin));
        plugin->manifest->official = FALSE;
        g_assert_false(plugin_enabled(plugin));
        plugin->manifest->official = TRUE;
        g_free(plugin->manifest->directory);
        plugin->manifest->directory = g_strdup(plugin->directory);
        g_assert_false(plugin_enabled(plugin));
        g_assert_nonnull(strstr(plugin_last_error(plugin), "only what came with CloudSnooze"));
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.votes->len, ==, 0);
        fixture_down(&f);
}

static void test_asked_and_called(void) {
        PluginFixture f = {};
        Plugin *plugin;

        begin(&f, ALLOWED);
        plugin = plugins_find(f.plugins, "one");
        /* The first question finds it not running: it waits as any call. */
        fixture_round(&f, TRUE);
        assert_vote(&f, VERDICT_IDLE, "cpu 1.5");
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.votes->len, ==, 2);
        request(&f);
        g_assert_true(plugin->healthy);
        g_assert_cmpuint(plugin->statistics.durations, >=, 3);
        fixture_down(&f);
}

/* It has no bus to tell it to, and who reads the channel has not asked for it. */
static void test_a_provider_floods_nobody_with_its_effect(void) {
        unsigned answers = 0;
        PluginFixture f = {};
        Plugin *plugin;

        fixture_prepare(&f);
        add_module(&f, "NATIVE_PROVIDER", "1.0.0", "\"contracts\": [\"CloudProvider\"]");
        fixture_start(&f, "{\"plugins\": {" ALLOWED "}}");
        fixture_make_official(&f, "one");
        plugin = plugins_find(f.plugins, "one");
        for (unsigned i = 1; i <= 2; i++) {
                g_assert_cmpint(plugin_call(plugin, CLOUD_PROVIDER_INTERFACE, "Detect", 0, FALSE, NULL, on_call,
                                            &answers),
                                ==, 0);
                run_until(f.bus.event, answers == i);
        }
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);
        g_assert_true(plugin->healthy);
        fixture_down(&f);
}

static GString *journal;

/* In the place of libsystemd's. */
int sd_journal_sendv(const struct iovec *iov, int n) {
        for (int i = 0; i < n; i++) {
                g_string_append_len(journal, iov[i].iov_base, (gssize) iov[i].iov_len);
                g_string_append_c(journal, i + 1 < n ? '|' : '\n');
        }
        return 0;
}

static void journal_begin(void) {
        g_autofree char *stream = NULL;
        struct stat st;

        g_assert_cmpint(fstat(STDERR_FILENO, &st), ==, 0);
        stream = g_strdup_printf("%llu:%llu", (unsigned long long) st.st_dev, (unsigned long long) st.st_ino);
        journal = g_string_new(NULL);
        g_setenv("JOURNAL_STREAM", stream, TRUE);
}

/* The daemon's own lines do not have it. */
static void test_logs_by_its_name(void) {
        PluginFixture f = {};

        begin(&f, ALLOWED);
        fixture_round(&f, TRUE);
        journal_begin();
        request(&f);
        log_notice("of the daemon");
        g_unsetenv("JOURNAL_STREAM");
        g_assert_cmpstr(journal->str, ==,
                        "MESSAGE=was asked|PRIORITY=5|CLOUDSNOOZE_PLUGIN=one\n"
                        "MESSAGE=of the daemon|PRIORITY=5\n");
        g_string_free(journal, TRUE);
        fixture_down(&f);
}

typedef struct Kept {
        gboolean asked;
        unsigned checks;
} Kept;

static void on_kept(const StoreState *state, const GError *error, void *userdata) {
        Kept *kept = userdata;

        g_assert_no_error(error);
        kept->asked = TRUE;
        if (state) {
                g_assert_cmpuint(g_bytes_get_size(state->state), ==, sizeof(kept->checks));
                memcpy(&kept->checks, g_bytes_get_data(state->state, NULL), sizeof(kept->checks));
        }
}

static unsigned checks_kept(PluginFixture *f) {
        Kept kept = {};

        g_assert_cmpint(store_get_state(f->store, "one", NULL, on_kept, &kept), ==, 0);
        run_until(f->bus.event, kept.asked);
        return kept.checks;
}

/* What a check taught it is not only kept when it leaves. */
static void test_kept_after_a_check(void) {
        PluginFixture f = {};
        Plugin *plugin;

        begin(&f, ALLOWED);
        plugin = plugins_find(f.plugins, "one");
        fixture_round(&f, TRUE);
        /* From now on it is asked without a message. */
        plugin_keep_cancel(plugin);
        fixture_round(&f, TRUE);
        g_assert_nonnull(plugin->keep);
        g_assert_cmpuint(plugin->keep_at, <=, usec_add(clock_monotonic(), 10 * USEC_PER_MINUTE));
        g_assert_cmpuint(checks_kept(&f), ==, 0);
        g_assert_cmpint(sd_event_source_set_time(plugin->keep, 0), ==, 0);
        run_until(f.bus.event, plugin->states_put > 0);
        g_assert_cmpuint(checks_kept(&f), ==, 2);
        fixture_down(&f);
}

static void on_settled(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        unsigned *n = userdata;

        g_assert_null(error);
        (*n)++;
}

static void test_unloaded_and_loaded_again(void) {
        PluginFixture f = {};
        Plugin *plugin;
        unsigned settled = 0;

        begin(&f, ALLOWED);
        plugin = plugins_find(f.plugins, "one");
        fixture_round(&f, TRUE);
        plugin_unload(plugin, on_settled, &settled);
        run_until(f.bus.event, settled == 1);
        g_assert_cmpint(plugin_state(plugin), ==, PLUGIN_STOPPED);
        fixture_round(&f, TRUE);
        assert_vote(&f, VERDICT_IDLE, "cpu 1.5");
        fixture_down(&f);
}

static void test_logs_its_last_words_by_its_name(void) {
        PluginFixture f = {};
        unsigned settled = 0;

        begin(&f, ALLOWED);
        fixture_round(&f, TRUE);
        journal_begin();
        plugin_unload(plugins_find(f.plugins, "one"), on_settled, &settled);
        run_until(f.bus.event, settled == 1);
        g_unsetenv("JOURNAL_STREAM");
        g_assert_nonnull(strstr(journal->str, "MESSAGE=shuts down|PRIORITY=5|CLOUDSNOOZE_PLUGIN=one\n"));
        g_string_free(journal, TRUE);
        fixture_down(&f);
}

static void put_aside(PluginFixture *f) {
        g_autofree char *path = g_build_filename(f->directory, "plugins/one/one.so", NULL),
                        *aside = g_build_filename(f->directory, "aside.so", NULL);

        g_assert_cmpint(g_rename(path, aside), ==, 0);
}

static void test_replaced_on_the_disk(void) {
        PluginFixture f = {};
        unsigned settled = 0;

        begin(&f, ALLOWED);
        fixture_round(&f, TRUE);
        plugin_unload(plugins_find(f.plugins, "one"), on_settled, &settled);
        run_until(f.bus.event, settled == 1);
        put_aside(&f);
        add_native(&f, "1.0.0");
        fixture_round(&f, TRUE);
        g_assert_nonnull(strstr(fixture_vote(&f, "one")->reason, "was replaced since it was loaded"));
        fixture_down(&f);
}

static void on_refused(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        unsigned *n = userdata;

        g_assert_true(sd_bus_error_has_name(error, ERROR_REFUSED));
        (*n)++;
}

/* A package brings another version while this one serves: it goes on to. */
static void test_another_version_while_it_runs(void) {
        static const char words[] =
                "one: version 2.0.0 cannot replace version 1.0.0, which runs on: the daemon has the "
                "code of an earlier one";
        g_autoptr(GError) error = NULL;
        PluginFixture f = {};
        unsigned refused = 0;
        Plugin *plugin;

        begin(&f, ALLOWED);
        plugin = plugins_find(f.plugins, "one");
        fixture_round(&f, TRUE);
        put_aside(&f);
        add_native(&f, "2.0.0");
        g_strfreev(plugins_discover(f.plugins));
        g_strfreev(plugins_discover(f.plugins));
        g_assert_cmpuint(f.problems->len, ==, 1);
        g_assert_true(g_str_has_prefix(g_ptr_array_index(f.problems, 0), words));
        plugin_upgrade(plugin, version_find(plugin, "2.0.0", &error), on_refused, &refused);
        run_until(f.bus.event, refused == 1);
        g_assert_cmpint(plugin_state(plugin), ==, PLUGIN_RUNNING);
        g_assert_cmpstr(plugin_manifest(plugin)->version, ==, "1.0.0");
        fixture_round(&f, TRUE);
        assert_vote(&f, VERDICT_IDLE, "cpu 1.5");
        request(&f);
        fixture_down(&f);
}

static void test_details_are_read(void) {
        PluginFixture f = {};
        const Vote *vote;

        begin_in_mode(&f, "detailed");
        fixture_round(&f, TRUE);
        fixture_round(&f, TRUE);
        vote = fixture_vote(&f, "one");
        g_assert_cmpfloat(json_get_double(json_get_object(vote->details, "metrics"), "gpu_usage", 0), ==, 1.5);
        fixture_down(&f);
}

/* What is no proper answer is unknown, whichever way it came. */
static void test_wrong_answers(void) {
        static const struct {
                const char *mode, *part;
        } cases[] = { { "failing", "nobody knows" },
                      { "silent", "without saying what" },
                      { "wrong", "valid_seconds" } };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                for (unsigned rounds = 1; rounds <= 2; rounds++) {
                        PluginFixture f = {};
                        const Vote *vote;

                        begin_in_mode(&f, cases[i].mode);
                        for (unsigned n = 0; n < rounds; n++)
                                fixture_round(&f, TRUE);
                        vote = fixture_vote(&f, "one");
                        g_assert_cmpint(vote->verdict, ==, VERDICT_UNKNOWN);
                        g_assert_nonnull(strstr(vote->reason, cases[i].part));
                        g_assert_cmpuint(plugins_find(f.plugins, "one")->statistics.errors, ==, rounds);
                        fixture_down(&f);
                }
}

static void test_an_answer_that_comes_later(void) {
        PluginFixture f = {};
        g_autoptr(JsonObject) metrics = json_object_new();
        unsigned before, settled = 0;

        begin_in_mode(&f, "later");
        plugin_load(plugins_find(f.plugins, "one"), on_settled, &settled);
        run_until(f.bus.event, settled == 1);
        before = f.rounds;
        plugins_check(f.plugins, metrics, TRUE, fixture_on_round, &f);
        request(&f);
        run_until(f.bus.event, f.rounds > before);
        assert_vote(&f, VERDICT_BUSY, "late");
        fixture_down(&f);
}

static void test_an_answer_that_comes_too_late(void) {
        PluginFixture f = {};
        unsigned settled = 0;

        begin_in_mode(&f, "later");
        plugin_load(plugins_find(f.plugins, "one"), on_settled, &settled);
        run_until(f.bus.event, settled == 1);
        fixture_round(&f, TRUE);
        assert_vote(&f, VERDICT_UNKNOWN, "one did not answer CheckIdle in time.");
        g_assert_cmpuint(plugins_find(f.plugins, "one")->statistics.timeouts, ==, 1);
        /* Nobody takes it for the answer to another question. */
        request(&f);
        g_assert_cmpuint(f.votes->len, ==, 1);
        fixture_down(&f);
}

/* With a call of it still under way it ends, and is not begun a second time in the same memory. */
static void test_ended_with_a_call_under_way(void) {
        PluginFixture f = {};
        unsigned settled = 0;
        Plugin *plugin;

        begin_in_mode(&f, "later");
        plugin = plugins_find(f.plugins, "one");
        plugin_load(plugin, on_settled, &settled);
        run_until(f.bus.event, settled == 1);
        fixture_round(&f, TRUE);
        plugin_unload(plugin, on_settled, &settled);
        run_until(f.bus.event, settled == 2);
        fixture_round(&f, TRUE);
        g_assert_nonnull(strstr(fixture_vote(&f, "one")->reason, "has not ended yet"));
        fixture_down(&f);
}

static void test_unsafe_files_are_not_loaded(void) {
        PluginFixture f = {};
        g_autofree char *path = NULL;

        begin(&f, ALLOWED);
        path = g_build_filename(f.directory, "plugins", NULL);
        g_assert_cmpint(g_chmod(path, 0777), ==, 0);
        fixture_round(&f, TRUE);
        g_assert_nonnull(strstr(fixture_vote(&f, "one")->reason, "can be written by others"));
        g_assert_null(plugins_find(f.plugins, "one")->native);
        fixture_down(&f);
}

static void test_what_is_no_plugin(void) {
        PluginFixture f = {};
        g_autofree char *path = NULL;

        begin(&f, ALLOWED);
        path = g_build_filename(f.directory, "plugins/one/one.so", NULL);
        g_assert_true(g_file_set_contents(path, "nonsense", -1, NULL));
        fixture_round(&f, TRUE);
        g_assert_nonnull(strstr(fixture_vote(&f, "one")->reason, "could not be loaded into the daemon"));
        fixture_down(&f);
}

static void test_turned_off_while_it_runs(void) {
        g_autoptr(Config) config = NULL;
        PluginFixture f = {};

        begin(&f, ALLOWED);
        fixture_round(&f, TRUE);
        config = fixture_config("{}");
        plugins_set_config(f.plugins, config);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        g_assert_nonnull(strstr(plugin_last_error(plugins_find(f.plugins, "one")), "native_enabled"));
        fixture_down(&f);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_assert_cmpint(errors_register(), >=, 0);
        g_test_add_func("/native/off-by-default", test_off_by_default);
        g_test_add_func("/native/official-alone", test_official_alone);
        g_test_add_func("/native/asked-and-called", test_asked_and_called);
        g_test_add_func("/native/a-provider-floods-nobody-with-its-effect",
                        test_a_provider_floods_nobody_with_its_effect);
        g_test_add_func("/native/logs-by-its-name", test_logs_by_its_name);
        g_test_add_func("/native/logs-its-last-words-by-its-name", test_logs_its_last_words_by_its_name);
        g_test_add_func("/native/kept-after-a-check", test_kept_after_a_check);
        g_test_add_func("/native/unloaded-and-loaded-again", test_unloaded_and_loaded_again);
        g_test_add_func("/native/replaced-on-the-disk", test_replaced_on_the_disk);
        g_test_add_func("/native/another-version-while-it-runs", test_another_version_while_it_runs);
        g_test_add_func("/native/details-are-read", test_details_are_read);
        g_test_add_func("/native/wrong-answers", test_wrong_answers);
        g_test_add_func("/native/an-answer-that-comes-later", test_an_answer_that_comes_later);
        g_test_add_func("/native/an-answer-that-comes-too-late", test_an_answer_that_comes_too_late);
        g_test_add_func("/native/ended-with-a-call-under-way", test_ended_with_a_call_under_way);
        g_test_add_func("/native/unsafe-files-are-not-loaded", test_unsafe_files_are_not_loaded);
        g_test_add_func("/native/what-is-no-plugin", test_what_is_no_plugin);
        g_test_add_func("/native/turned-off-while-it-runs", test_turned_off_while_it_runs);
        return g_test_run();
}
