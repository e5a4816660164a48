/* SPDX-License-Identifier: Apache-2.0 */

/* What a trace cannot tell (tests/scenarios has the rest): looks that are answered late or not at all, requested
 * stops, restarts of the daemon, and what people are told. */

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/names.h"
#include "decision-fixture.h"
#include "util/json.h"

static void test_clock_and_next_stop(Fixture *f, gconstpointer data) {
        begin(f);
        g_assert_cmpuint(f->outcome.idle_since, ==, START);
        g_assert_cmpuint(f->outcome.next_stop, ==, START + NAPTIME + WARNING);
        g_assert_cmpuint(f->outcome.next_step, ==, START + NAPTIME);
        f->around.timed_hold_until = START + 2 * NAPTIME;
        g_assert_cmpuint(step(f)->next_stop, ==, START + 2 * NAPTIME + WARNING);
        f->around.up_since = START + 3 * NAPTIME;
        g_assert_cmpuint(step(f)->next_stop, ==, START + 3 * NAPTIME + 600 * SECOND + WARNING);
        f->around.block_hold = "alice: pytest";
        g_assert_cmpuint(step(f)->next_stop, ==, 0);
        g_assert_cmpstr(f->outcome.reason, ==, "idle, held by alice: pytest");
}

/* Words are for those who ask: a quiet step has them for a change of state alone, and says the same. */
static void test_quiet(Fixture *f, gconstpointer data) {
        g_autofree char *reason = NULL;

        f->around.quiet = TRUE;
        begin(f);
        f->around.block_hold = "alice: pytest";
        g_assert_null(step(f)->reason);
        reason = decision_reason(f->decision, f->now, &f->around);
        g_assert_cmpstr(reason, ==, "idle, held by alice: pytest");
        run_load(f, 60, 80);
        assert_state(f, STATE_ACTIVE);
        g_free(reason);
        reason = decision_reason(f->decision, f->now, &f->around);
        g_assert_cmpstr(reason, ==, "cpu 80 % ≥ 5 %");
}

/* What a check is answered names who tells: not one that a sufficient plugin overrides, nor one that may be ignored.
 */
static void test_assessment(Fixture *f, gconstpointer data) {
        g_autofree char *reason = NULL;
        gboolean idle = FALSE;

        begin(f);
        reason = decision_assessment(f->decision, f->now, &idle);
        g_assert_true(idle);
        g_assert_cmpstr(reason, ==, "every source that decides says idle");
        decision_add_vote(f->decision, vote_new("batch", VERDICT_IDLE, "no jobs", f->now, f->now));
        decision_add_vote(f->decision, vote_new("ignored", VERDICT_UNKNOWN, "no answer", f->now, f->now));
        decision_add_vote(f->decision, vote_new("shell", VERDICT_BUSY, "make", f->now, f->now));
        run_load(f, 60, 80);
        g_free(reason);
        reason = decision_assessment(f->decision, f->now, &idle);
        g_assert_false(idle);
        g_assert_cmpstr(reason, ==, "shell: make");
}

/* The line changes if and only if a verdict does. */
static void test_verdicts(Fixture *f, gconstpointer data) {
        g_autofree char *idle = NULL, *later = NULL, *busy = NULL;

        begin(f);
        idle = decision_verdicts(f->decision, f->now);
        g_assert_nonnull(strstr(idle, "cpu=idle "));
        run_load(f, 60, 1);
        later = decision_verdicts(f->decision, f->now);
        g_assert_cmpstr(later, ==, idle);
        run_load(f, 60, 80);
        busy = decision_verdicts(f->decision, f->now);
        g_assert_nonnull(strstr(busy, "cpu=busy "));
}

static void test_activity_resets(Fixture *f, gconstpointer data) {
        begin(f);
        run_load(f, 60, 80);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpuint(f->outcome.idle_since, ==, 0);
        g_assert_cmpuint(f->outcome.next_stop, ==, 0);
        g_assert_cmpstr(f->outcome.reason, ==, "cpu 80 % ≥ 5 %");
}

static void test_first_sample_has_no_rates(Fixture *f, gconstpointer data) {
        Sample sample = { .monotonic = f->now };

        sample.reading[METRIC_INPUT] = READING_OK;
        sample.value[METRIC_INPUT] = 5000;
        decision_add_sample(f->decision, &sample);
        step(f);
        /* Input says idle; what has not been measured yet does not. */
        g_assert_false(f->outcome.idle);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "cpu not measured yet");
}

static void test_look_is_asked_once(Fixture *f, gconstpointer data) {
        decision_expect_source(f->decision, "db", 0, f->now);
        add_vote(f, "db", VERDICT_IDLE);
        begin(f);
        for (unsigned i = 0; i < 359; i++) {
                f->now += 5 * SECOND;
                add_sample(f, 0);
                add_vote(f, "db", VERDICT_IDLE);
                g_assert_false(step(f)->look);
        }
        f->now += 5 * SECOND;
        add_sample(f, 0);
        g_assert_true(step(f)->look);
        g_assert_false(step(f)->look);
        assert_state(f, STATE_IDLE);

        /* A vote that had been under way when the look was asked for is no answer. */
        f->now += SECOND;
        add_sample(f, 0);
        add_vote_begun(f, "db", VERDICT_IDLE, f->now - 2 * SECOND);
        step(f);
        assert_state(f, STATE_IDLE);
        add_vote_begun(f, "db", VERDICT_IDLE, f->now - SECOND);
        step(f);
        assert_state(f, STATE_WARNING);
}

static void to_the_look(Fixture *f) {
        add_vote(f, "db", VERDICT_IDLE);
        begin(f);
        while (!f->outcome.look) {
                f->now += 5 * SECOND;
                add_sample(f, 0);
                add_vote_begun(f, "db", VERDICT_IDLE, f->now - SECOND);
                step(f);
        }
        g_assert_cmpuint(f->now, ==, START + NAPTIME);
}

static void test_look_without_an_answer(Fixture *f, gconstpointer data) {
        unsigned looks = 0;

        to_the_look(f);
        for (unsigned i = 0; i < 24; i++) {
                f->now += 5 * SECOND;
                add_sample(f, 0);
                looks += step(f)->look;
                assert_state(f, STATE_IDLE);
        }
        /* Given up after 15 s, and tried again a minute later: not in a loop. */
        g_assert_cmpuint(looks, ==, 1);
}

/* What a reason says of a look: who is waited for, and after one that found an unknown when the next comes. */
static void test_look_is_explained(Fixture *f, gconstpointer data) {
        to_the_look(f);
        add_vote_begun(f, "late", VERDICT_IDLE, f->now - SECOND);
        add_sample(f, 0);
        add_vote(f, "db", VERDICT_IDLE);
        g_assert_cmpstr(step(f)->reason, ==, "every source says idle; waiting for late to say so again");
        f->now += SECOND;
        add_vote(f, "late", VERDICT_UNKNOWN);
        step(f);
        f->now += SECOND;
        add_vote(f, "late", VERDICT_IDLE);
        g_assert_cmpstr(step(f)->reason, ==,
                        "every source says idle; one did not when asked again, the next try is in 59 s");
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + 59 * SECOND + WARNING);
        run_load(f, 55, 0);
        g_assert_false(f->outcome.look);
        f->now += 4 * SECOND;
        add_sample(f, 0);
        g_assert_true(step(f)->look);
}

/* It is waited for as long as its plugin has to answer, whatever else is said of sources; and once more where that
 * plugin was being asked already when the look began. */
static void test_look_at_a_slow_plugin(Fixture *f, gconstpointer data) {
        decision_expect_source(f->decision, "db", 20 * SECOND, f->now);
        to_the_look(f);
        for (unsigned i = 0; i < 7; i++) {
                f->now += 5 * SECOND;
                add_sample(f, 0);
                g_assert_false(step(f)->look);
                g_assert_cmpuint(f->outcome.next_step, ==, START + NAPTIME + 45 * SECOND);
                g_assert_cmpstr(f->outcome.reason, ==, "every source says idle; waiting for db to say so again");
        }
        f->now += 4 * SECOND;
        add_sample(f, 0);
        add_vote_begun(f, "db", VERDICT_IDLE, f->now - 20 * SECOND);
        step(f);
        assert_state(f, STATE_WARNING);
}

/* The time-out may change: by another version of the plugin, and with the configuration. */
static void test_vote_of_a_slow_plugin(Fixture *f, gconstpointer data) {
        decision_expect_source(f->decision, "db", 100 * SECOND, f->now);
        add_vote(f, "db-ignored", VERDICT_IDLE);
        add_vote(f, "db/main", VERDICT_IDLE);
        add_vote(f, "db", VERDICT_IDLE);
        begin(f);
        run_load(f, 220, 0);
        g_assert_true(f->outcome.idle);
        run_load(f, 5, 0);
        g_assert_false(f->outcome.idle);
        decision_expect_source(f->decision, "db", 110 * SECOND, f->now);
        g_assert_true(step(f)->idle);
        decision_expect_source(f->decision, "db", 90 * SECOND, f->now);
        g_assert_false(step(f)->idle);
}

static void test_look_ignores_who_is_ignored(Fixture *f, gconstpointer data) {
        to_the_look(f);
        f->now += 10 * SECOND;
        add_sample(f, 0);
        step(f);
        assert_state(f, STATE_IDLE);
        f->now += 5 * SECOND;
        add_sample(f, 0);
        step(f);
        assert_state(f, STATE_WARNING);
}

static void test_look_finds_somebody(Fixture *f, gconstpointer data) {
        to_the_look(f);
        f->now += SECOND;
        add_sample(f, 0);
        add_vote(f, "db", VERDICT_BUSY);
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "db: because");
}

static void test_look_with_unknown_enters_nothing(Fixture *f, gconstpointer data) {
        to_the_look(f);
        f->now += SECOND;
        add_sample(f, 0);
        add_vote(f, "db", VERDICT_UNKNOWN);
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpstr(f->outcome.reason, ==, "db does not know: because");
        g_assert_cmpuint(f->outcome.blind_since, ==, f->now);
        f->now += SECOND;
        add_vote(f, "db", VERDICT_IDLE);
        g_assert_false(step(f)->look);
        g_assert_cmpuint(f->outcome.blind_since, ==, 0);
}

static void test_old_votes_are_dropped(Fixture *f, gconstpointer data) {
        begin(f);
        add_vote_begun(f, "db", VERDICT_BUSY, f->now);
        add_vote_begun(f, "db", VERDICT_IDLE, f->now - SECOND);
        step(f);
        assert_state(f, STATE_ACTIVE);
}

static void test_stale_vote(Fixture *f, gconstpointer data) {
        add_vote(f, "db", VERDICT_IDLE);
        begin(f);
        run_load(f, 125, 0);
        g_assert_true(f->outcome.idle);
        run_load(f, 5, 0);
        g_assert_false(f->outcome.idle);
        g_assert_cmpstr(f->outcome.reason, ==, "db: has not answered for 2 min 10 s");
        assert_state(f, STATE_IDLE);
        /* Stale since 125 s, and the grace is over after 180 more. */
        run_load(f, 175, 0);
        assert_state(f, STATE_IDLE);
        run_load(f, 5, 0);
        assert_state(f, STATE_ACTIVE);
}

static void test_valid_seconds(Fixture *f, gconstpointer data) {
        Vote *vote = vote_new("db", VERDICT_IDLE, "quiet", f->now, f->now);

        vote->details = json_object_new();
        json_object_set_int_member(vote->details, "valid_seconds", 300);
        decision_add_vote(f->decision, vote);
        begin(f);
        run_load(f, 365, 0);
        g_assert_true(f->outcome.idle);
        run_load(f, 5, 0);
        g_assert_false(f->outcome.idle);
}

static void test_silent_newcomer(Fixture *f, gconstpointer data) {
        begin(f);
        decision_expect_source(f->decision, "db", 0, f->now);
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_false(f->outcome.idle);
        g_assert_cmpstr(f->outcome.reason, ==, "db: has not answered yet");
        decision_forget_source(f->decision, "db");
        g_assert_true(step(f)->idle);
}

static void test_subjects_follow_their_plugin(Fixture *f, gconstpointer data) {
        begin(f);
        add_vote(f, "sessions/alice", VERDICT_BUSY);
        add_vote(f, "sessions", VERDICT_BUSY);
        step(f);
        assert_state(f, STATE_ACTIVE);
        f->now += 5 * SECOND;
        add_sample(f, 0);
        /* Alice has logged out: the plugin tells of her no more. */
        add_vote(f, "sessions", VERDICT_IDLE);
        step(f);
        assert_state(f, STATE_IDLE);
        decision_forget_source(f->decision, "sessions");
        {
                g_autoptr(GPtrArray) explained = decision_explain(f->decision, f->now);

                g_assert_cmpuint(explained->len, ==, METRIC_COUNT);
        }
}

/* A plugin that tells of more subjects than can be remembered is not believed to be idle. */
static void test_too_many_subjects(Fixture *f, gconstpointer data) {
        begin(f);
        add_vote(f, "flood", VERDICT_IDLE);
        f->now += 5 * SECOND;
        add_sample(f, 0);
        for (unsigned i = 0; i < 3000; i++) {
                g_autofree char *name = g_strdup_printf("flood/%u", i);

                add_vote(f, name, i == 2999 ? VERDICT_BUSY : VERDICT_IDLE);
        }
        add_vote(f, "flood", VERDICT_IDLE);
        g_assert_false(step(f)->idle);
        {
                g_autoptr(GPtrArray) explained = decision_explain(f->decision, f->now);

                g_assert_cmpuint(explained->len, <=, METRIC_COUNT + 1024);
        }
}

static void test_hostile_samples(Fixture *f, gconstpointer data) {
        const double bad[] = { NAN, -1, INFINITY };

        begin(f);
        for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
                f->now += 5 * SECOND;
                add_sample(f, bad[i]);
                g_assert_false(step(f)->idle);
                assert_state(f, STATE_IDLE);
                g_assert_cmpstr(f->outcome.reason, ==, "cpu cannot be measured any more");
        }
        /* Monotonic time does not go back; a sample that says so is none. */
        f->now -= 1000 * SECOND;
        add_sample(f, 0);
        f->now += 1000 * SECOND;
        g_assert_false(step(f)->idle);
}

static void test_gap_of_samples(Fixture *f, gconstpointer data) {
        begin(f);
        run_load(f, 600, 0);
        f->now += 61 * SECOND;
        add_sample(f, 0);
        g_assert_cmpuint(step(f)->idle_since, ==, f->now);
}

static void test_no_samples_at_all(Fixture *f, gconstpointer data) {
        begin(f);
        f->now += NAPTIME + SECOND;
        step(f);
        g_assert_false(f->outcome.look);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "cpu not measured for 30 min 01 s");
}

static void test_timed_hold_in_the_warning(Fixture *f, gconstpointer data) {
        reach_warning(f);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + WARNING);
        f->around.timed_hold_until = f->now + 3600 * SECOND;
        f->around.timed_hold = "bob: lunch";
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "held by bob: lunch");
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpuint(f->outcome.idle_since, ==, START);
        g_assert_cmpstr(f->outcome.reason, ==, "idle, held for 1 h by bob: lunch");
        g_assert_cmpuint(f->outcome.next_step, ==, f->around.timed_hold_until);
}

static void test_cancel(Fixture *f, gconstpointer data) {
        reach_warning(f);
        g_assert_cmpint(decision_cancel(f->decision, f->now, "cancelled by alice"), ==, 0);
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_true(f->outcome.changed);
        g_assert_cmpint(f->outcome.previous, ==, STATE_WARNING);
        g_assert_cmpstr(f->outcome.reason, ==, "cancelled by alice");
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpuint(f->outcome.idle_since, ==, f->now);
}

static void test_pause(Fixture *f, gconstpointer data) {
        reach_warning(f);
        f->around.paused = TRUE;
        step(f);
        assert_state(f, STATE_PAUSED);
        run_load(f, 7200, 0);
        assert_state(f, STATE_PAUSED);
        g_assert_cmpuint(f->outcome.next_stop, ==, 0);
        f->around.paused = FALSE;
        decision_restart_clock(f->decision, f->now, "no longer paused");
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpuint(f->outcome.idle_since, ==, f->now);
}

static void request(Fixture *f, unsigned delay, gboolean force) {
        const StopRequest request = { .delay = delay * SECOND, .force = force, .reason = "alice: going home" };

        g_assert_cmpint(decision_request_stop(f->decision, f->now, &request), ==, 0);
        g_assert_cmpint(decision_request_stop(f->decision, f->now, &request), ==, -EALREADY);
        step(f);
}

static void test_request_asks_nobody(Fixture *f, gconstpointer data) {
        run_load(f, 60, 90);
        request(f, 0, FALSE);
        assert_state(f, STATE_STOPPING);
        g_assert_cmpstr(f->outcome.reason, ==, "alice: going home");
        g_assert_cmpuint(f->outcome.next_step, ==, f->now);
        g_assert_false(step(f)->call_provider);
        f->around.ready = TRUE;
        g_assert_true(step(f)->call_provider);
}

static void test_request_with_delay(Fixture *f, gconstpointer data) {
        run_load(f, 60, 90);
        request(f, 60, FALSE);
        assert_state(f, STATE_WARNING);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + 60 * SECOND);
        g_assert_true(decision_stop_requested(f->decision, NULL));
        run_load(f, 55, 90);
        assert_state(f, STATE_WARNING);
        run_load(f, 5, 90);
        assert_state(f, STATE_STOPPING);
}

/* Who was warned was told another time and another reason. */
static void test_request_in_a_warning(Fixture *f, gconstpointer data) {
        begin(f);
        run_load(f, 1800, 0);
        settle(f);
        assert_state(f, STATE_WARNING);
        g_assert_false(f->outcome.renewed);
        request(f, 60, FALSE);
        assert_state(f, STATE_WARNING);
        g_assert_true(!f->outcome.changed && f->outcome.renewed);
        g_assert_cmpstr(f->outcome.reason, ==, "alice: going home");
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + 60 * SECOND);
        g_assert_false(step(f)->renewed);
        g_assert_cmpint(decision_cancel(f->decision, f->now, "no"), ==, 0);
        request(f, 30, FALSE);
        g_assert_true(f->outcome.renewed);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + 30 * SECOND);
        g_assert_cmpint(decision_cancel(f->decision, f->now, "no"), ==, 0);
        g_assert_true(step(f)->changed);
        g_assert_false(f->outcome.renewed);
}

static void test_request_and_holds(Fixture *f, gconstpointer data) {
        run_load(f, 60, 90);
        request(f, 60, FALSE);
        f->around.block_hold = "bob: backup";
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_false(decision_stop_requested(f->decision, NULL));
        request(f, 60, TRUE);
        step(f);
        assert_state(f, STATE_WARNING);
}

/* What a postponement leaves is a hold, and those do not end it. */
static void test_postponing_a_forced_request(Fixture *f, gconstpointer data) {
        uint64_t clock;

        begin(f);
        run_load(f, 60, 0);
        clock = f->outcome.idle_since;
        g_assert_false(decision_postpone(f->decision, "bob postponed"));
        request(f, 60, FALSE);
        g_assert_null(decision_stop_forced(f->decision));
        g_assert_false(decision_postpone(f->decision, "bob postponed"));
        g_assert_cmpint(decision_cancel(f->decision, clock, "no"), ==, 0);
        step(f);
        request(f, 60, TRUE);
        g_assert_cmpstr(decision_stop_forced(f->decision), ==, "alice: going home");
        f->around.timed_hold_until = f->now + NAPTIME;
        step(f);
        assert_state(f, STATE_WARNING);
        g_assert_true(decision_postpone(f->decision, "bob postponed"));
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "bob postponed");
        g_assert_null(decision_stop_forced(f->decision));
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpuint(f->outcome.idle_since, ==, clock);
}

static void test_request_while_paused(Fixture *f, gconstpointer data) {
        begin(f);
        f->around.paused = TRUE;
        step(f);
        assert_state(f, STATE_PAUSED);
        request(f, 60, FALSE);
        assert_state(f, STATE_WARNING);
        g_assert_cmpint(decision_cancel(f->decision, f->now, "no"), ==, 0);
        step(f);
        assert_state(f, STATE_ACTIVE);
        step(f);
        assert_state(f, STATE_PAUSED);
}

static void restart_daemon(Fixture *f, uint64_t gap) {
        g_autoptr(JsonObject) exported = decision_export(f->decision, f->now);
        g_autofree char *text = json_object_text(exported);
        g_autoptr(JsonNode) stored = json_text_parse("record", text, -1, NULL);

        decision_free(f->decision);
        f->now += gap;
        f->decision = decision_new(f->config, f->now);
        g_assert_cmpint(decision_import(f->decision, f->now, gap, gap, json_node_get_object(stored)), ==, 0);
}

static void test_restart_keeps_the_clock(Fixture *f, gconstpointer data) {
        begin(f);
        run_load(f, 600, 0);
        restart_daemon(f, 180 * SECOND);
        /* Before the first sample nothing says idle, but nothing says busy either. */
        step(f);
        assert_state(f, STATE_IDLE);
        add_sample(f, 0);
        g_assert_cmpuint(step(f)->idle_since, ==, START);
        restart_daemon(f, 181 * SECOND);
        add_sample(f, 0);
        g_assert_cmpuint(step(f)->idle_since, ==, f->now);
}

/* Written once, and from then on only that somebody watches. */
static void test_restart_with_an_old_record(Fixture *f, gconstpointer data) {
        g_autoptr(JsonObject) exported = NULL;

        begin(f);
        run_load(f, 600, 0);
        exported = decision_export(f->decision, f->now);
        run_load(f, 900, 0);
        g_assert_true(decision_is_as_exported(f->decision, f->now, 900 * SECOND, exported));
        g_assert_false(decision_is_as_exported(f->decision, f->now, 899 * SECOND, exported));

        decision_free(f->decision);
        f->now += 10 * SECOND;
        f->decision = decision_new(f->config, f->now);
        g_assert_cmpint(decision_import(f->decision, f->now, 910 * SECOND, 10 * SECOND, exported), ==, 0);
        add_sample(f, 0);
        g_assert_cmpuint(step(f)->idle_since, ==, START);

        g_assert_true(decision_is_as_exported(f->decision, f->now, 910 * SECOND, exported));
        decision_restart_clock(f->decision, f->now, "resumed");
        g_assert_false(decision_is_as_exported(f->decision, f->now, 910 * SECOND, exported));
}

static void test_restart_in_the_warning(Fixture *f, gconstpointer data) {
        reach_warning(f);
        run_load(f, 200, 0);
        restart_daemon(f, SECOND);
        add_sample(f, 0);
        settle(f);
        assert_state(f, STATE_WARNING);
        /* In full. */
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + WARNING);
}

static void test_restart_while_stopping(Fixture *f, gconstpointer data) {
        reach_provider(f);
        restart_daemon(f, SECOND);
        g_assert_false(decision_was_asked(f->decision));
        add_sample(f, 0);
        step(f);
        assert_state(f, STATE_IDLE);
}

static void test_restart_after_the_provider_was_asked(Fixture *f, gconstpointer data) {
        reach_provider(f);
        decision_provider_asked(f->decision, f->now);
        restart_daemon(f, SECOND);
        g_assert_true(decision_was_asked(f->decision));
        add_sample(f, 0);
        step(f);
        assert_state(f, STATE_STOPPING);
        g_assert_false(f->outcome.call_provider);
        decision_provider_accepted(f->decision, f->now, "it stops");
        step(f);
        assert_state(f, STATE_STOPPED);
}

static void test_restart_keeps_request_refusal_and_rehearsal(Fixture *f, gconstpointer data) {
        gboolean dry_run = FALSE;

        run_load(f, 60, 90);
        g_assert_cmpint(decision_request_stop(f->decision, f->now,
                                              &(StopRequest) { 60 * SECOND, TRUE, TRUE, "alice: going home" }),
                        ==, 0);
        step(f);
        run_load(f, 30, 90);
        restart_daemon(f, SECOND);
        g_assert_true(decision_stop_requested(f->decision, &dry_run));
        g_assert_true(dry_run);
        step(f);
        assert_state(f, STATE_WARNING);
        g_assert_cmpuint(f->outcome.next_stop, ==, f->now + 60 * SECOND);
        run_load(f, 60, 0);
        f->around.ready = TRUE;
        settle(f);
        g_assert_true(f->outcome.call_provider);
        decision_provider_refused(f->decision, f->now, "no permission");
        restart_daemon(f, SECOND);
        g_assert_cmpstr(decision_refusal(f->decision), ==, "no permission");
        g_assert_false(decision_stop_requested(f->decision, NULL));
}

static void test_malformed_export(Fixture *f, gconstpointer data) {
        const char *const bad[] = {
                "{}",
                "{\"version\": 2, \"state\": \"idle\", \"idle_age\": 0, \"asked\": false}",
                "{\"version\": 1, \"state\": \"asleep\", \"idle_age\": 0, \"asked\": false}",
                "{\"version\": 1, \"state\": \"idle\", \"idle_age\": -1, \"asked\": false}",
                "{\"version\": 1, \"state\": \"idle\", \"idle_age\": 1.5, \"asked\": false}",
                "{\"version\": 1, \"state\": \"idle\", \"idle_age\": 9223372036854775807, \"asked\": false}",
                "{\"version\": 1, \"state\": \"idle\", \"idle_age\": 0, \"asked\": 1}",
                "{\"version\": 1, \"state\": \"idle\", \"idle_age\": 0, \"asked\": false, \"refusal\": {}}",
                ("{\"version\": 1, \"state\": \"idle\", \"idle_age\": 0, \"asked\": false, \"request\": {\"delay\": "
                "1}}"),
                "{\"version\": 1, \"state\": \"idle\", \"idle_age\": 0, \"asked\": false, \"request\": []}",
        };

        begin(f);
        for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(JsonNode) node = json_text_parse("record", bad[i], -1, NULL);

                g_assert_nonnull(node);
                g_assert_cmpint(decision_import(f->decision, f->now, 0, 0, json_node_get_object(node)), ==, -EBADMSG);
        }
        step(f);
        assert_state(f, STATE_IDLE);
        g_assert_cmpuint(f->outcome.idle_since, ==, START);
}

static const Explained *find(GPtrArray *explained, const char *source) {
        for (guint i = 0; i < explained->len; i++) {
                const Explained *each = explained->pdata[i];

                if (g_str_equal(each->source, source))
                        return each;
        }
        return NULL;
}

static void test_explain(Fixture *f, gconstpointer data) {
        g_autoptr(GPtrArray) explained = NULL;
        const Explained *cpu, *db;

        begin(f);
        run_load(f, 60, 42.25);
        decision_expect_source(f->decision, "zeta", 0, f->now);
        add_vote(f, "db", VERDICT_IDLE);
        explained = decision_explain(f->decision, f->now);
        g_assert_cmpuint(explained->len, ==, METRIC_COUNT + 2);
        cpu = explained->pdata[METRIC_CPU];
        g_assert_cmpstr(cpu->source, ==, "cpu");
        g_assert_cmpint(cpu->verdict, ==, VERDICT_BUSY);
        g_assert_cmpstr(cpu->reason, ==, "42.25 % ≥ 5 %");
        g_assert_cmpfloat(json_get_double(cpu->evidence, "value", 0), ==, 42.25);
        g_assert_cmpfloat(json_get_double(cpu->evidence, "threshold", 0), ==, 5);
        g_assert_cmpfloat(json_get_double(cpu->evidence, "high_seconds", 0), ==, 60);
        g_assert_cmpint(json_get_int(cpu->evidence, "last_activity", 0), ==, (gint64) f->now);
        g_assert_cmpstr(json_get_string(cpu->evidence, "policy", NULL), ==, "required");
        g_assert_cmpint(find(explained, "gpu")->verdict, ==, VERDICT_ABSENT);
        g_assert_cmpint(find(explained, "memory")->policy, ==, POLICY_ADVISORY);
        db = explained->pdata[METRIC_COUNT];
        g_assert_cmpstr(db->source, ==, "db");
        g_assert_cmpstr(db->reason, ==, "because");
        g_assert_cmpstr(find(explained, "zeta")->reason, ==, "has not answered yet");
}

static void test_noise_is_evidence(Fixture *f, gconstpointer data) {
        g_autoptr(GPtrArray) explained = NULL;

        begin(f);
        run_load(f, 600, 0);
        run_load(f, 5, 12);
        g_assert_true(f->outcome.idle);
        explained = decision_explain(f->decision, f->now);
        g_assert_cmpstr(find(explained, "cpu")->reason, ==, "12 % is noise so far: 1 % over 1 min < 5 %");
}

static void test_reload(Fixture *f, gconstpointer data) {
        g_autoptr(Config) strict = configure("{\"cpu_threshold_percent\": 1, \"naptime_minutes\": 60}");

        begin(f);
        run_load(f, 120, 2);
        g_assert_true(f->outcome.idle);
        decision_set_config(f->decision, strict);
        step(f);
        assert_state(f, STATE_ACTIVE);
        g_assert_cmpstr(f->outcome.reason, ==, "cpu 2 % ≥ 1 %");
}

static void test_names(void) {
        for (int i = 0; i < STATE_COUNT; i++)
                g_assert_cmpint(state_from_name(state_name((State) i)), ==, i);
        g_assert_cmpint(state_from_name("asleep"), ==, -1);
        g_assert_cmpint(verdict_from_name("busy"), ==, VERDICT_BUSY);
        g_assert_cmpint(verdict_from_name("absent"), ==, -1);
        for (int i = 0; i < METRIC_COUNT; i++) {
                g_assert_cmpint(metric_from_key(metric_key((Metric) i)), ==, i);
                g_assert_cmpint(metric_from_source_name(metric_source_name((Metric) i)), ==, i);
                /* A plugin of this name would have its settings, and they its. */
                g_assert_true(metric_name_valid(metric_source_name((Metric) i)));
                g_assert_false(plugin_id_valid(metric_source_name((Metric) i)));
        }
        g_assert_cmpint(metric_from_key(NULL), ==, -1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/decision/names", test_names);
        ADD("clock-and-next-stop", test_clock_and_next_stop);
        ADD("quiet", test_quiet);
        ADD("verdicts", test_verdicts);
        g_test_add("/decision/assessment", Fixture,
                   "{\"sources\": {\"batch\": {\"policy\": \"sufficient\"}, "
                   "\"ignored\": {\"on_error\": \"ignore\"}}}",
                   set_up, test_assessment, tear_down);
        ADD("activity", test_activity_resets);
        ADD("first-sample", test_first_sample_has_no_rates);
        ADD("look/once", test_look_is_asked_once);
        ADD("look/no-answer", test_look_without_an_answer);
        ADD("look/explained", test_look_is_explained);
        ADD("look/slow", test_look_at_a_slow_plugin);
        ADD("look/busy", test_look_finds_somebody);
        ADD("look/unknown", test_look_with_unknown_enters_nothing);
        g_test_add("/decision/look/ignored", Fixture, "{\"sources\": {\"db\": {\"on_error\": \"ignore\"}}}", set_up,
                   test_look_ignores_who_is_ignored, tear_down);
        ADD("votes/old", test_old_votes_are_dropped);
        ADD("votes/stale", test_stale_vote);
        g_test_add("/decision/votes/stale-of-a-slow-plugin", Fixture,
                   "{\"sources\": {\"db-ignored\": {\"on_error\": \"ignore\"}}}", set_up, test_vote_of_a_slow_plugin,
                   tear_down);
        ADD("votes/valid-seconds", test_valid_seconds);
        ADD("votes/newcomer", test_silent_newcomer);
        ADD("votes/subjects", test_subjects_follow_their_plugin);
        ADD("votes/too-many-subjects", test_too_many_subjects);
        ADD("samples/hostile", test_hostile_samples);
        ADD("samples/gap", test_gap_of_samples);
        ADD("samples/none", test_no_samples_at_all);
        ADD("hold/timed", test_timed_hold_in_the_warning);
        ADD("cancel", test_cancel);
        ADD("pause", test_pause);
        ADD("request/asks-nobody", test_request_asks_nobody);
        ADD("request/delay", test_request_with_delay);
        ADD("request/in-a-warning", test_request_in_a_warning);
        ADD("request/holds", test_request_and_holds);
        ADD("request/postponed", test_postponing_a_forced_request);
        ADD("request/paused", test_request_while_paused);
        ADD("restart/clock", test_restart_keeps_the_clock);
        ADD("restart/old-record", test_restart_with_an_old_record);
        ADD("restart/warning", test_restart_in_the_warning);
        ADD("restart/stopping", test_restart_while_stopping);
        ADD("restart/asked", test_restart_after_the_provider_was_asked);
        ADD("restart/request", test_restart_keeps_request_refusal_and_rehearsal);
        ADD("restart/malformed", test_malformed_export);
        ADD("explain", test_explain);
        ADD("explain/noise", test_noise_is_evidence);
        ADD("reload", test_reload);
        return g_test_run();
}
