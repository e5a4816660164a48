/* SPDX-License-Identifier: Apache-2.0 */

/* What makes a plugin unhealthy, what does not, and what ends it; and how long one that failed waits. */

#include <signal.h>

#include "base/errors.h"
#include "daemon/plugin/plugin.h"
#include "plugin-fixture.h"

static int append_dictionary(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "a{sv}", 0);
}

static int append_word(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "s", "x");
}

static int append_word_and_dictionary(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "sa{sv}", "x", 0);
}

static int append_block(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "ay", 1, 0);
}

static int append_tags(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "a{ss}", 0);
}

enum {
        ARGUMENTS = 1, /* may be refused for its arguments */
        OTHERS = 2,    /* may be refused by others */
};

static const struct {
        const char *interface, *member;
        PluginCallAppend append;
        unsigned may;
} methods[] = {
        { IDLE_CHECK_INTERFACE, "CheckIdle", append_dictionary, 0 },
        { PLUGIN_INTERFACE, "Configure", append_dictionary, ARGUMENTS },
        { EVENT_HANDLER_INTERFACE, "HandleEvent", append_dictionary, ARGUMENTS | OTHERS },
        { EVENT_SOURCE_INTERFACE, "Watch", NULL, 0 },
        { EVENT_SOURCE_INTERFACE, "Acknowledge", append_word, OTHERS },
        { CLOUD_PROVIDER_INTERFACE, "Detect", NULL, OTHERS },
        { CLOUD_PROVIDER_INTERFACE, "CheckPermissions", NULL, OTHERS },
        { CLOUD_PROVIDER_INTERFACE, "GetInstanceInfo", append_word, ARGUMENTS | OTHERS },
        { CLOUD_PROVIDER_INTERFACE, "StopInstance", append_word_and_dictionary, ARGUMENTS | OTHERS },
        { CLOUD_PROVIDER_INTERFACE, "StartInstance", append_word_and_dictionary, ARGUMENTS | OTHERS },
        { CLOUD_PROVIDER_INTERFACE, "SetTags", append_tags, ARGUMENTS | OTHERS },
        { DATA_PROCESSOR_INTERFACE, "ProcessData", append_block, ARGUMENTS | OTHERS },
        { REQUEST_HANDLER_INTERFACE, "Handle", append_word_and_dictionary, ARGUMENTS | OTHERS },
};

#define EVERYTHING                                                                                                    \
        "\"IdleCheck\", \"EventHandler\", \"EventSource\", \"CloudProvider\", \"DataProcessor\", \"RequestHandler\""

static const struct {
        const char *name;
        unsigned where;  /* it is an answer */
        const char *seen; /* by who asked */
} errors[] = {
        { ERROR_INVALID_ARGUMENT, ARGUMENTS, ERROR_INVALID_ARGUMENT },
        { SD_BUS_ERROR_INVALID_ARGS, ARGUMENTS, SD_BUS_ERROR_INVALID_ARGS },
        { ERROR_REFUSED, OTHERS, ERROR_REFUSED },
        { ERROR_THROTTLED, OTHERS, ERROR_THROTTLED },
        { ERROR_HELD, OTHERS, ERROR_HELD },
        { ERROR_BUSY, OTHERS, ERROR_BUSY },
        { ERROR_LIMITS_EXCEEDED, OTHERS, ERROR_LIMITS_EXCEEDED },
        { SD_BUS_ERROR_ACCESS_DENIED, OTHERS, SD_BUS_ERROR_ACCESS_DENIED },
        { ERROR_PLUGIN_FAILED, 0, ERROR_PLUGIN_FAILED },
        { ERROR_TIMED_OUT, 0, ERROR_TIMED_OUT },
        { "org.example.Strange", 0, ERROR_PLUGIN_FAILED },
};

static void on_error(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        char **name = userdata;

        g_assert_nonnull(error);
        *name = g_strdup(error->name);
}

static void test_refusals(const void *data) {
        size_t e = GPOINTER_TO_SIZE(data);
        PluginFixture f = {};
        uint64_t failures = 0;
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", errors[e].name, EVERYTHING, ", \"events\": {\"custom.*\": {\"priority\": 1}}");
        fixture_start(&f, "{}");
        plugin = plugins_find(f.plugins, "one");
        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++) {
                gboolean answer = (methods[i].may & errors[e].where) != 0;
                g_autofree char *seen = NULL;

                g_assert_cmpint(plugin_call(plugin, methods[i].interface, methods[i].member, 0, TRUE,
                                            methods[i].append, on_error, &seen),
                                ==, 0);
                run_until(f.bus.event, seen != NULL);
                g_assert_cmpstr(seen, ==, errors[e].seen);
                if (plugin->healthy != answer)
                        g_error("%s: %s", methods[i].member, errors[e].name);
                g_assert_cmpstr(plugin_last_error(plugin), ==,
                                answer                                       ? ""
                                : g_str_equal(errors[e].seen, errors[e].name) ? "as it was told"
                                                                              : "org.example.Strange: as it was told");
                failures += !answer;
                g_assert_cmpuint(plugin->statistics.errors, ==, failures);
                plugin_set_healthy(plugin, TRUE, NULL);
        }
        fixture_down(&f);
}

static void ask(PluginFixture *f, Plugin *plugin, PluginCallDone done) {
        unsigned before = f->rounds;

        g_assert_cmpint(plugin_call(plugin, REQUEST_HANDLER_INTERFACE, "Handle", 0, FALSE, append_word_and_dictionary,
                                    done, f),
                        ==, 0);
        run_until(f->bus.event, f->rounds > before);
}

static void on_failed(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        PluginFixture *f = userdata;

        g_assert_nonnull(error);
        f->rounds++;
}

static void on_worked(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        PluginFixture *f = userdata;

        g_assert_null(error);
        f->rounds++;
}

/* "Idle for the next minute" counts no more when something else has failed since. */
static void test_its_vote_is_unknown_until_it_is_asked_again(void) {
        PluginFixture f = {};
        const Vote *vote;
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "valid-fails-once", "\"IdleCheck\", \"RequestHandler\"", "");
        fixture_start(&f, "{}");
        plugin = plugins_find(f.plugins, "one");
        fixture_round(&f, FALSE);
        g_assert_cmpint(fixture_vote(&f, "one")->verdict, ==, VERDICT_IDLE);

        ask(&f, plugin, on_failed);
        vote = fixture_vote(&f, "one");
        g_assert_cmpint(vote->verdict, ==, VERDICT_UNKNOWN);
        g_assert_cmpstr(vote->reason, ==, "org.example.Strange: no clue");
        g_assert_false(plugin->healthy);

        /* What it does well afterwards is no word on whether this machine is idle. */
        ask(&f, plugin, on_worked);
        run_until(f.bus.event, plugin->healthy);
        g_assert_cmpstr(plugin_last_error(plugin), ==, "");
        g_assert_cmpint(fixture_vote(&f, "one")->verdict, ==, VERDICT_UNKNOWN);
        fixture_round(&f, FALSE);
        g_assert_cmpint(fixture_vote(&f, "one")->verdict, ==, VERDICT_IDLE);
        g_assert_cmpuint(fixture_noted(&f, "one", "CheckIdle"), ==, 2);
        fixture_down(&f);
}

static void on_answered(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        gboolean *answered = userdata;

        g_assert_null(error);
        *answered = TRUE;
}

static void test_that_it_lives_is_not_that_it_works(void) {
        PluginFixture f = {};
        gboolean answered = FALSE;
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "hang-later", "\"IdleCheck\"", ", \"timeouts\": {\"check\": 1.5}");
        fixture_start(&f, "{}");
        plugin = plugins_find(f.plugins, "one");
        fixture_round(&f, FALSE);
        g_assert_true(plugin->healthy);
        fixture_round(&f, FALSE);
        run_until(f.bus.event, fixture_noted(&f, "one", "Ping") == 1 && !plugin->process->pinging);
        g_assert_cmpint(fixture_state(&f, "one"), ==, PLUGIN_RUNNING);
        g_assert_false(plugin->healthy);
        g_assert_nonnull(strstr(plugin_last_error(plugin), "did not answer CheckIdle"));
        /* Nor is what anybody else asks it whom it serves by nothing. */
        g_assert_cmpint(plugin_call(plugin, PLUGIN_INTERFACE, "Ping", 0, TRUE, NULL, on_answered, &answered), ==, 0);
        run_until(f.bus.event, answered);
        g_assert_false(plugin->healthy);
        fixture_down(&f);
}

static void assert_spread(uint64_t first, unsigned failures, uint64_t expected) {
        uint64_t least = UINT64_MAX, most = 0;

        for (unsigned i = 0; i < 1000; i++) {
                uint64_t delay = plugin_restart_delay(first, failures);

                least = MIN(least, delay);
                most = MAX(most, delay);
        }
        g_assert_cmpuint(least, >=, expected - expected / 4);
        g_assert_cmpuint(least, <, expected - expected / 5);
        g_assert_cmpuint(most, >, expected + expected / 5);
        g_assert_cmpuint(most, <=, expected + expected / 4);
}

static void test_the_pause_doubles_and_is_spread(void) {
        static const unsigned many[] = { 8, 9, 17, 18, 40, UINT_MAX };

        for (unsigned failures = 1; failures <= 7; failures++)
                assert_spread(0, failures, RESTART_DELAY_MIN << (failures - 1));
        assert_spread(0, 0, RESTART_DELAY_MIN);
        /* And no longer than a minute, however often. */
        for (size_t i = 0; i < G_N_ELEMENTS(many); i++)
                assert_spread(0, many[i], RESTART_DELAY_MAX);
        assert_spread(10 * USEC_PER_MSEC, 5, 160 * USEC_PER_MSEC);
}

static void assert_next_pause(PluginFixture *f, Plugin *plugin, uint64_t expected) {
        uint64_t before = 0, when;

        while (plugin->state != PLUGIN_FAILED) {
                before = clock_monotonic();
                g_assert_cmpint(sd_event_run(f->bus.event, USEC_INFINITY), >=, 0);
        }
        g_assert_cmpint(sd_event_source_get_time(plugin->timer, &when), >=, 0);
        g_assert_cmpuint(when, >=, before + expected - expected / 4);
        g_assert_cmpuint(when, <=, clock_monotonic() + expected + expected / 4);
}

/* The one that is waited for. */
static void test_each_restart_waits_longer_than_the_one_before(void) {
        uint64_t expected = 10 * USEC_PER_MSEC; /* the fixture's */
        PluginFixture f = {};
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "die-handshake", "\"IdleCheck\"", "");
        fixture_start(&f, "{\"plugins\": {\"max_restarts\": 100}}");
        plugin = plugins_find(f.plugins, "one");
        plugin_begin(plugin);
        for (unsigned i = 0; i < 6; i++, expected *= 2) {
                run_until(f.bus.event, plugin->state != PLUGIN_FAILED);
                assert_next_pause(&f, plugin, expected);
        }
        fixture_down(&f);
}

/* Nor is one started again and again at once that is well until it is asked something. */
static void test_one_that_falls_when_it_runs_waits_longer_too(void) {
        uint64_t expected = 10 * USEC_PER_MSEC;
        PluginFixture f = {};
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "channel-good", "\"IdleCheck\"", "");
        fixture_start(&f, "{\"plugins\": {\"max_restarts\": 6}}");
        plugin = plugins_find(f.plugins, "one");
        plugin_begin(plugin);
        for (unsigned i = 0; i < 6; i++, expected *= 2) {
                run_until(f.bus.event, plugin->state == PLUGIN_RUNNING);
                g_assert_cmpint(kill(plugin_pid(plugin), SIGKILL), ==, 0);
                assert_next_pause(&f, plugin, expected);
        }
        /* From the beginning, once somebody has seen to it. */
        plugin_restart(plugin);
        run_until(f.bus.event, plugin->state == PLUGIN_RUNNING);
        g_assert_cmpint(kill(plugin_pid(plugin), SIGKILL), ==, 0);
        assert_next_pause(&f, plugin, 10 * USEC_PER_MSEC);
        fixture_down(&f);
}

/* It fell while it was asked, and is asked once more when it runs again. */
static void begin_and_fall(PluginFixture *f) {
        fixture_prepare(f);
        fixture_add(f, "one", "die-once", "\"IdleCheck\"", "");
        fixture_start(f, "{}");
        fixture_ask(f, FALSE);
        run_until(f->bus.event, fixture_state(f, "one") == PLUGIN_FAILED);
}

static void test_who_waits_for_a_restart_waits_for_the_new_manifest(void) {
        g_auto(GStrv) added = NULL;
        PluginFixture f = {};

        begin_and_fall(&f);
        fixture_add(&f, "one", "die-once", "\"IdleCheck\"", ", \"description\": \"Another\"");
        added = plugins_discover(f.plugins);
        run_until(f.bus.event, f.rounds == 1);
        g_assert_cmpint(fixture_vote(&f, "one")->verdict, ==, VERDICT_IDLE);
        fixture_down(&f);
}

static void test_nobody_waits_for_what_was_broken_meanwhile(void) {
        g_auto(GStrv) added = NULL;
        PluginFixture f = {};

        begin_and_fall(&f);
        fixture_write(&f, "plugins/one/plugin.json", "{");
        added = plugins_discover(f.plugins);
        run_until(f.bus.event, f.rounds == 1);
        g_assert_cmpint(fixture_vote(&f, "one")->verdict, ==, VERDICT_UNKNOWN);
        g_assert_nonnull(strstr(fixture_vote(&f, "one")->reason, "plugins/one/plugin.json"));
        fixture_down(&f);
}

static void load_when_it_stops(Plugin *plugin, PluginState previous, const char *reason, void *userdata) {
        if (plugin->state == PLUGIN_STOPPED)
                plugin_load(plugin, NULL, NULL);
}

/* As the daemon does with a source of events. */
static void test_who_starts_it_again_at_once_starts_the_new_version(void) {
        g_auto(GStrv) added = NULL;
        PluginFixture f = { .changed = load_when_it_stops };
        Plugin *plugin;

        fixture_prepare(&f);
        fixture_add(&f, "one", "good", "\"IdleCheck\"", "");
        fixture_start(&f, "{}");
        fixture_round(&f, FALSE);
        plugin = plugins_find(f.plugins, "one");
        fixture_add(&f, "one", "good", "\"IdleCheck\"", ", \"display_name\": \"Another\"");
        added = plugins_discover(f.plugins);
        run_until(f.bus.event, fixture_noted(&f, "one", "starts") == 1 && plugin->state == PLUGIN_RUNNING);
        plugin_restart(plugin);
        run_until(f.bus.event, fixture_noted(&f, "one", "starts") == 2 && plugin->state == PLUGIN_RUNNING);
        g_assert_cmpstr(plugin_display_name(plugin), ==, "Another");
        fixture_down(&f);
}

/* Its word is heard, and known to be nobody's; told again while it is valid, too. */
static void test_one_that_watches_nothing(void) {
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "watches-nothing", "\"IdleCheck\"", "");
        fixture_add(&f, "two", "good", "\"IdleCheck\"", "");
        fixture_start(&f, "{}");
        for (unsigned i = 0; i < 2; i++) {
                fixture_round(&f, i == 0);
                g_assert_cmpint(fixture_vote(&f, "one")->verdict, ==, VERDICT_IDLE);
                g_assert_true(fixture_vote(&f, "one")->vacuous);
                g_assert_false(fixture_vote(&f, "two")->vacuous);
        }
        fixture_down(&f);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        errors_register();
        for (size_t i = 0; i < G_N_ELEMENTS(errors); i++) {
                g_autofree char *path = g_strdup_printf("/health/refusals/%s", errors[i].name);

                g_test_add_data_func(path, GSIZE_TO_POINTER(i), test_refusals);
        }
        g_test_add_func("/health/watches-nothing", test_one_that_watches_nothing);
        g_test_add_func("/health/vote", test_its_vote_is_unknown_until_it_is_asked_again);
        g_test_add_func("/health/new-version-at-once", test_who_starts_it_again_at_once_starts_the_new_version);
        g_test_add_func("/health/ping", test_that_it_lives_is_not_that_it_works);
        g_test_add_func("/health/pause/spread", test_the_pause_doubles_and_is_spread);
        g_test_add_func("/health/pause/waited-for", test_each_restart_waits_longer_than_the_one_before);
        g_test_add_func("/health/pause/after-a-good-start", test_one_that_falls_when_it_runs_waits_longer_too);
        g_test_add_func("/health/waits/new-manifest", test_who_waits_for_a_restart_waits_for_the_new_manifest);
        g_test_add_func("/health/waits/broken-manifest", test_nobody_waits_for_what_was_broken_meanwhile);
        return g_test_run();
}
