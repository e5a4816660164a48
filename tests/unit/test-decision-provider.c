/* SPDX-License-Identifier: Apache-2.0 */

/* The end of a stop: until when it can be called off, and what the provider's answers do to it. */

#include <errno.h>

#include "decision-fixture.h"

static void test_too_late_to_cancel(Fixture *f, gconstpointer data) {
        reach_provider(f);
        decision_provider_asked(f->decision, f->now);
        g_assert_cmpint(decision_cancel(f->decision, f->now, "too late"), ==, -EALREADY);
        decision_provider_accepted(f->decision, f->now, "aws stops i-1");
        step(f);
        assert_state(f, STATE_STOPPED);
        g_assert_cmpstr(f->outcome.reason, ==, "aws stops i-1");
        run_load(f, 60, 90);
        assert_state(f, STATE_STOPPED);
        decision_restart_clock(f->decision, f->now, "resumed");
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_false(decision_was_asked(f->decision));
}

static void test_provider_is_called_once(Fixture *f, gconstpointer data) {
        reach_provider(f);
        g_assert_false(step(f)->call_provider);
        run_load(f, 60, 0);
        g_assert_false(f->outcome.call_provider);
        assert_state(f, STATE_STOPPING);
}

/* The daemon may wait for a disk between "call it" and the call. */
static void test_until_the_provider_is_asked_a_hold_ends_it(Fixture *f, gconstpointer data) {
        reach_provider(f);
        f->around.block_hold = "alice: pytest";
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "held by alice: pytest");
        decision_provider_asked(f->decision, f->now);
        g_assert_false(decision_was_asked(f->decision));
}

static void test_until_the_provider_is_asked_activity_ends_it(Fixture *f, gconstpointer data) {
        reach_provider(f);
        run_load(f, 30, 90);
        assert_state(f, STATE_ACTIVE);
}

static void test_once_the_provider_is_asked_nothing_ends_it(Fixture *f, gconstpointer data) {
        reach_provider(f);
        decision_provider_asked(f->decision, f->now);
        f->around.block_hold = "alice: pytest";
        run_load(f, 30, 90);
        assert_state(f, STATE_STOPPING);
}

static void set_config(Fixture *f, const char *text) {
        Config *config = configure(text);

        g_assert_nonnull(config);
        decision_set_config(f->decision, config);
        config_unref(config);
}

/* What the settings say now it has to have been for this long. */
static void test_longer_naptime_ends_it(Fixture *f, gconstpointer data) {
        reach_warning(f);
        set_config(f, "{\"naptime_minutes\": 29}");
        step(f);
        assert_state(f, STATE_WARNING);
        set_config(f, "{\"naptime_minutes\": 600}");
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "the settings were changed: it has not been idle for long enough");
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->outcome.idle_since + 600 * 60 * SECOND + WARNING);
}

static void test_longer_naptime_ends_what_waits_to_be_asked(Fixture *f, gconstpointer data) {
        reach_provider(f);
        set_config(f, "{\"naptime_minutes\": 600}");
        step(f);
        assert_state(f, STATE_ACTIVE);
        decision_provider_asked(f->decision, f->now);
        g_assert_false(decision_was_asked(f->decision));
}

static void test_longer_minimum_uptime_ends_it(Fixture *f, gconstpointer data) {
        f->around.up_since = START;
        reach_warning(f);
        set_config(f, "{\"min_uptime_minutes\": 600}");
        step(f);
        assert_state(f, STATE_ACTIVE);
}

static void test_longer_warning_begins_anew(Fixture *f, gconstpointer data) {
        uint64_t told;

        reach_warning(f);
        told = f->outcome.next_stop;
        /* Nobody is stopped sooner than he was told. */
        set_config(f, "{\"warning_minutes\": 1}");
        step(f);
        assert_state(f, STATE_WARNING);
        g_assert_cmpuint(f->outcome.next_stop, ==, told);
        set_config(f, "{\"warning_minutes\": 60}");
        step(f);
        assert_state(f, STATE_ACTIVE);
        settle(f);
        assert_state(f, STATE_WARNING);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + 3600 * SECOND);
}

static void test_settings_end_no_request(Fixture *f, gconstpointer data) {
        const StopRequest request = { .delay = 60 * SECOND, .reason = "alice: going home" };

        begin(f);
        g_assert_cmpint(decision_request_stop(f->decision, f->now, &request), ==, 0);
        step(f);
        set_config(f, "{\"naptime_minutes\": 600, \"warning_minutes\": 600}");
        step(f);
        assert_state(f, STATE_WARNING);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + 60 * SECOND);
}

/* Handlers, delay holds and the provider have their own time. */
static void test_once_it_stops_nobody_knows_when(Fixture *f, gconstpointer data) {
        reach_warning(f);
        run_load(f, 295, 0);
        f->now += 6 * SECOND;
        add_sample(f, 0);
        /* A second late, and everybody is asked once more. */
        g_assert_true(step(f)->look);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now);
        settle(f);
        assert_state(f, STATE_STOPPING);
        g_assert_cmpuint(f->outcome.next_stop, ==, 0);
        f->around.ready = TRUE;
        settle(f);
        g_assert_true(f->outcome.call_provider);
        decision_provider_retry(f->decision, f->now, f->now + 30 * SECOND, "throttled");
        g_assert_cmpuint(step(f)->next_stop, ==, 0);
}

static void test_no_answer_without_a_question(Fixture *f, gconstpointer data) {
        reach_warning(f);
        decision_provider_asked(f->decision, f->now);
        decision_provider_accepted(f->decision, f->now, "nobody asked");
        decision_provider_refused(f->decision, f->now, "nobody asked");
        decision_rehearsed(f->decision, f->now, "nobody asked");
        step(f);
        assert_state(f, STATE_WARNING);
        g_assert_null(decision_refusal(f->decision));
}

static void test_retry(Fixture *f, gconstpointer data) {
        reach_provider(f);
        decision_provider_asked(f->decision, f->now);
        decision_provider_retry(f->decision, f->now, f->now + 30 * SECOND, "aws throttles");
        step(f);
        assert_state(f, STATE_STOPPING);
        g_assert_cmpstr(f->outcome.reason, ==, "aws throttles");
        g_assert_false(f->outcome.call_provider);
        g_assert_cmpuint(f->outcome.next_step, ==, f->now + 30 * SECOND);
        run_load(f, 25, 0);
        g_assert_false(f->outcome.look);
        /* A new look comes before the new call. */
        f->now += 5 * SECOND;
        add_sample(f, 0);
        g_assert_true(step(f)->look);
        add_sample(f, 0);
        g_assert_true(step(f)->call_provider);
}

static void test_activity_between_retries(Fixture *f, gconstpointer data) {
        reach_provider(f);
        decision_provider_asked(f->decision, f->now);
        decision_provider_retry(f->decision, f->now, f->now + 300 * SECOND, "aws throttles");
        run_load(f, 30, 90);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpint(decision_cancel(f->decision, f->now, "nothing to cancel"), ==, 0);
}

/* Nobody has refused where there was nobody to ask: the latest word on that counts, until a provider spoke. */
static void test_missing_provider_latches(Fixture *f, gconstpointer data) {
        begin(f);
        decision_latch(f->decision, "no provider");
        decision_latch(f->decision, "two providers");
        g_assert_cmpstr(decision_refusal(f->decision), ==, "two providers");
        g_assert_false(decision_provider_has_refused(f->decision));
        run_load(f, 7200, 0);
        assert_state(f, STATE_IDLE);
        decision_rearm(f->decision, f->now);
        add_sample(f, 0);
        settle(f);
        assert_state(f, STATE_WARNING);
}

static void test_refusal_latches(Fixture *f, gconstpointer data) {
        reach_provider(f);
        decision_provider_asked(f->decision, f->now);
        decision_provider_refused(f->decision, f->now, "aws refused ec2:StopInstances on i-1; snooze provider check");
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpstr(f->outcome.reason, ==, "aws refused ec2:StopInstances on i-1; snooze provider check");
        g_assert_cmpuint(f->outcome.next_stop, ==, 0);
        run_load(f, 7200, 0);
        assert_state(f, STATE_IDLE);
        decision_rearm(f->decision, f->now);
        settle(f);
        assert_state(f, STATE_WARNING);
}

static void test_rehearsal_waits_for_another_naptime(Fixture *f, gconstpointer data) {
        reach_provider(f);
        decision_rehearsed(f->decision, f->now, "dry run: would have stopped");
        step(f);
        assert_state(f, STATE_STOPPED);
        g_assert_cmpuint(f->outcome.next_step, ==, f->now);
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpstr(f->outcome.reason, ==, "dry run: would have stopped");
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + NAPTIME + WARNING);
        run_load(f, 1795, 0);
        assert_state(f, STATE_IDLE);
        f->now += 5 * SECOND;
        add_sample(f, 0);
        settle(f);
        assert_state(f, STATE_WARNING);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        ADD("cancel/too-late", test_too_late_to_cancel);
        ADD("provider/called-once", test_provider_is_called_once);
        ADD("provider/held-before-it-is-asked", test_until_the_provider_is_asked_a_hold_ends_it);
        ADD("provider/activity-before-it-is-asked", test_until_the_provider_is_asked_activity_ends_it);
        ADD("provider/nothing-ends-it-once-asked", test_once_the_provider_is_asked_nothing_ends_it);
        ADD("settings/longer-naptime", test_longer_naptime_ends_it);
        ADD("settings/longer-naptime-at-the-end", test_longer_naptime_ends_what_waits_to_be_asked);
        ADD("settings/longer-minimum-uptime", test_longer_minimum_uptime_ends_it);
        ADD("settings/longer-warning", test_longer_warning_begins_anew);
        ADD("settings/request", test_settings_end_no_request);
        ADD("stopping/next-stop", test_once_it_stops_nobody_knows_when);
        ADD("provider/not-asked", test_no_answer_without_a_question);
        ADD("provider/retry", test_retry);
        ADD("provider/activity-between-retries", test_activity_between_retries);
        ADD("provider/missing", test_missing_provider_latches);
        ADD("provider/refusal", test_refusal_latches);
        ADD("provider/rehearsal", test_rehearsal_waits_for_another_naptime);
        return g_test_run();
}
