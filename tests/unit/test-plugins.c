/* SPDX-License-Identifier: Apache-2.0 */

/* The daemon's side of plugins against real processes that behave well and badly. What must hold in each case:
 * everybody who asked gets one answer in time, what is not a proper answer counts as unknown, and one bad plugin does
 * not touch another. */

#include "plugin-fixture.h"

#include "base/errors.h"
#include "daemon/plugin/dispatch.h"
#include "daemon/plugin/plugin.h"

#define CHECK "\"IdleCheck\""
#define QUICK ", \"timeouts\": {\"check\": 1.5, \"initialize\": 3, \"shutdown\": 0.5}"
/* Of those that answer no greeting, which is waited for. */
#define MUTE ", \"timeouts\": {\"initialize\": 0.8}"

static void begin_with(PluginFixture *f, const char *behaviour) {
        fixture_prepare(f);
        fixture_add(f, "one", behaviour, CHECK, QUICK);
        fixture_start(f, "{}");
}

static void assert_unknown(PluginFixture *f, const char *source, const char *part) {
        const Vote *vote = fixture_vote(f, source);

        g_assert_nonnull(vote);
        g_assert_cmpint(vote->verdict, ==, VERDICT_UNKNOWN);
        if (!strstr(vote->reason, part))
                g_error("the reason is: %s", vote->reason);
}

static void assert_idle(PluginFixture *f, const char *source, const char *reason) {
        const Vote *vote = fixture_vote(f, source);

        g_assert_nonnull(vote);
        g_assert_cmpint(vote->verdict, ==, VERDICT_IDLE);
        g_assert_cmpstr(vote->reason, ==, reason);
}

static void test_first_round_starts_it(void) {
        PluginFixture f = {};

        begin_with(&f, "good");
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_DISCOVERED);
        fixture_round(&f, FALSE);
        assert_idle(&f, "one", "nothing to do");
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 1);

        fixture_round(&f, FALSE);
        g_assert_cmpuint(f.votes->len, ==, 2);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 1);
        fixture_down(&f);
}

/* Else whoever is found running from then on would be what is to be replaced, for ever. */
static void test_drop_ins_count_where_systemd_is(void) {
        PluginFixture f = {};
        Plugin *plugin;

        begin_with(&f, "good");
        fixture_round(&f, FALSE);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);
        plugin = plugins_find(f.plugins, "one");
        plugin_drop_in_changed(plugin, PLUGIN_SLOT_A);
        g_assert_false(starter_renews(f.plugins->starter, plugin->units[PLUGIN_SLOT_A]));
        fixture_down(&f);
}

static void test_round_of_nobody_ends(void) {
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.votes->len, ==, 0);
        fixture_down(&f);
}

static void test_not_enabled_is_not_asked(void) {
        g_autofree char *mark = NULL;
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "good", CHECK, "");
        mark = g_build_filename(f.directory, "state/enabled/one", NULL);
        g_assert_cmpint(g_remove(mark), ==, 0);
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.votes->len, ==, 0);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 0);

        fixture_set_enabled(&f, "one", TRUE);
        g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS));
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "nothing to do");

        fixture_set_enabled(&f, "one", FALSE);
        g_assert_false(g_file_test(mark, G_FILE_TEST_EXISTS));
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        g_assert_cmpuint(fixture_noted(&f, "one", "Shutdown"), ==, 1);
        fixture_down(&f);
}

static void on_not_kept(const GError *error, void *userdata) {
        unsigned *refusals = userdata;

        g_assert_error(error, G_FILE_ERROR, G_FILE_ERROR_NOTDIR);
        (*refusals)++;
}

/* What could not be kept did not happen. */
static void test_enabled_cannot_be_kept(void) {
        g_autofree char *directory = NULL;
        PluginFixture f = {};
        unsigned refusals = 0;
        Plugin *plugin;

        begin_with(&f, "good");
        directory = g_build_filename(f.directory, "state/disabled", NULL);
        g_assert_true(g_file_set_contents(directory, "", 0, NULL));
        plugin = plugins_find(f.plugins, "one");
        g_assert_cmpint(plugin_set_enabled(plugin, FALSE, on_not_kept, &refusals), ==, 0);
        run_until(f.bus.event, refusals == 1);
        g_assert_true(plugin_enabled(plugin));
        fixture_round(&f, FALSE);
        assert_idle(&f, "one", "nothing to do");
        fixture_down(&f);
}

static void on_kept(const GError *error, void *userdata) {
        unsigned *n = userdata;

        g_assert_no_error(error);
        (*n)++;
}

/* The last one asked for counts; and so many may wait for the disk, not more. */
static void test_enabled_and_disabled_at_once(void) {
        PluginFixture f = {};
        g_autofree char *mark = NULL;
        unsigned accepted = 0, kept = 0;
        gboolean enabled = FALSE;
        Plugin *plugin;
        int r;

        begin_with(&f, "good");
        plugin = plugins_find(f.plugins, "one");
        while ((r = plugin_set_enabled(plugin, enabled, on_kept, &kept)) == 0) {
                enabled = !enabled;
                accepted++;
        }
        g_assert_cmpint(r, ==, -EDQUOT);
        run_until(f.bus.event, kept == accepted);
        mark = g_build_filename(f.directory, "state/enabled/one", NULL);
        g_assert_true(plugin_enabled(plugin) == !enabled);
        g_assert_true(g_file_test(mark, G_FILE_TEST_EXISTS) == !enabled);
        g_assert_cmpint(plugin_set_enabled(plugin, enabled, on_kept, &kept), ==, 0);
        run_until(f.bus.event, kept == accepted + 1);
        g_assert_true(plugin_enabled(plugin) == enabled);
        fixture_down(&f);
}

static void test_plugins_turned_off(void) {
        PluginFixture f = {};
        g_autoptr(Config) off = fixture_config("{\"plugins\": {\"enabled\": false}}");

        begin_with(&f, "good");
        fixture_round(&f, FALSE);
        plugins_set_config(f.plugins, off);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
        g_ptr_array_set_size(f.votes, 0);
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.votes->len, ==, 0);
        fixture_down(&f);
}

/* What a plugin may do wrong, and what its vote then says. */
static const struct {
        const char *behaviour, *says;
} wrongs[] = {
        { "error", "org.example.Strange: no  [31mclue" },
        { "lie", "certainly" },
        { "rubbish", "“ai”" },
        { "huge", "rubbish" },
        { "forever", "valid_seconds" },
        { "watching-seven", "watching" },
        { "hang", "within" },
        { "die", "ended" },
        { "hang-handshake", "greeting" },
        { "die-handshake", "greeted" },
        { "wrong-api", "speaks version 7 of the plugin API, expected 1" },
        { "wrong-id", "somebody-else" },
        { "wrong-contracts", "IdleCheck" },
        { "refuse-configuration", "not today" },
        { "never-starts", "could not start" },
};

static void test_wrong_answers_are_unknown(const void *data) {
        size_t i = GPOINTER_TO_SIZE(data);
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", wrongs[i].behaviour, CHECK,
                    g_str_equal(wrongs[i].behaviour, "hang-handshake") ? MUTE : QUICK);
        fixture_add(&f, "two", "good", CHECK, "");
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        assert_unknown(&f, "one", wrongs[i].says);
        assert_idle(&f, "two", "nothing to do");
        for (const char *c = fixture_vote(&f, "one")->reason; *c; c++)
                g_assert_false(g_ascii_iscntrl(*c));
        fixture_down(&f);
}

static void test_hanging_one_is_killed_and_restarted(void) {
        PluginFixture f = {};

        begin_with(&f, "hang");
        fixture_round(&f, TRUE);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_FAILED);
        g_assert_nonnull(strstr(plugin_last_error(plugins_find(f.plugins, "one")), "hangs"));
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 2);
        fixture_down(&f);
}

static void test_check_is_repeated_once(void) {
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "die-once", CHECK, "");
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "nothing to do");
        g_assert_cmpuint(f.votes->len, ==, 1);
        g_assert_cmpuint(fixture_noted(&f, "one", "CheckIdle"), ==, 2);
        fixture_down(&f);
}

static void test_late_reply_is_dropped(void) {
        PluginFixture f = {};

        begin_with(&f, "late");
        fixture_round(&f, TRUE);
        assert_unknown(&f, "one", "within");
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "fresh");
        g_assert_cmpuint(f.votes->len, ==, 2);
        fixture_down(&f);
}

static void test_second_reply_is_dropped(void) {
        PluginFixture f = {};

        begin_with(&f, "twice");
        fixture_round(&f, TRUE);
        fixture_round(&f, TRUE);
        g_assert_cmpuint(f.votes->len, ==, 2);
        for (guint i = 0; i < 2; i++)
                g_assert_cmpstr(((Vote *) g_ptr_array_index(f.votes, i))->reason, ==, "first");
        fixture_down(&f);
}

static void test_idle_exit_is_no_failure(void) {
        PluginFixture f = {};

        begin_with(&f, "leave");
        for (unsigned i = 1; i <= 8; i++) {
                fixture_round(&f, TRUE);
                assert_idle(&f, "one", "nothing to do");
                run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_STOPPED);
                g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, i);
        }
        g_assert_cmpstr(plugin_last_error(plugins_find(f.plugins, "one")), ==, "");
        g_assert_cmpuint(f.problems->len, ==, 0);
        fixture_down(&f);
}

/* "Idle for the next minute" is what a plugin said that has died since. */
static void test_nothing_counts_of_what_a_fallen_plugin_said(void) {
        PluginFixture f = {};
        const Plugin *plugin;

        begin_with(&f, "valid");
        plugin = plugins_find(f.plugins, "one");
        fixture_round(&f, FALSE);
        g_assert_cmpint(fixture_vote(&f, "one")->verdict, ==, VERDICT_IDLE);

        g_assert_cmpint(kill(plugin_pid(plugin), SIGSTOP), ==, 0);
        fixture_round(&f, TRUE);
        assert_unknown(&f, "one", "did not answer");
        run_until(f.bus.event, fixture_state(&f, "one") != PLUGIN_RUNNING);
        assert_unknown(&f, "one", "hangs");
        fixture_down(&f);
}

static void test_quarantine_and_the_way_out(void) {
        PluginFixture f = {};
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "die", CHECK, QUICK);
        fixture_start(&f, "{\"plugins\": {\"max_restarts\": 3}}");
        plugin = plugins_find(f.plugins, "one");
        for (unsigned i = 0; i < 10 && fixture_state(&f, "one") != PLUGIN_QUARANTINED; i++) {
                fixture_round(&f, TRUE);
                assert_unknown(&f, "one", "");
                run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING ||
                                  fixture_state(&f, "one") == PLUGIN_QUARANTINED);
        }
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_QUARANTINED);
        g_assert_cmpuint(f.problems->len, ==, 1);
        g_assert_nonnull(strstr(plugin->last_error, "sudo snooze plugin restart one"));
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 3 + 1);

        fixture_round(&f, TRUE);
        assert_unknown(&f, "one", "quarantined");
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 3 + 1);

        plugin_restart(plugin);
        run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING);
        fixture_down(&f);
}

/* Each failure is older than the window before the next one comes: the wait before a restart is longer. */
static void test_failures_of_long_ago_do_not_count(void) {
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "die", CHECK, QUICK);
        fixture_start(&f, "{\"plugins\": {\"max_restarts\": 1, \"restart_window_minutes\": 0.0001}}");
        for (unsigned i = 0; i < 5; i++) {
                fixture_round(&f, TRUE);
                run_until(f.bus.event, fixture_state(&f, "one") == PLUGIN_RUNNING ||
                                               fixture_state(&f, "one") == PLUGIN_QUARANTINED);
                g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);
        }
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), >=, 5);
        fixture_down(&f);
}

static void test_valid_vote_is_told_again(void) {
        PluginFixture f = {};
        const Vote *first, *second;

        begin_with(&f, "valid");
        fixture_round(&f, FALSE);
        fixture_round(&f, FALSE);
        g_assert_cmpuint(f.votes->len, ==, 2);
        g_assert_cmpuint(fixture_noted(&f, "one", "CheckIdle"), ==, 1);
        first = g_ptr_array_index(f.votes, 0);
        second = g_ptr_array_index(f.votes, 1);
        g_assert_cmpuint(second->begun, ==, first->begun);
        g_assert_cmpuint(second->received, >, first->received);

        fixture_round(&f, TRUE);
        g_assert_cmpuint(fixture_noted(&f, "one", "CheckIdle"), ==, 2);
        fixture_down(&f);
}

static void test_subjects(void) {
        PluginFixture f = {};
        const Vote *vote;

        begin_with(&f, "subjects");
        fixture_round(&f, TRUE);
        vote = fixture_vote(&f, "one");
        g_assert_cmpint(vote->verdict, ==, VERDICT_BUSY);
        g_assert_cmpfloat(json_get_double(json_get_object(vote->details, "metrics"), "gpu_usage", 0), ==, 42);
        g_assert_cmpint(fixture_vote(&f, "one/main")->verdict, ==, VERDICT_BUSY);
        g_assert_cmpstr(fixture_vote(&f, "one/main")->reason, ==, "7 clients");
        assert_idle(&f, "one/spare", "nobody");
        g_assert_cmpuint(f.forgotten->len, ==, 0);

        fixture_round(&f, TRUE);
        assert_idle(&f, "one/main", "nobody");
        g_assert_cmpuint(f.forgotten->len, ==, 1);
        g_assert_cmpstr(g_ptr_array_index(f.forgotten, 0), ==, "one/spare");
        fixture_down(&f);
}

static void test_rounds_overlap(void) {
        g_autoptr(JsonObject) metrics = json_object_new();
        uint64_t second_asked;
        PluginFixture f = {};

        begin_with(&f, "good");
        plugins_check(f.plugins, metrics, FALSE, fixture_on_round, &f);
        plugins_check(f.plugins, metrics, FALSE, fixture_on_round, &f); /* does not ask a second time */
        run_until(f.bus.event, f.rounds == 2);
        g_assert_cmpuint(fixture_noted(&f, "one", "CheckIdle"), ==, 1);

        plugins_check(f.plugins, metrics, FALSE, fixture_on_round, &f);
        second_asked = clock_monotonic();
        plugins_check(f.plugins, metrics, TRUE, fixture_on_round, &f); /* a last look: asks again */
        run_until(f.bus.event, f.rounds == 4);
        g_assert_cmpuint(fixture_noted(&f, "one", "CheckIdle"), ==, 3);
        g_assert_cmpuint(fixture_vote(&f, "one")->begun, >=, second_asked);
        fixture_down(&f);
}

static const char greeting_schema[] =
        ", \"config_schema\": {\"greeting\": {\"type\": \"string\", \"default\": \"hello\", \"secret\": true}}";

static void test_of_two_places_the_wrong_one_is_to_blame(void) {
        g_autoptr(GError) error = NULL;
        PluginFixture f = {};
        Plugin *one;

        fixture_prepare(&f);
        fixture_add(&f, "one", "good", CHECK, greeting_schema);
        fixture_start(&f, "{\"plugins\": {\"plugin_configs\": {\"one\": {\"greeting\": \"hi\"}}},"
                          " \"providers\": {\"one\": {\"greeting\": 3}}}");
        one = plugins_find(f.plugins, "one");
        g_assert_null(plugin_settings(one, one->manifest, &error));
        g_assert_true(g_str_has_prefix(error->message, "/providers/one/greeting: got"));
        fixture_down(&f);
}

static void test_configuration_reaches_it(void) {
        g_autoptr(Config) configured =
                fixture_config("{\"plugins\": {\"plugin_configs\": {\"one\": {\"greeting\": \"hi\"}}}}");
        g_autofree char *path = NULL;
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "good", CHECK, greeting_schema);
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "hello");

        plugins_set_config(f.plugins, configured);
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "hi");
        g_assert_cmpuint(fixture_noted(&f, "one", "Configure"), ==, 1);

        /* The environment file comes last, and must be for its owner's eyes only. */
        fixture_write(&f, "etc/plugins/one.env", "# secret\nSNOOZE_GREETING='from the file'\n");
        path = g_build_filename(f.directory, "etc/plugins/one.env", NULL);
        g_assert_cmpint(g_chmod(path, 0644), ==, 0);
        plugins_set_config(f.plugins, configured);
        g_assert_cmpuint(f.problems->len, ==, 1);
        g_assert_nonnull(strstr(g_ptr_array_index(f.problems, 0), "0640"));

        /* The daemon's own group may read it; what another group may read is not for its owner's eyes. */
        g_assert_cmpint(g_chmod(path, 0640), ==, 0);
        if (geteuid() == 0) {
                g_assert_cmpint(chown(path, 0, 4711), ==, 0);
                plugins_set_config(f.plugins, configured);
                g_assert_cmpuint(f.problems->len, ==, 2);
                g_assert_nonnull(strstr(g_ptr_array_index(f.problems, 1), "another group"));
        }
        g_assert_cmpint(chown(path, (uid_t) -1, getegid()), ==, 0);
        plugins_set_config(f.plugins, configured);
        g_assert_cmpuint(f.problems->len, ==, geteuid() == 0 ? 2 : 1);

        g_assert_cmpint(g_chmod(path, 0600), ==, 0);
        plugins_set_config(f.plugins, configured);
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "from the file");
        fixture_down(&f);
}

/* The manifests say nothing: 5 s, 10 s and 10 s. */
static void test_timeouts_are_configured(void) {
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "hangs", "hang", CHECK, "");
        fixture_add(&f, "greets", "hang-handshake", CHECK, "");
        fixture_start(&f, "{\"plugins\": {\"timeouts\": {\"hangs\": {\"check\": 0.3, \"shutdown\": 0.1}, \"greets\": "
                          "{\"initialize\": 0.4}}}}");
        fixture_round(&f, TRUE);
        assert_unknown(&f, "hangs", "did not answer CheckIdle within 0.3 s");
        assert_unknown(&f, "greets", "did not answer its greeting within 0.4 s");
        fixture_down(&f);
}

typedef struct Dispatched {
        gboolean over, handled;
        JsonArray *results;
} Dispatched;

static void on_dispatched(gboolean handled, JsonArray *results, void *userdata) {
        Dispatched *dispatched = userdata;

        g_assert_false(dispatched->over);
        dispatched->over = TRUE;
        dispatched->handled = handled;
        dispatched->results = json_array_ref(results);
}

static void dispatch(PluginFixture *f, JsonObject *event, Dispatched *dispatched) {
        (void) dispatch_new(f->plugins,
                            &(DispatchParameters){ .event = event, .over = on_dispatched, .userdata = dispatched });
}

static JsonObject *stop_event(uint64_t deadline) {
        JsonObject *event = json_object_new();

        json_object_set_string_member(event, "id", "1");
        json_object_set_string_member(event, "type", "snooze.stop.pending");
        json_object_set_string_member(event, "source", "snoozed");
        json_object_set_int_member(event, "timestamp", (gint64) clock_realtime());
        json_object_set_int_member(event, "severity", 1);
        json_object_set_int_member(event, "deadline", (gint64) deadline);
        json_object_set_object_member(event, "data", json_object_new());
        return event;
}

static void test_event_goes_by_priority(void) {
        g_autoptr(JsonObject) event = NULL;
        Dispatched dispatched = {};
        PluginFixture f = {};
        JsonObject *row;

        fixture_prepare(&f);
        fixture_add(&f, "high", "hang-event", "\"EventHandler\"", ", \"events\": {\"snooze.*\": {\"priority\": 9}}");
        fixture_add(&f, "low", "good", "\"EventHandler\"",
                    ", \"events\": {\"snooze.stop.pending\": {\"priority\": 1}}");
        fixture_add(&f, "other", "good", "\"EventHandler\"", ", \"events\": {\"cloud.spot.interrupt\": {}}");
        fixture_add(&f, "off", "good", "\"EventHandler\"",
                    ", \"events\": {\"snooze.stop.pending\": {\"enabled\": false}}");
        fixture_start(&f, "{}");
        /* The time until the deadline is theirs, not that of their start. */
        plugin_load(plugins_find(f.plugins, "high"), NULL, NULL);
        plugin_load(plugins_find(f.plugins, "low"), NULL, NULL);
        run_until(f.bus.event,
                  fixture_state(&f, "high") == PLUGIN_RUNNING && fixture_state(&f, "low") == PLUGIN_RUNNING);
        event = stop_event(clock_realtime() + 3 * USEC_PER_SEC);
        dispatch(&f, event, &dispatched);
        g_assert_false(dispatched.over);
        run_until(f.bus.event, dispatched.over);

        /* The first one hung for its half of the time; the second had the rest. */
        g_assert_true(dispatched.handled);
        g_assert_cmpuint(json_array_get_length(dispatched.results), ==, 2);
        row = json_array_get_object_element(dispatched.results, 0);
        g_assert_cmpstr(json_get_string(row, "plugin", ""), ==, "high");
        g_assert_false(json_get_boolean(row, "handled", TRUE));
        g_assert_nonnull(strstr(json_get_string(row, "error", ""), "within"));
        row = json_array_get_object_element(dispatched.results, 1);
        g_assert_cmpstr(json_get_string(row, "plugin", ""), ==, "low");
        g_assert_true(json_get_boolean(row, "handled", FALSE));
        g_assert_cmpstr(json_get_string(json_get_object(row, "result"), "by", ""), ==, "low");
        json_array_unref(dispatched.results);
        fixture_down(&f);
}

static void test_event_of_nobody_ends(void) {
        g_autoptr(JsonObject) event = stop_event(0);
        Dispatched dispatched = {};
        PluginFixture f = {};

        begin_with(&f, "good");
        dispatch(&f, event, &dispatched);
        run_until(f.bus.event, dispatched.over);
        g_assert_false(dispatched.handled);
        g_assert_cmpuint(json_array_get_length(dispatched.results), ==, 0);
        json_array_unref(dispatched.results);
        fixture_down(&f);
}

typedef struct Settled {
        unsigned n;
        char *error;
} Settled;

static void on_settled(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        Settled *settled = userdata;

        settled->n++;
        g_free(settled->error);
        settled->error = error ? g_strdup(error->name) : NULL;
}

static void test_load_and_unload(void) {
        Settled settled = {};
        PluginFixture f = {};
        Plugin *plugin;

        begin_with(&f, "good");
        plugin = plugins_find(f.plugins, "one");
        plugin_load(plugin, on_settled, &settled);
        g_assert_cmpuint(settled.n, ==, 0);
        run_until(f.bus.event, settled.n == 1);
        g_assert_null(settled.error);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);

        plugin_unload(plugin, on_settled, &settled);
        run_until(f.bus.event, settled.n == 2);
        g_assert_null(settled.error);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_STOPPED);
        g_assert_true(plugin_enabled(plugin));

        fixture_set_enabled(&f, "one", FALSE);
        plugin_load(plugin, on_settled, &settled);
        run_until(f.bus.event, settled.n == 3);
        g_assert_cmpstr(settled.error, ==, ERROR_NOT_RUNNING);
        g_free(settled.error);
        fixture_down(&f);
}

static void test_one_that_will_not_go_is_killed(void) {
        Settled settled = {};
        PluginFixture f = {};

        begin_with(&f, "stay");
        fixture_round(&f, TRUE);
        plugin_unload(plugins_find(f.plugins, "one"), on_settled, &settled);
        run_until(f.bus.event, settled.n == 1);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_STOPPED);
        run_until(f.bus.event, !plugins_find(f.plugins, "one")->owner);
        fixture_down(&f);
}

static void test_running_one_is_adopted(void) {
        g_autofree char *service = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        PluginFixture f = {};

        begin_with(&f, "good");
        plugins_free(f.plugins);
        g_assert_cmpint(sd_bus_call_method(f.connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                           "org.freedesktop.DBus", "StartServiceByName", &error, NULL, "su",
                                           PLUGIN_NAME_PREFIX "one", 0U),
                        >=, 0);
        sd_bus_flush_close_unref(f.connection);
        f.connection = private_bus_connect(&f.bus);

        service = g_build_filename(f.directory, "plugins", NULL);
        g_autofree char *state = g_build_filename(f.directory, "state", NULL);
        g_autoptr(Config) config = fixture_config("{}");
        g_assert_cmpint(plugins_new(&(PluginsParameters) { .bus = f.connection,
                                                           .event = f.bus.event,
                                                           .store = f.store,
                                                           .config = config,
                                                           .directories = (const char *const[]) { service, NULL },
                                                           .state_directory = state,
                                                           .vote = fixture_on_vote,
                                                           .userdata = &f },
                                    &f.plugins),
                        >=, 0);
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "nothing to do");
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 1);
        fixture_down(&f);
}

static void test_broken_manifest_is_listed(void) {
        PluginFixture f = {};
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "bad", "good", CHECK, ", \"surprise\": 1");
        fixture_add(&f, "one", "good", CHECK, "");
        fixture_start(&f, "{}");
        plugin = plugins_find(f.plugins, "bad");
        g_assert_nonnull(plugin);
        g_assert_cmpint(plugin_state(plugin), ==, PLUGIN_FAILED);
        g_assert_nonnull(strstr(plugin_last_error(plugin), "/surprise"));
        g_assert_false(plugin_has_contract(plugin, "IdleCheck"));
        fixture_round(&f, TRUE);
        assert_idle(&f, "one", "nothing to do");

        /* Mended, it is found again. */
        fixture_add(&f, "bad", "good", CHECK, "");
        fixture_add(&f, "new", "good", CHECK, "");
        g_auto(GStrv) added = plugins_discover(f.plugins);
        g_assert_cmpuint(g_strv_length(added), ==, 1);
        g_assert_cmpstr(added[0], ==, "new");
        g_assert_cmpint(fixture_state(&f, "bad"), ==, PLUGIN_DISCOVERED);
        fixture_down(&f);
}

static void on_called(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        on_settled(plugin, error, userdata);
}

static void test_calls_have_ceilings(void) {
        Settled settled = {};
        PluginFixture f = {};
        Plugin *plugin;
        unsigned i;

        begin_with(&f, "good");
        plugin = plugins_find(f.plugins, "one");
        for (i = 0; i < QUEUED_PER_PLUGIN_MAX; i++)
                g_assert_cmpint(plugin_call(plugin, IDLE_CHECK_INTERFACE, "CheckIdle", USEC_PER_MSEC, FALSE, NULL,
                                            on_called, &settled),
                                ==, 0);
        g_assert_cmpint(plugin_call(plugin, IDLE_CHECK_INTERFACE, "CheckIdle", 0, FALSE, NULL, on_called, &settled),
                        ==, 0);
        g_assert_cmpuint(settled.n, ==, 0);
        run_until(f.bus.event, settled.n == 1);
        g_assert_cmpstr(settled.error, ==, ERROR_LIMITS_EXCEEDED);
        run_until(f.bus.event, settled.n == i + 1);
        g_assert_cmpstr(settled.error, ==, ERROR_TIMED_OUT);

        plugin_call(plugin, CLOUD_PROVIDER_INTERFACE, "Detect", 0, TRUE, NULL, on_called, &settled);
        run_until(f.bus.event, settled.n == i + 2);
        g_assert_cmpstr(settled.error, ==, ERROR_NOT_SUPPORTED);
        g_assert_cmpint(plugin_call(plugin, IDLE_CHECK_INTERFACE, "Nonsense", 0, TRUE, NULL, on_called, &settled), <,
                        0);
        g_free(settled.error);
        fixture_down(&f);
}

static void test_many_side_by_side(void) {
        PluginFixture f = {};
        char id[16];

        fixture_prepare(&f);
        for (unsigned i = 0; i < 70; i++) {
                g_snprintf(id, sizeof(id), "p%u", i);
                fixture_add(&f, id, i == 7 ? "hang" : "good", CHECK, "");
        }
        fixture_start(&f, "{\"sources\": {\"p7\": {\"timeout_seconds\": 3}}}");
        fixture_round(&f, TRUE);
        for (unsigned i = 0; i < 70; i++) {
                g_snprintf(id, sizeof(id), "p%u", i);
                if (i == 7)
                        assert_unknown(&f, id, "3 s");
                else
                        assert_idle(&f, id, "nothing to do");
        }
        fixture_down(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/plugins/first-round-starts-it", test_first_round_starts_it);
        g_test_add_func("/plugins/round-of-nobody-ends", test_round_of_nobody_ends);
        g_test_add_func("/plugins/not-enabled-is-not-asked", test_not_enabled_is_not_asked);
        g_test_add_func("/plugins/turned-off", test_plugins_turned_off);
        g_test_add_func("/plugins/enabled-cannot-be-kept", test_enabled_cannot_be_kept);
        g_test_add_func("/plugins/enabled-and-disabled-at-once", test_enabled_and_disabled_at_once);
        for (size_t i = 0; i < G_N_ELEMENTS(wrongs); i++) {
                g_autofree char *name = g_strdup_printf("/plugins/wrong/%s", wrongs[i].behaviour);

                g_test_add_data_func(name, GSIZE_TO_POINTER(i), test_wrong_answers_are_unknown);
        }
        g_test_add_func("/plugins/hanging-one-is-killed-and-restarted", test_hanging_one_is_killed_and_restarted);
        g_test_add_func("/plugins/check-is-repeated-once", test_check_is_repeated_once);
        g_test_add_func("/plugins/late-reply-is-dropped", test_late_reply_is_dropped);
        g_test_add_func("/plugins/second-reply-is-dropped", test_second_reply_is_dropped);
        g_test_add_func("/plugins/idle-exit-is-no-failure", test_idle_exit_is_no_failure);
        g_test_add_func("/plugins/nothing-counts-of-what-a-fallen-plugin-said",
                        test_nothing_counts_of_what_a_fallen_plugin_said);
        g_test_add_func("/plugins/quarantine-and-the-way-out", test_quarantine_and_the_way_out);
        g_test_add_func("/plugins/failures-of-long-ago-do-not-count", test_failures_of_long_ago_do_not_count);
        g_test_add_func("/plugins/valid-vote-is-told-again", test_valid_vote_is_told_again);
        g_test_add_func("/plugins/subjects", test_subjects);
        g_test_add_func("/plugins/rounds-overlap", test_rounds_overlap);
        g_test_add_func("/plugins/configuration-reaches-it", test_configuration_reaches_it);
        g_test_add_func("/plugins/the-wrong-place-is-to-blame", test_of_two_places_the_wrong_one_is_to_blame);
        g_test_add_func("/plugins/timeouts-are-configured", test_timeouts_are_configured);
        g_test_add_func("/plugins/event-goes-by-priority", test_event_goes_by_priority);
        g_test_add_func("/plugins/event-of-nobody-ends", test_event_of_nobody_ends);
        g_test_add_func("/plugins/load-and-unload", test_load_and_unload);
        g_test_add_func("/plugins/one-that-will-not-go-is-killed", test_one_that_will_not_go_is_killed);
        g_test_add_func("/plugins/drop-ins-count-where-systemd-is", test_drop_ins_count_where_systemd_is);
        g_test_add_func("/plugins/running-one-is-adopted", test_running_one_is_adopted);
        g_test_add_func("/plugins/broken-manifest-is-listed", test_broken_manifest_is_listed);
        g_test_add_func("/plugins/calls-have-ceilings", test_calls_have_ceilings);
        g_test_add_func("/plugins/many-side-by-side", test_many_side_by_side);
        return g_test_run();
}
