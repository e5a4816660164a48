/* SPDX-License-Identifier: Apache-2.0 */

/* Who is to stop this machine, and what comes of asking it. */

#include "plugin-fixture.h"

#include "daemon/provider/providers.h"

#define CLOUD "\"CloudProvider\""

typedef struct ProviderFixture {
        PluginFixture plugins;
        Providers *providers;
        unsigned changes;

        gboolean answered;
        StopAnswer answer;
        char *message, *state;
} ProviderFixture;

static void on_changed(void *userdata) {
        ProviderFixture *f = userdata;

        f->changes++;
}

static void on_plugin_changed(Plugin *plugin, PluginState previous, const char *reason, void *userdata) {
        PluginFixture *plugins = userdata;
        ProviderFixture *f = (ProviderFixture *) plugins; /* its first member */

        if (f->providers)
                providers_plugin_changed(f->providers, plugin);
}

static void start(ProviderFixture *f, const char *configuration) {
        g_autoptr(Config) config = fixture_config(configuration);

        f->plugins.changed = on_plugin_changed;
        fixture_start(&f->plugins, configuration);
        g_assert_cmpint(providers_new(&(ProvidersParameters) { .bus = f->plugins.connection,
                                                               .event = f->plugins.bus.event,
                                                               .config = config,
                                                               .plugins = f->plugins.plugins,
                                                               .changed = on_changed,
                                                               .userdata = f },
                                      &f->providers),
                        >=, 0);
}

static void start_one(ProviderFixture *f, const char *behaviour, const char *configuration) {
        fixture_prepare(&f->plugins);
        fixture_add(&f->plugins, "fake", behaviour, CLOUD, "");
        start(f, configuration);
}

static void stop(ProviderFixture *f) {
        providers_free(f->providers);
        g_free(f->message);
        g_free(f->state);
        fixture_down(&f->plugins);
}

#define problem(f) providers_problem((f)->providers, NULL)
#define problem_has(f, part) (problem(f) && strstr(problem(f), (part)))
#define wait_for(f, condition) run_until((f)->plugins.bus.event, (condition))

static void test_only_one_that_recognizes_it(void) {
        ProviderFixture f = {};

        fixture_prepare(&f.plugins);
        fixture_add(&f.plugins, "fake", "cloud", CLOUD, "");
        fixture_add(&f.plugins, "other", "no", CLOUD, "");
        start(&f, "{}");
        g_assert_null(providers_active(f.providers));
        g_assert_true(problem_has(&f, "still being asked"));
        wait_for(&f, providers_active(f.providers) && !problem(&f));
        g_assert_cmpstr(provider_id(providers_active(f.providers)), ==, "fake");
        wait_for(&f, g_str_equal(provider_instance_id(providers_active(f.providers)), "i-1234"));
        g_assert_cmpstr(provider_stop_effect(providers_active(f.providers)), ==, "stops-billing");
        g_assert_cmpuint(providers_list(f.providers)->len, ==, 2);
        g_assert_cmpuint(fixture_noted(&f.plugins, "fake", "StopInstance"), ==, 0);
        stop(&f);
}

static void test_two_choose_none(void) {
        ProviderFixture f = {};
        g_autoptr(Config) named = fixture_config("{\"provider\": \"other\"}");

        fixture_prepare(&f.plugins);
        fixture_add(&f.plugins, "fake", "cloud", CLOUD, "");
        fixture_add(&f.plugins, "other", "cloud", CLOUD, "");
        start(&f, "{}");
        wait_for(&f, problem_has(&f, "Two providers"));
        g_assert_null(providers_active(f.providers));

        providers_set_config(f.providers, named);
        g_assert_cmpstr(provider_id(providers_active(f.providers)), ==, "other");
        stop(&f);
}

static void test_nobody_recognizes_it(void) {
        ProviderFixture f = {};

        start_one(&f, "no", "{}");
        wait_for(&f, problem_has(&f, "No provider recognizes"));
        g_assert_null(providers_active(f.providers));
        stop(&f);
}

static void test_none_there(void) {
        ProviderFixture f = {};

        fixture_prepare(&f.plugins);
        start(&f, "{}");
        g_assert_true(problem_has(&f, "No provider is enabled"));
        stop(&f);
}

static void test_named_but_missing(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud", "{\"provider\": \"aws\"}");
        g_assert_true(problem_has(&f, "aws of the configuration is not installed"));
        stop(&f);
}

static void test_named_but_disabled(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud", "{\"provider\": \"fake\"}");
        wait_for(&f, !problem(&f));
        fixture_set_enabled(&f.plugins, "fake", FALSE);
        g_assert_true(problem_has(&f, "not enabled"));
        g_assert_null(providers_active(f.providers));
        stop(&f);
}

static void test_effect_needs_consent(void) {
        ProviderFixture f = {};
        g_autoptr(Config) consent = fixture_config("{\"allow_stop_effects\": [\"terminates\"]}");

        start_one(&f, "cloud-terminates", "{}");
        wait_for(&f, problem_has(&f, "destroys the machine"));
        providers_set_config(f.providers, consent);
        g_assert_null(problem(&f));
        stop(&f);
}

static void test_effect_that_nobody_knows(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud-nonsense", "{}");
        wait_for(&f, problem_has(&f, "StopEffect unknown"));
        stop(&f);
}

static void on_stopped(StopAnswer answer, const char *message, void *userdata) {
        ProviderFixture *f = userdata;

        g_assert_false(f->answered);
        f->answered = TRUE;
        f->answer = answer;
        f->message = g_strdup(message);
}

static void ask_stop(ProviderFixture *f) {
        wait_for(f, providers_active(f->providers) && *provider_instance_id(providers_active(f->providers)));
        provider_stop(providers_active(f->providers), "stop", "idle for long", 0, on_stopped, f);
        g_assert_false(f->answered);
        wait_for(f, f->answered);
}

static void test_stop_is_verified(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud-stops", "{}");
        ask_stop(&f);
        g_assert_cmpint(f.answer, ==, STOP_ACCEPTED);
        g_assert_nonnull(strstr(f.message, "stopping"));
        stop(&f);
}

static void test_stop_without_effect_is_doubted(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud", "{}");
        ask_stop(&f);
        g_assert_cmpint(f.answer, ==, STOP_RETRY);
        g_assert_nonnull(strstr(f.message, "still running"));
        g_assert_cmpuint(fixture_noted(&f.plugins, "fake", "StopInstance"), ==, 1);
        stop(&f);
}

static void test_stop_refused(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud-refuses", "{}");
        ask_stop(&f);
        g_assert_cmpint(f.answer, ==, STOP_REFUSED);
        g_assert_cmpstr(f.message, ==, "it is a one-time spot request");
        stop(&f);
}

static void test_stop_throttled(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud-throttles", "{}");
        ask_stop(&f);
        g_assert_cmpint(f.answer, ==, STOP_RETRY);
        stop(&f);
}

/* Nobody knows whether the cloud heard it: it is not repeated here. */
static void test_stop_and_the_provider_dies(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud-dies", "{}");
        ask_stop(&f);
        g_assert_cmpint(f.answer, ==, STOP_RETRY);
        g_assert_cmpuint(fixture_noted(&f.plugins, "fake", "StopInstance"), ==, 1);
        stop(&f);
}

static void test_stop_with_a_forbidden_effect(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud-terminates", "{}");
        ask_stop(&f);
        g_assert_cmpint(f.answer, ==, STOP_REFUSED);
        g_assert_cmpuint(fixture_noted(&f.plugins, "fake", "StopInstance"), ==, 0);
        stop(&f);
}

static void on_state(const char *state, const char *message, void *userdata) {
        ProviderFixture *f = userdata;

        f->answered = TRUE;
        f->state = g_strdup(state);
}

static void test_state(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud", "{}");
        wait_for(&f, providers_active(f.providers));
        provider_query_state(providers_active(f.providers), on_state, &f);
        wait_for(&f, f.answered);
        g_assert_cmpstr(f.state, ==, "running");
        stop(&f);
}

static void test_missing_permission(void) {
        ProviderFixture f = {};

        start_one(&f, "cloud-forbidden", "{}");
        wait_for(&f, problem_has(&f, "lacks the permission cloud:stop (the role may not)"));
        stop(&f);
}

static void test_enabled_later(void) {
        ProviderFixture f = {};
        g_autofree char *mark = NULL;

        fixture_prepare(&f.plugins);
        fixture_add(&f.plugins, "fake", "cloud", CLOUD, "");
        mark = g_build_filename(f.plugins.directory, "state/enabled/fake", NULL);
        g_assert_cmpint(g_remove(mark), ==, 0);
        start(&f, "{}");
        g_assert_true(problem_has(&f, "No provider is enabled"));
        fixture_set_enabled(&f.plugins, "fake", TRUE);
        wait_for(&f, providers_active(f.providers) && !problem(&f));
        stop(&f);
}

static void test_one_that_is_none_any_more(void) {
        g_autofree char *program = g_strdup_printf("\"%s\"", g_getenv("FAKE_PLUGIN"));
        g_autofree char *text = g_strdup_printf("{\"name\": \"fake\", \"version\": \"2.0.0\", \"exec\": %s, "
                                                "\"contracts\": [\"IdleCheck\"]}", program);
        ProviderFixture f = {};

        start_one(&f, "cloud", "{}");
        wait_for(&f, providers_active(f.providers) && !problem(&f));
        wait_for(&f, fixture_state(&f.plugins, "fake") == PLUGIN_RUNNING);
        fixture_write(&f.plugins, "plugins/fake/plugin.json", text);
        g_strfreev(plugins_discover(f.plugins.plugins));
        wait_for(&f, !providers_active(f.providers));
        g_assert_true(problem_has(&f, "No provider"));
        stop(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/providers/only-one-that-recognizes-it", test_only_one_that_recognizes_it);
        g_test_add_func("/providers/two-choose-none", test_two_choose_none);
        g_test_add_func("/providers/nobody-recognizes-it", test_nobody_recognizes_it);
        g_test_add_func("/providers/none-there", test_none_there);
        g_test_add_func("/providers/named-but-missing", test_named_but_missing);
        g_test_add_func("/providers/named-but-disabled", test_named_but_disabled);
        g_test_add_func("/providers/effect-needs-consent", test_effect_needs_consent);
        g_test_add_func("/providers/effect-that-nobody-knows", test_effect_that_nobody_knows);
        g_test_add_func("/providers/stop-is-verified", test_stop_is_verified);
        g_test_add_func("/providers/stop-without-effect-is-doubted", test_stop_without_effect_is_doubted);
        g_test_add_func("/providers/stop-refused", test_stop_refused);
        g_test_add_func("/providers/stop-throttled", test_stop_throttled);
        g_test_add_func("/providers/stop-and-the-provider-dies", test_stop_and_the_provider_dies);
        g_test_add_func("/providers/stop-with-a-forbidden-effect", test_stop_with_a_forbidden_effect);
        g_test_add_func("/providers/state", test_state);
        g_test_add_func("/providers/missing-permission", test_missing_permission);
        g_test_add_func("/providers/enabled-later", test_enabled_later);
        g_test_add_func("/providers/one-that-is-none-any-more", test_one_that_is_none_any_more);
        return g_test_run();
}
