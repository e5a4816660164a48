/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/simulate/simulation.h"

#include <math.h>

#include "base/clock.h"

/* The decision's 0 means "none", and input before the trace's 0 must have a moment of its own. */
#define ORIGIN (20 * 366 * USEC_PER_DAY)
/* A look, its answer and a stage are one step each; what needs more at one moment would never end. */
#define STEPS_MAX 32U

/* A metric as the trace tells it: constant from instant to instant. */
typedef struct Course {
        gboolean present;
        double value;
        uint64_t since;   /* input: when `value` was told */
        uint64_t covered; /* since the latest sample: how long it was there, */
        double area;      /* its integral, */
        double least, most; /* and its bounds */
} Course;

struct Simulation {
        Config *config;
        Decision *decision;
        SimulationReport report;
        void *userdata;

        gboolean begun;
        uint64_t now;                                /* all times: trace + ORIGIN */
        uint64_t last_sample, accrued;
        uint64_t next_sample, next_check, next_step; /* next_step 0: none */
        uint64_t interval, check_interval;
        Course courses[METRIC_COUNT];
        unsigned cpus;
        GHashTable *votes; /* source → TraceVote */

        gboolean block, delay, termination;
        uint64_t up_since, paused_until; /* 0: not paused */
        uint64_t stopping_since, state_since;
        State state;
        SimulationSummary summary;
};

static uint64_t from_seconds(double seconds) {
        return MAX((uint64_t) llround(seconds * (double) USEC_PER_SEC), 1);
}

static void vote_copy_free(TraceVote *vote) {
        g_free(vote->source);
        g_free(vote->reason);
        g_free(vote);
}

Simulation *simulation_new(Config *config, SimulationReport report, void *userdata) {
        Simulation *simulation = g_new0(Simulation, 1);

        simulation->config = config_ref(config);
        simulation->report = report;
        simulation->userdata = userdata;
        simulation->interval = from_seconds(config->sample_interval_seconds);
        simulation->check_interval = from_seconds(config->check_interval_seconds);
        simulation->votes = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify) vote_copy_free);
        return simulation;
}

void simulation_free(Simulation *simulation) {
        if (!simulation)
                return;
        g_clear_pointer(&simulation->decision, decision_free);
        g_hash_table_unref(simulation->votes);
        config_unref(simulation->config);
        g_free(simulation);
}

/* The time since the latest instant, added to what the next sample is the mean of. */
static void accrue(Simulation *simulation, uint64_t until) {
        uint64_t span = usec_sub(until, simulation->accrued);

        for (int i = 0; span > 0 && i < METRIC_COUNT; i++) {
                Course *course = &simulation->courses[i];

                if (!course->present)
                        continue;
                course->least = course->covered > 0 ? MIN(course->least, course->value) : course->value;
                course->most = course->covered > 0 ? MAX(course->most, course->value) : course->value;
                course->covered += span;
                course->area += course->value * (double) span;
        }
        simulation->accrued = until;
}

static double read_course(const Simulation *simulation, int metric) {
        const Course *course = &simulation->courses[metric];

        if (metric == METRIC_INPUT)
                return course->value + (double) (simulation->now - course->since) / (double) USEC_PER_SEC;
        if (metric == METRIC_MEMORY || metric == METRIC_GPU || course->covered == 0)
                return course->value;
        return CLAMP(course->area / (double) course->covered, course->least, course->most);
}

static void take_sample(Simulation *simulation) {
        Sample sample = { .monotonic = simulation->now, .cpus = simulation->cpus };

        /* The first has no time behind it that it could be the rate of: the value itself, next to weightless. */
        sample.span = simulation->last_sample == 0 ? 1 : simulation->now - simulation->last_sample;
        accrue(simulation, simulation->now);
        for (int i = 0; i < METRIC_COUNT; i++) {
                Course *course = &simulation->courses[i];

                sample.reading[i] = course->present ? READING_OK : READING_ABSENT;
                sample.value[i] = course->present ? read_course(simulation, i) : 0;
                course->covered = 0;
                course->area = 0;
        }
        decision_add_sample(simulation->decision, &sample);
        simulation->last_sample = simulation->now;
}

static void ask_everybody(Simulation *simulation) {
        GHashTableIter iter;
        gpointer value;

        g_hash_table_iter_init(&iter, simulation->votes);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                const TraceVote *told = value;
                Vote *vote = vote_new(told->source, told->verdict, told->reason, simulation->now, simulation->now);

                if (told->has_last_activity)
                        vote->last_activity = told->last_activity + ORIGIN;
                vote->vacuous = told->vacuous;
                decision_add_vote(simulation->decision, vote);
        }
}

static uint64_t delay_end(const Simulation *simulation) {
        return usec_add(simulation->stopping_since,
                        (uint64_t) (simulation->config->max_delay_seconds * (double) USEC_PER_SEC));
}

static Circumstances circumstances_of(const Simulation *simulation) {
        return (Circumstances) {
                .up_since = simulation->up_since,
                .paused = simulation->paused_until > 0,
                .termination = simulation->termination ? "a termination announced in the trace" : NULL,
                .block_hold = simulation->block ? "a block hold of the trace" : NULL,
                .ready = simulation->state == STATE_STOPPING &&
                         (!simulation->delay || simulation->now >= delay_end(simulation)),
        };
}

/* Time spent in a state, up to now. */
static void book(Simulation *simulation) {
        uint64_t span = simulation->now - simulation->state_since;

        if (simulation->state == STATE_STOPPED)
                simulation->summary.time_saved += span;
        else
                simulation->summary.time_on += span;
        simulation->state_since = simulation->now;
        simulation->summary.end = simulation->now - ORIGIN;
}

static void note_transition(Simulation *simulation, const Outcome *outcome) {
        if (!outcome->changed)
                return;
        book(simulation);
        simulation->state = outcome->state;
        simulation->summary.transitions++;
        simulation->summary.warnings += outcome->state == STATE_WARNING;
        simulation->summary.stops += outcome->state == STATE_STOPPED;
        if (outcome->state == STATE_STOPPING)
                simulation->stopping_since = simulation->now;
        simulation->report(simulation->now - ORIGIN, outcome->state, outcome->previous, outcome->reason,
                           simulation->userdata);
}

static void start_again(Simulation *simulation, const char *reason) {
        simulation->up_since = simulation->now;
        decision_restart_clock(simulation->decision, simulation->now, reason);
}

/* What the outcome asks of the caller. TRUE: step again at once. */
static gboolean respond(Simulation *simulation, const Outcome *outcome) {
        if (outcome->look) {
                take_sample(simulation);
                ask_everybody(simulation);
                return TRUE;
        }
        if (outcome->call_provider) {
                decision_provider_asked(simulation->decision, simulation->now);
                decision_provider_accepted(simulation->decision, simulation->now, NULL);
                return TRUE;
        }
        /* The trace goes on as the machine that was never stopped did. */
        if (outcome->state == STATE_STOPPED && !outcome->idle && outcome->blind_since == 0) {
                start_again(simulation, "started again: the trace shows activity");
                return TRUE;
        }
        return outcome->next_step > 0 && outcome->next_step <= simulation->now;
}

static void settle(Simulation *simulation) {
        for (unsigned i = 0; i < STEPS_MAX; i++) {
                Circumstances circumstances = circumstances_of(simulation);
                gboolean again;
                Outcome outcome;

                decision_step(simulation->decision, simulation->now, &circumstances, &outcome);
                note_transition(simulation, &outcome);
                again = respond(simulation, &outcome);
                simulation->next_step = outcome.next_step;
                outcome_clear(&outcome);
                if (!again)
                        return;
        }
}

static void end_pause(Simulation *simulation) {
        simulation->paused_until = 0;
        decision_restart_clock(simulation->decision, simulation->now, "no longer paused");
}

/* The next moment at which something happens by itself. */
static uint64_t next_moment(const Simulation *simulation) {
        uint64_t next = MIN(simulation->next_sample, simulation->next_check);

        if (simulation->next_step > simulation->now)
                next = MIN(next, simulation->next_step);
        if (simulation->paused_until > 0)
                next = MIN(next, simulation->paused_until);
        if (simulation->state == STATE_STOPPING && simulation->delay && delay_end(simulation) > simulation->now)
                next = MIN(next, delay_end(simulation));
        return next;
}

/* Everything that is due now. */
static void run_now(Simulation *simulation) {
        if (simulation->paused_until > 0 && simulation->paused_until <= simulation->now)
                end_pause(simulation);
        if (simulation->next_sample <= simulation->now) {
                take_sample(simulation);
                simulation->next_sample = simulation->now + simulation->interval;
        }
        if (simulation->next_check <= simulation->now) {
                ask_everybody(simulation);
                simulation->next_check = simulation->now + simulation->check_interval;
        }
        settle(simulation);
}

static void run_until(Simulation *simulation, uint64_t until) {
        uint64_t next;

        while ((next = next_moment(simulation)) < until) {
                simulation->now = next;
                run_now(simulation);
        }
        accrue(simulation, until);
        simulation->now = until;
}

static void apply_metrics(Simulation *simulation, const TraceInstant *instant) {
        for (int i = 0; i < METRIC_COUNT; i++) {
                Course *course = &simulation->courses[i];

                if (!instant->has_metric[i])
                        continue;
                course->present = !instant->absent[i];
                course->value = instant->value[i];
                course->since = simulation->now;
                if (!course->present) {
                        course->covered = 0;
                        course->area = 0;
                }
        }
        if (instant->has_cpus)
                simulation->cpus = instant->cpus;
}

static void apply_votes(Simulation *simulation, const TraceInstant *instant) {
        for (guint i = 0; instant->votes && i < instant->votes->len; i++) {
                const TraceVote *told = instant->votes->pdata[i];
                TraceVote *copy;

                if (told->forget) {
                        g_hash_table_remove(simulation->votes, told->source);
                        decision_forget_source(simulation->decision, told->source);
                        continue;
                }
                copy = g_new(TraceVote, 1);
                *copy = *told;
                copy->source = g_strdup(told->source);
                copy->reason = g_strdup(told->reason);
                g_hash_table_replace(simulation->votes, copy->source, copy);
                decision_expect_source(simulation->decision, told->source, 0, simulation->now);
        }
}

static void apply_event(Simulation *simulation, TraceEvent event) {
        switch (event) {
        case TRACE_EVENT_BOOT:
                start_again(simulation, "booted");
                break;
        case TRACE_EVENT_RESUME:
                start_again(simulation, "resumed");
                break;
        case TRACE_EVENT_PAUSE:
                simulation->paused_until = simulation->now + from_seconds(simulation->config->pause_max_hours * 3600);
                break;
        case TRACE_EVENT_UNPAUSE:
                if (simulation->paused_until > 0)
                        end_pause(simulation);
                break;
        case TRACE_EVENT_TERMINATION:
                simulation->termination = TRUE;
                break;
        case TRACE_EVENT_TERMINATION_CANCELLED:
                simulation->termination = FALSE;
                break;
        case TRACE_EVENT_GAP:
                simulation->next_sample = simulation->next_check = simulation->now;
                break;
        case TRACE_EVENT_NONE:
                break;
        }
}

static void apply(Simulation *simulation, const TraceInstant *instant) {
        apply_metrics(simulation, instant);
        apply_votes(simulation, instant);
        if (instant->release)
                simulation->block = simulation->delay = FALSE;
        simulation->block |= instant->hold == TRACE_HOLD_BLOCK;
        simulation->delay |= instant->hold == TRACE_HOLD_DELAY;
        apply_event(simulation, instant->event);
}

static void begin(Simulation *simulation, uint64_t now) {
        simulation->begun = TRUE;
        simulation->now = simulation->accrued = simulation->state_since = now;
        simulation->next_sample = simulation->next_check = now;
        simulation->state = STATE_ACTIVE;
        simulation->decision = decision_new(simulation->config, now);
        simulation->summary = (SimulationSummary) { .begin = now - ORIGIN, .any = TRUE };
}

static gboolean has_room(const Simulation *simulation, const TraceInstant *instant) {
        guint fresh = 0;

        for (guint i = 0; instant->votes && i < instant->votes->len; i++) {
                const TraceVote *vote = instant->votes->pdata[i];

                fresh += !vote->forget && !g_hash_table_contains(simulation->votes, vote->source);
        }
        return g_hash_table_size(simulation->votes) + fresh <= TRACE_VOTES_MAX;
}

gboolean simulation_feed(Simulation *simulation, const TraceInstant *instant) {
        uint64_t now = instant->t + ORIGIN;

        if (!has_room(simulation, instant))
                return FALSE;
        if (!simulation->begun)
                begin(simulation, now);
        else if (instant->event == TRACE_EVENT_GAP) {
                accrue(simulation, now);
                simulation->now = now;
        } else
                run_until(simulation, now);
        apply(simulation, instant);
        run_now(simulation);
        book(simulation);
        return TRUE;
}

SimulationSummary simulation_summary(const Simulation *simulation) {
        SimulationSummary summary = simulation->summary;

        summary.state = simulation->state;
        return summary;
}
