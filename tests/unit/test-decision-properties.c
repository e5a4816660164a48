/* SPDX-License-Identifier: Apache-2.0 */

/* Thousands of random lives of a machine, and what must be true in every step of every one. --seed repeats one; the
 * seed is printed. The model here knows nothing of windows or grace: it keeps what was last said by each source. */

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "daemon/decision/decision.h"

#define SECOND USEC_PER_SEC
#define START (USEC_PER_DAY * 100)
#define PLUGINS 3

typedef struct World {
        Config *config;
        Decision *decision;
        uint64_t now;
        Circumstances around;

        /* What the world is really like. */
        gboolean load;                 /* the CPU is at 60 %, not 0 */
        uint64_t load_since;
        Verdict answers[PLUGINS];      /* UNKNOWN: does not answer at all */
        gboolean slow[PLUGINS];        /* answers to a question of ten seconds ago */

        /* What was last said. */
        Verdict heard[PLUGINS];
        uint64_t heard_begun[PLUGINS];

        /* What must not go back. */
        uint64_t clock;
        State state;
        gboolean rehearsed; /* the stop that is shown is none */
        unsigned calls, stops, warnings, calms;

        /* The latest step. */
        Outcome latest;
        Circumstances latest_around;
        uint64_t looked_at;
} World;

/* db is required, log is ignored when it fails, view is advisory. */
static const char *const plugins[PLUGINS] = { "db", "log", "view" };
static const char configuration[] =
        "{\"naptime_minutes\": 2, \"warning_minutes\": 1, \"min_uptime_minutes\": 1,"
        " \"unknown_grace_seconds\": 60,"
        " \"sources\": {\"log\": {\"on_error\": \"ignore\"}, \"view\": {\"policy\": \"advisory\"}}}";

static void add_sample(World *w) {
        Sample sample = { .monotonic = w->now, .span = 5 * SECOND, .cpus = 4 };

        sample.reading[METRIC_CPU] = sample.reading[METRIC_NETWORK] = READING_OK;
        sample.value[METRIC_CPU] = w->load ? 60 : 0;
        decision_add_sample(w->decision, &sample);
}

static void ask(World *w) {
        for (int i = 0; i < PLUGINS; i++) {
                uint64_t begun = w->slow[i] ? w->now - 10 * SECOND : w->now;

                if (w->answers[i] == VERDICT_UNKNOWN)
                        continue;
                decision_add_vote(w->decision, vote_new(plugins[i], w->answers[i], "", begun, w->now));
                if (begun < w->heard_begun[i])
                        continue;
                w->heard[i] = w->answers[i];
                w->heard_begun[i] = begun;
        }
}

static gboolean may_follow(State from, State to) {
        switch (to) {
        case STATE_ACTIVE:
                return TRUE;
        case STATE_IDLE:
                return from == STATE_ACTIVE || from == STATE_PAUSED || from == STATE_STOPPING;
        case STATE_WARNING:
                return from == STATE_IDLE;
        case STATE_STOPPING:
                return from == STATE_WARNING;
        case STATE_STOPPED:
                return from == STATE_STOPPING;
        case STATE_PAUSED:
                return from != STATE_STOPPED;
        case STATE_COUNT:
                break;
        }
        return FALSE;
}

static void check_outcome(World *w, const Outcome *o) {
        g_assert_nonnull(o->reason);
        g_assert_true(g_utf8_validate(o->reason, -1, NULL));
        g_assert_cmpint(o->previous, ==, w->state);
        g_assert_true(o->changed == (o->state != w->state));
        if (o->changed && !may_follow(o->previous, o->state) &&
            !(w->rehearsed && o->previous == STATE_STOPPED && o->state == STATE_IDLE))
                g_error("%s after %s: %s", state_name(o->state), state_name(o->previous), o->reason);
        w->state = o->state;

        if (o->state == STATE_ACTIVE)
                g_assert_cmpuint(o->idle_since, ==, 0);
        if (o->idle_since > 0) {
                g_assert_cmpuint(o->idle_since, >=, w->clock);
                g_assert_cmpuint(o->idle_since, <=, w->now);
                w->clock = o->idle_since;
        }
        if (o->next_stop > 0) {
                g_assert_true(o->state == STATE_IDLE || o->state == STATE_WARNING);
                g_assert_cmpuint(o->next_stop, >=, w->now);
        }
        if (o->next_step > 0)
                g_assert_cmpuint(o->next_step, >=, w->now);
        if (o->blind_since > 0)
                g_assert_false(o->idle);
        if (o->idle)
                g_assert_cmpuint(o->blind_since, ==, 0);
}

/* Nothing may stop that the model knows to be in use. */
static void check_stage(World *w, const Outcome *o) {
        gboolean entered = o->changed && (o->state == STATE_WARNING || o->state == STATE_STOPPING);

        if (!entered && !o->call_provider)
                return;
        g_assert_true(o->idle);
        g_assert_cmpuint(w->looked_at, >, 0);
        g_assert_cmpint(w->heard[0], ==, VERDICT_IDLE);
        g_assert_cmpuint(w->heard_begun[0], >=, w->looked_at);
        g_assert_true(w->heard[1] != VERDICT_BUSY || w->now > w->heard_begun[1] + 125 * SECOND);
        g_assert_null(w->around.block_hold);
        g_assert_cmpuint(w->around.timed_hold_until, <=, w->now);
        g_assert_false(w->around.paused);
        /* Load that has lasted for more than a sample is at least noise, and noise waits. */
        if (w->load)
                g_assert_cmpuint(w->now - w->load_since, <, 5 * SECOND);
        g_assert_cmpuint(w->now, >=, w->clock + 120 * SECOND);
        g_assert_cmpuint(w->now, >=, w->around.up_since + 60 * SECOND);
        if (o->call_provider)
                g_assert_true(w->around.ready);
        w->warnings += o->state == STATE_WARNING;
}

static gboolean same_around(const Circumstances *a, const Circumstances *b) {
        return a->up_since == b->up_since && a->paused == b->paused && g_strcmp0(a->block_hold, b->block_hold) == 0 &&
               a->timed_hold_until == b->timed_hold_until && a->ready == b->ready;
}

/* Where there is said to be no news, a step finds none. */
static void check_calm(World *w, const Outcome *o, gboolean news) {
        if (!news && same_around(&w->around, &w->latest_around)) {
                w->calms++;
                g_assert_false(o->changed || o->look || o->call_provider);
                g_assert_cmpint(o->state, ==, w->latest.state);
                g_assert_cmpint(o->idle, ==, w->latest.idle);
                g_assert_cmpuint(o->idle_since, ==, w->latest.idle_since);
                g_assert_cmpuint(o->next_stop, ==, w->latest.next_stop);
                g_assert_cmpuint(o->next_step, ==, w->latest.next_step);
                g_assert_cmpuint(o->blind_since, ==, w->latest.blind_since);
        }
        w->latest = *o;
        w->latest_around = w->around;
}

static void answer_provider(World *w, GRand *random) {
        w->calls++;
        w->rehearsed = FALSE;
        decision_provider_asked(w->decision, w->now);
        g_assert_cmpint(decision_cancel(w->decision, w->now, "too late"), ==, -EALREADY);
        switch (g_rand_int_range(random, 0, 5)) {
        case 0:
        case 1:
                decision_provider_accepted(w->decision, w->now, "accepted");
                w->stops++;
                break;
        case 2:
                decision_provider_retry(w->decision, w->now, w->now + 20 * SECOND, "throttled");
                break;
        case 3:
                decision_provider_refused(w->decision, w->now, "refused");
                break;
        default:
                w->rehearsed = TRUE;
                decision_rehearsed(w->decision, w->now, "dry run");
        }
}

static void step(World *w, GRand *random) {
        for (unsigned i = 0; i < 32; i++) {
                gboolean again, news = decision_has_news(w->decision, w->now);
                Outcome o;

                w->around.ready = w->state == STATE_STOPPING && g_rand_boolean(random);
                decision_step(w->decision, w->now, &w->around, &o);
                check_outcome(w, &o);
                check_stage(w, &o);
                check_calm(w, &o, news);
                if (o.look) {
                        w->looked_at = w->now;
                        add_sample(w);
                        ask(w);
                }
                if (o.call_provider)
                        answer_provider(w, random);
                again = o.look || o.call_provider || (o.next_step > 0 && o.next_step <= w->now);
                outcome_clear(&o);
                if (!again)
                        return;
        }
        g_assert_not_reached();
}

static void restart_daemon(World *w, GRand *random) {
        g_autoptr(JsonObject) exported = decision_export(w->decision, w->now);
        State before = w->state;

        decision_free(w->decision);
        w->decision = decision_new(w->config, w->now);
        memset(w->heard, 0, sizeof(w->heard));
        memset(w->heard_begun, 0, sizeof(w->heard_begun));
        g_assert_cmpint(decision_import(w->decision, w->now, 0, 0, exported), ==, 0);
        /* A stage is begun again from idle, except where the provider has been asked: it is asked what became of it.
         */
        if (decision_was_asked(w->decision)) {
                w->state = STATE_STOPPING;
                if (g_rand_boolean(random))
                        decision_provider_accepted(w->decision, w->now, "it stops");
                else
                        decision_provider_retry(w->decision, w->now, w->now, "it runs");
        } else if (before == STATE_WARNING || before == STATE_STOPPING)
                w->state = STATE_IDLE;
        else if (before == STATE_PAUSED)
                w->state = STATE_ACTIVE;
        decision_expect_source(w->decision, plugins[0], 0, w->now);
}

static void change_world(World *w, GRand *random) {
        int i = g_rand_int_range(random, 0, PLUGINS);

        switch (g_rand_int_range(random, 0, 14)) {
        case 0:
        case 1:
                w->load = !w->load;
                w->load_since = w->now;
                break;
        case 2:
        case 3:
        case 4:
                w->answers[i] = (Verdict) g_rand_int_range(random, VERDICT_UNKNOWN, VERDICT_ABSENT);
                break;
        case 5:
                w->slow[i] = !w->slow[i];
                break;
        case 6:
                w->around.block_hold = w->around.block_hold ? NULL : "somebody";
                break;
        case 7:
                w->around.timed_hold_until = w->now + (uint64_t) g_rand_int_range(random, 0, 300) * SECOND;
                break;
        case 8:
                w->around.paused = !w->around.paused;
                break;
        case 9:
                (void) decision_cancel(w->decision, w->now, "cancelled");
                break;
        case 10:
                w->around.up_since = w->now;
                decision_restart_clock(w->decision, w->now, "resumed");
                break;
        case 11:
                decision_rearm(w->decision, w->now);
                break;
        case 12:
                restart_daemon(w, random);
                break;
        default:
                w->now += (uint64_t) g_rand_int_range(random, 0, 200) * SECOND;
        }
}

/* Everything falls silent, so that the interesting states are reached at all. */
static void calm_down(World *w) {
        w->load = FALSE;
        w->around = (Circumstances) {};
        for (int i = 0; i < PLUGINS; i++) {
                w->answers[i] = VERDICT_IDLE;
                w->slow[i] = FALSE;
        }
        decision_rearm(w->decision, w->now);
}

static void live(World *w, GRand *random) {
        for (unsigned i = 0; i < 400; i++) {
                if (g_rand_int_range(random, 0, 25) == 0)
                        change_world(w, random);
                if (g_rand_int_range(random, 0, 60) == 0)
                        calm_down(w);
                w->now += 5 * SECOND;
                add_sample(w);
                if (i % 12 == 0)
                        ask(w);
                step(w, random);
        }
}

static void test_lives(void) {
        GRand *random = g_rand_new_with_seed((guint32) g_test_rand_int());
        unsigned calls = 0, stops = 0, warnings = 0, calms = 0;

        for (unsigned i = 0; i < 500; i++) {
                World w = { .now = START, .clock = 0 };

                w.config = config_parse(&(ConfigText) { "test", configuration }, 1, NULL);
                w.decision = decision_new(w.config, w.now);
                decision_expect_source(w.decision, plugins[0], 0, w.now);
                calm_down(&w);
                live(&w, random);
                calls += w.calls;
                stops += w.stops;
                warnings += w.warnings;
                calms += w.calms;
                decision_free(w.decision);
                config_unref(w.config);
        }
        g_rand_free(random);
        /* The lives were interesting enough to prove something. */
        g_test_message("%u warnings, %u calls, %u stops, %u steps without news", warnings, calls, stops, calms);
        g_assert_cmpuint(warnings, >, 100);
        g_assert_cmpuint(calls, >, 100);
        g_assert_cmpuint(stops, >, 10);
        g_assert_cmpuint(calms, >, 10000);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/decision/properties/lives", test_lives);
        return g_test_run();
}
