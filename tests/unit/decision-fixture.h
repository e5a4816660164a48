/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A decision at a moment of the test's choosing, and the way to its stages. */

#include "base/clock.h"
#include "daemon/decision/decision.h"

#define SECOND USEC_PER_SEC
#define START (USEC_PER_DAY * 100)
#define NAPTIME (1800 * SECOND)
#define WARNING (300 * SECOND)

typedef struct Fixture {
        Config *config;
        Decision *decision;
        uint64_t now;
        Circumstances around;
        Outcome outcome;
} Fixture;

static inline Config *configure(const char *text) {
        return config_parse(&(ConfigText) { "test", text }, 1, NULL);
}

static inline void set_up(Fixture *f, gconstpointer data) {
        f->config = configure(data ? data : "{}");
        g_assert_nonnull(f->config);
        f->now = START;
        f->decision = decision_new(f->config, f->now);
}

static inline void tear_down(Fixture *f, gconstpointer data) {
        outcome_clear(&f->outcome);
        decision_free(f->decision);
        config_unref(f->config);
}

static inline const Outcome *step(Fixture *f) {
        outcome_clear(&f->outcome);
        decision_step(f->decision, f->now, &f->around, &f->outcome);
        g_assert_true(f->outcome.reason || (f->around.quiet && !f->outcome.changed));
        return &f->outcome;
}

/* A quiet machine but for its CPU; no GPU, no input. */
static inline void add_sample(Fixture *f, double cpu) {
        Sample sample = { .monotonic = f->now, .span = 5 * SECOND };

        for (int i = 0; i < METRIC_COUNT; i++)
                sample.reading[i] = READING_OK;
        sample.reading[METRIC_GPU] = sample.reading[METRIC_INPUT] = READING_ABSENT;
        sample.value[METRIC_CPU] = cpu;
        decision_add_sample(f->decision, &sample);
}

static inline void add_vote_begun(Fixture *f, const char *source, Verdict verdict, uint64_t begun) {
        decision_add_vote(f->decision, vote_new(source, verdict, "because", begun, f->now));
}

static inline void add_vote(Fixture *f, const char *source, Verdict verdict) {
        add_vote_begun(f, source, verdict, f->now);
}

/* Samples every five seconds, with a step after each; looks stay unanswered until the next sample. */
static inline void run_load(Fixture *f, unsigned seconds, double cpu) {
        for (unsigned i = 0; i < seconds; i += 5) {
                f->now += 5 * SECOND;
                add_sample(f, cpu);
                step(f);
        }
}

static inline void assert_state(Fixture *f, State state) {
        g_assert_cmpstr(state_name(f->outcome.state), ==, state_name(state));
}

static inline void begin(Fixture *f) {
        add_sample(f, 0);
        step(f);
        assert_state(f, STATE_IDLE);
}

/* Answers looks at once until nothing is asked any more. */
static inline void settle(Fixture *f) {
        while (step(f)->look || (f->outcome.next_step > 0 && f->outcome.next_step <= f->now))
                if (f->outcome.look)
                        add_sample(f, 0);
}

static inline void reach_warning(Fixture *f) {
        begin(f);
        run_load(f, 1795, 0);
        f->now += 5 * SECOND;
        add_sample(f, 0);
        settle(f);
        assert_state(f, STATE_WARNING);
}

static inline void reach_provider(Fixture *f) {
        reach_warning(f);
        run_load(f, 295, 0);
        f->now += 5 * SECOND;
        add_sample(f, 0);
        f->around.ready = TRUE;
        settle(f);
        assert_state(f, STATE_STOPPING);
        g_assert_true(f->outcome.call_provider);
}

#define ADD(name, function) g_test_add("/decision/" name, Fixture, NULL, set_up, function, tear_down)
