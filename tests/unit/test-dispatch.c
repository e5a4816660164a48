/* SPDX-License-Identifier: Apache-2.0 */

/* An event on its way through its handlers: who is asked when, who is not, and what has to be kept before. */

#include <poll.h>

#include "daemon/plugin/dispatch.h"
#include "plugin-fixture.h"

#define HANDLER "\"EventHandler\""
#define EVENTS(priority) ", \"events\": {\"custom.*\": {\"priority\": " #priority "}}"

typedef struct Watched {
        Dispatch *dispatch;
        gboolean slow;   /* what handlers said is kept by the test */
        unsigned to_keep;
        gboolean over, handled;
        JsonArray *results;
} Watched;

static void on_ended(JsonObject *row, void *userdata) {
        Watched *watched = userdata;

        if (watched->slow)
                watched->to_keep++;
        else
                dispatch_kept(watched->dispatch);
}

static void on_over(gboolean handled, JsonArray *results, void *userdata) {
        Watched *watched = userdata;

        g_assert_false(watched->over);
        watched->over = TRUE;
        watched->handled = handled;
        watched->results = json_array_ref(results);
}

static JsonObject *event_new(uint64_t left) {
        JsonObject *event = json_object_new();

        json_object_set_string_member(event, "id", "1");
        json_object_set_string_member(event, "type", "custom.test");
        json_object_set_string_member(event, "source", "alice");
        json_object_set_int_member(event, "severity", 1);
        json_object_set_int_member(event, "deadline", (gint64) usec_add(clock_realtime(), left));
        return event;
}

static void begin(PluginFixture *f, Watched *watched, const DispatchParameters *parameters, uint64_t left) {
        g_autoptr(JsonObject) event = event_new(left);
        DispatchParameters with = *parameters;

        with.event = event;
        with.ended = on_ended;
        with.over = on_over;
        with.userdata = watched;
        watched->dispatch = dispatch_new(f->plugins, &with);
}

/* The time until the deadline is theirs, not that of their start. */
static void load(PluginFixture *f, const char *const *ids) {
        for (; *ids; ids++) {
                plugin_load(plugins_find(f->plugins, *ids), NULL, NULL);
                run_until(f->bus.event, fixture_state(f, *ids) == PLUGIN_RUNNING);
        }
}
#define LOAD(f, ...) load(f, (const char *const[]) { __VA_ARGS__, NULL })

static unsigned asked(PluginFixture *f, const char *id) {
        return fixture_noted(f, id, "HandleEvent");
}

static void expect(Watched *watched, const char *const *plugins) {
        guint n = g_strv_length((char **) plugins);

        g_assert_true(watched->over);
        g_assert_cmpuint(json_array_get_length(watched->results), ==, n);
        for (guint i = 0; i < n; i++)
                g_assert_cmpstr(json_get_string(json_array_get_object_element(watched->results, i), "plugin", ""), ==,
                                plugins[i]);
        json_array_unref(watched->results);
}
#define EXPECT(watched, ...) expect(watched, (const char *const[]) { __VA_ARGS__ __VA_OPT__(,) NULL })

static JsonArray *result_of(const char *plugin, gboolean handled) {
        JsonArray *results = json_array_new();
        JsonObject *row = json_object_new();

        json_object_set_string_member(row, "plugin", plugin);
        json_object_set_boolean_member(row, "handled", handled);
        json_array_add_object_element(results, row);
        return results;
}

static void test_equal_ones_side_by_side(void) {
        Watched watched = {};
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "hang-event", HANDLER, EVENTS(5));
        fixture_add(&f, "two", "hang-event", HANDLER, EVENTS(5));
        fixture_add(&f, "late", "good", HANDLER, EVENTS(1));
        fixture_start(&f, "{}");
        LOAD(&f, "one", "two", "late");
        begin(&f, &watched, &(const DispatchParameters) {}, 4 * USEC_PER_SEC);
        run_until(f.bus.event, asked(&f, "one") == 1 && asked(&f, "two") == 1);
        g_assert_cmpuint(asked(&f, "late"), ==, 0);
        run_until(f.bus.event, watched.over);
        g_assert_true(watched.handled);
        g_assert_cmpstr(json_get_string(json_array_get_object_element(watched.results, 2), "plugin", ""), ==, "late");
        for (guint i = 0; i < 2; i++) {
                JsonObject *row = json_array_get_object_element(watched.results, i);

                /* Half of the time each: two steps, and both of this one at once. */
                g_assert_true(json_get_boolean(row, "timed_out", FALSE));
                g_assert_cmpint(json_get_int(row, "usec", 0), <, 3 * USEC_PER_SEC);
        }
        json_array_unref(watched.results);
        fixture_down(&f);
}

static void test_nobody_is_asked_before_the_answers_are_kept(void) {
        Watched watched = { .slow = TRUE };
        g_auto(GStrv) so_far = NULL;
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "one", "good", HANDLER, EVENTS(5));
        fixture_add(&f, "two", "good", HANDLER, EVENTS(5));
        fixture_add(&f, "late", "good", HANDLER, EVENTS(1));
        fixture_start(&f, "{}");
        LOAD(&f, "one", "two", "late");
        begin(&f, &watched, &(const DispatchParameters) {}, USEC_PER_MINUTE);
        run_until(f.bus.event, watched.to_keep == 2);
        dispatch_kept(watched.dispatch);
        so_far = dispatch_asked(watched.dispatch);
        g_assert_cmpuint(g_strv_length(so_far), ==, 2);
        g_assert_cmpuint(asked(&f, "late"), ==, 0);
        dispatch_kept(watched.dispatch);
        run_until(f.bus.event, watched.to_keep == 3);
        g_assert_cmpuint(asked(&f, "late"), ==, 1);
        g_assert_false(watched.over);
        dispatch_kept(watched.dispatch);
        run_until(f.bus.event, watched.over);
        json_array_unref(watched.results);
        fixture_down(&f);
}

static void test_who_ended_before_is_not_asked_again(void) {
        g_autoptr(JsonArray) before = result_of("done", FALSE);
        Watched watched = {};
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "done", "good", HANDLER, EVENTS(5));
        fixture_add(&f, "open", "good", HANDLER, EVENTS(5));
        fixture_add(&f, "late", "good", HANDLER, EVENTS(1));
        fixture_start(&f, "{}");
        begin(&f, &watched, &(const DispatchParameters) { .results = before }, USEC_PER_MINUTE);
        run_until(f.bus.event, watched.over);
        g_assert_cmpuint(asked(&f, "done"), ==, 0);
        EXPECT(&watched, "done", "open", "late");
        fixture_down(&f);
}

static void test_mode_first(void) {
        g_autoptr(JsonArray) before = result_of("early", TRUE);
        Watched watched = {}, again = {};
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "early", "good", HANDLER, EVENTS(5));
        fixture_add(&f, "spared", "good", HANDLER, EVENTS(1));
        fixture_start(&f, "{}");
        begin(&f, &watched, &(const DispatchParameters) { .first = TRUE }, USEC_PER_MINUTE);
        run_until(f.bus.event, watched.over);
        EXPECT(&watched, "early");
        /* Nor by a daemon that goes on with it. */
        begin(&f, &again, &(const DispatchParameters) { .first = TRUE, .results = before }, USEC_PER_MINUTE);
        run_until(f.bus.event, again.over);
        g_assert_true(again.handled);
        EXPECT(&again, "early");
        g_assert_cmpuint(asked(&f, "early"), ==, 1);
        g_assert_cmpuint(asked(&f, "spared"), ==, 0);
        fixture_down(&f);
}

static void test_stopped_it_asks_nobody_else(void) {
        Watched watched = { .slow = TRUE };
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "early", "good", HANDLER, EVENTS(5));
        fixture_add(&f, "spared", "good", HANDLER, EVENTS(1));
        fixture_start(&f, "{}");
        begin(&f, &watched, &(const DispatchParameters) {}, USEC_PER_MINUTE);
        run_until(f.bus.event, watched.to_keep == 1);
        dispatch_stop(watched.dispatch);
        dispatch_kept(watched.dispatch);
        run_until(f.bus.event, watched.over);
        EXPECT(&watched, "early");
        g_assert_cmpuint(asked(&f, "spared"), ==, 0);
        fixture_down(&f);
}

static void test_a_cancellation_waits_for_nobody(void) {
        const char *const only[] = { "early", "late", NULL };
        Watched watched = {};
        PluginFixture f = {};

        fixture_prepare(&f);
        fixture_add(&f, "early", "hang-event", HANDLER, EVENTS(5));
        fixture_add(&f, "late", "good", HANDLER, EVENTS(1));
        fixture_add(&f, "unasked", "good", HANDLER, EVENTS(3));
        fixture_start(&f, "{\"plugins\": {\"timeouts\": {\"early\": {\"event\": 2}}}}");
        LOAD(&f, "early", "late");
        /* Also where the thing itself should have happened by now. */
        begin(&f, &watched, &(const DispatchParameters) { .cancelled = TRUE, .only = only }, 0);
        run_until(f.bus.event, watched.over);
        EXPECT(&watched, "late", "early");
        g_assert_cmpuint(asked(&f, "unasked"), ==, 0);
        fixture_down(&f);
}

/* Its handler has closed the channel, which shows when the event is written to it: like one that died while it was at
 * it, it is asked when it is back. */
static void test_channel_closed_under_the_event(void) {
        Watched watched = {};
        PluginFixture f = {};
        struct pollfd end = {};
        JsonObject *row;

        fixture_prepare(&f);
        fixture_add(&f, "one", "channel-shut", HANDLER ", \"IdleCheck\"", EVENTS(5));
        fixture_start(&f, "{}");
        fixture_round(&f, TRUE);
        end.fd = sd_bus_get_fd(channel_bus(plugins_find(f.plugins, "one")->process->channel));
        g_assert_cmpint(poll(&end, 1, 30000), ==, 1);
        begin(&f, &watched, &(const DispatchParameters) {}, USEC_PER_MINUTE);
        run_until(f.bus.event, watched.over);
        row = json_array_get_object_element(watched.results, 0);
        g_assert_cmpstr(json_get_string(row, "error", ""), ==, "");
        g_assert_true(watched.handled);
        g_assert_cmpuint(fixture_noted(&f, "one", "starts"), ==, 2);
        g_assert_cmpuint(asked(&f, "one"), ==, 1);
        json_array_unref(watched.results);
        fixture_down(&f);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/dispatch/side-by-side", test_equal_ones_side_by_side);
        g_test_add_func("/dispatch/kept-first", test_nobody_is_asked_before_the_answers_are_kept);
        g_test_add_func("/dispatch/goes-on", test_who_ended_before_is_not_asked_again);
        g_test_add_func("/dispatch/first", test_mode_first);
        g_test_add_func("/dispatch/stopped", test_stopped_it_asks_nobody_else);
        g_test_add_func("/dispatch/cancelled", test_a_cancellation_waits_for_nobody);
        g_test_add_func("/dispatch/channel-closed", test_channel_closed_under_the_event);
        return g_test_run();
}
