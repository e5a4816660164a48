/* SPDX-License-Identifier: Apache-2.0 */

/* A stop that was asked for and does not happen: nobody answers any more, and the machine runs on. */

#include "plugin-fixture.h"

#include <string.h>

#include "daemon/stop/stop.h"
#include "util/json.h"

typedef struct StopFixture {
        PluginFixture plugins;
        Config *config;
        Decision *decision;
        Events *events;
        Providers *providers;
        Stop *stop;
        unsigned steps;
} StopFixture;

static void on_step(void *userdata) {
        StopFixture *f = userdata;

        f->steps++;
}

static uint64_t on_realtime(uint64_t moment, void *userdata) {
        return monotonic_to_realtime(moment, clock_monotonic(), clock_realtime());
}

static void on_save(void *userdata) {
}

static void on_problem(const char *source, const char *message, void *userdata) {
        StopFixture *f = userdata;

        fixture_on_problem(source, message, &f->plugins);
}

static void start(StopFixture *f, uint64_t patience) {
        static const char text[] = "{\"dry_run\": false}";

        fixture_prepare(&f->plugins);
        fixture_start(&f->plugins, text);
        f->config = fixture_config(text);
        f->decision = decision_new(f->config, clock_monotonic());
        g_assert_cmpint(events_new(&(EventsParameters){ .bus = f->plugins.connection,
                                                        .event = f->plugins.bus.event,
                                                        .config = f->config,
                                                        .store = f->plugins.store,
                                                        .plugins = f->plugins.plugins },
                                   &f->events),
                        >=, 0);
        g_assert_cmpint(providers_new(&(ProvidersParameters){ .bus = f->plugins.connection,
                                                              .event = f->plugins.bus.event,
                                                              .config = f->config,
                                                              .plugins = f->plugins.plugins,
                                                              .userdata = f },
                                      &f->providers),
                        >=, 0);
        g_assert_cmpint(stop_new(&(StopParameters){ .event = f->plugins.bus.event,
                                                    .config = f->config,
                                                    .decision = f->decision,
                                                    .store = f->plugins.store,
                                                    .plugins = f->plugins.plugins,
                                                    .providers = f->providers,
                                                    .events = f->events,
                                                    .boot = "a boot",
                                                    .patience = patience,
                                                    .step = on_step,
                                                    .realtime = on_realtime,
                                                    .save = on_save,
                                                    .problem = on_problem,
                                                    .userdata = f },
                                 &f->stop),
                        >=, 0);
}

static void end(StopFixture *f) {
        events_end(f->events);
        f->plugins.store = store_free(f->plugins.store);
        stop_free(f->stop);
        events_free(f->events);
        providers_free(f->providers);
        decision_free(f->decision);
        config_unref(f->config);
        fixture_down(&f->plugins);
}

typedef struct Told {
        gboolean answered, called_off;
} Told;

static void on_events(GPtrArray *rows, const GError *error, void *userdata) {
        Told *told = userdata;

        g_assert_no_error(error);
        told->answered = TRUE;
        for (guint i = 0; i < rows->len; i++) {
                g_autofree char *text = json_object_text(rows->pdata[i]);

                told->called_off |= strstr(text, "\"phase\":\"cancelled\"") != NULL;
        }
}

/* Whoever stopped services for it starts them again. */
static gboolean handlers_hear_that_it_is_off(StopFixture *f) {
        Told told = {};

        g_assert_cmpint(store_query(f->plugins.store, 0, UINT64_MAX, 10, 1U << HISTORY_EVENT, on_events, &told), >=,
                        0);
        run_until(f->plugins.bus.event, told.answered);
        return told.called_off;
}

static void test_it_is_given_up(void) {
        StopFixture f = {};

        start(&f, 20 * USEC_PER_MSEC);
        stop_resume_asked(f.stop);
        g_assert_true(stop_was_asked(f.stop));
        run_until(f.plugins.bus.event, f.plugins.problems->len > 0);
        g_assert_cmpuint(f.plugins.problems->len, ==, 1);
        g_assert_cmpstr(g_ptr_array_index(f.plugins.problems, 0), ==,
                        "stop: The provider was asked for the stop 0 s ago and this machine still runs");
        g_assert_false(stop_was_asked(f.stop));
        g_assert_cmpuint(f.steps, >=, 1);
        g_assert_true(handlers_hear_that_it_is_off(&f));
        end(&f);
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata) {
        gboolean *later = userdata;

        *later = TRUE;
        return 0;
}

static void test_what_is_over_is_not_given_up(void) {
        StopFixture f = {};
        gboolean later = FALSE;

        start(&f, 20 * USEC_PER_MSEC);
        stop_resume_asked(f.stop);
        stop_over(f.stop);
        g_assert_false(stop_was_asked(f.stop));
        /* What was due has been done when something due later is. */
        g_assert_cmpint(sd_event_add_time_relative(f.plugins.bus.event, NULL, CLOCK_MONOTONIC, 200 * USEC_PER_MSEC, 1,
                                                   on_later, &later),
                        >=, 0);
        run_until(f.plugins.bus.event, later);
        g_assert_cmpuint(f.plugins.problems->len, ==, 0);
        end(&f);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/stop/it-is-given-up", test_it_is_given_up);
        g_test_add_func("/stop/what-is-over-is-not-given-up", test_what_is_over_is_not_given_up);
        return g_test_run();
}
