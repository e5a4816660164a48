/* SPDX-License-Identifier: Apache-2.0 */

/* The stages and what leads from one to the next. A step changes the state once at most, so that everybody hears of
 * every state; what a setter changed is told by the next step before anything else happens. */

#include "daemon/decision/decision-private.h"
#include "util/duration.h"

static uint64_t from_minutes(double minutes) {
        return (uint64_t) (minutes * (double) USEC_PER_MINUTE);
}

void stage_end_request(Decision *decision) {
        g_clear_pointer(&decision->request.reason, g_free);
        decision->request = (Request) {};
}

void stage_enter(Decision *decision, State state, const char *reason) {
        char *copy = g_strdup(reason); /* it may be the old one itself */

        g_free(decision->stage_reason);
        decision->stage_reason = copy;
        decision->state = state;
        decision->calm_until = 0;
        look_drop(decision);
        if (state == STATE_WARNING || state == STATE_STOPPING)
                return;
        decision->deadline = 0;
        decision->not_before = 0;
        if (state != STATE_STOPPED)
                decision->called = decision->asked = decision->attempted = decision->rehearsing = FALSE;
        stage_end_request(decision);
}

static gboolean staged(const Decision *decision) {
        return decision->state == STATE_WARNING || decision->state == STATE_STOPPING;
}

uint64_t stage_due(const Decision *decision, const Circumstances *circumstances) {
        const Config *config = decision->config;
        uint64_t due = usec_add(decision->idle_since, from_minutes(config->naptime_minutes));

        if (circumstances->up_since > 0)
                due = MAX(due, usec_add(circumstances->up_since, from_minutes(config->min_uptime_minutes)));
        if (decision->rehearsed_at > 0)
                due = MAX(due, usec_add(decision->rehearsed_at, from_minutes(config->naptime_minutes)));
        return MAX(due, circumstances->timed_hold_until);
}

/* Who holds, or NULL. */
static const char *holder(const Circumstances *circumstances, uint64_t now) {
        if (circumstances->block_hold)
                return circumstances->block_hold;
        if (circumstances->timed_hold_until > now)
                return circumstances->timed_hold ? circumstances->timed_hold : "a timed hold";
        return NULL;
}

static gboolean ended_by_hold(Decision *decision, uint64_t now, const Circumstances *circumstances) {
        const char *who = holder(circumstances, now);
        g_autofree char *reason = NULL;

        if (!who)
                return FALSE;
        reason = g_strdup_printf("held by %s", who);
        stage_enter(decision, STATE_ACTIVE, reason);
        return TRUE;
}

/* Its handlers save work, and need the machine until its end. */
static gboolean ended_by_termination(Decision *decision, const Circumstances *circumstances) {
        if (!circumstances->termination)
                return FALSE;
        stage_enter(decision, STATE_ACTIVE, circumstances->termination);
        return TRUE;
}

static void enter_warning(Decision *decision, uint64_t now) {
        g_autofree char *span = duration_format(usec_sub(now, decision->idle_since));
        g_autofree char *reason = g_strdup_printf("idle for %s", span);

        stage_enter(decision, STATE_WARNING, reason);
        decision->deadline = usec_add(now, from_minutes(decision->config->warning_minutes));
        decision->warned_clock = decision->idle_since;
}

static void enter_stopping(Decision *decision, uint64_t now) {
        g_autofree char *span = NULL, *reason = NULL;

        if (decision->request.standing)
                reason = g_strdup(decision->request.reason);
        else {
                span = duration_format(usec_sub(now, decision->idle_since));
                reason = g_strdup_printf("idle for %s", span);
        }
        stage_enter(decision, STATE_STOPPING, reason);
}

static void call_provider(Decision *decision, Outcome *outcome) {
        decision->called = TRUE;
        outcome->call_provider = TRUE;
}

/* Somebody wants the stop: no source is asked. */
static void advance_request(Decision *decision, uint64_t now, const Circumstances *circumstances, Outcome *outcome) {
        if (!decision->request.force && ended_by_hold(decision, now, circumstances))
                return;
        if (decision->state == STATE_WARNING) {
                if (now >= decision->deadline)
                        enter_stopping(decision, now);
        } else if (!decision->called && circumstances->ready && now >= decision->not_before)
                call_provider(decision, outcome);
}

static void advance_idle(Decision *decision, uint64_t now, const Circumstances *circumstances, Outcome *outcome) {
        if (decision->refusal || circumstances->block_hold || circumstances->termination ||
            now < stage_due(decision, circumstances)) {
                look_drop(decision);
                return;
        }
        if (look_passed(decision, now, outcome))
                enter_warning(decision, now);
}

static void advance_staged(Decision *decision, uint64_t now, const Circumstances *circumstances, Outcome *outcome) {
        /* Everything is idle again, but was not all the time: a plugin tells of activity a minute ago, say. And where
         * the provider was asked before a restart and did not stop the machine, nobody can tell. */
        if (decision->idle_since > decision->warned_clock)
                stage_enter(decision, STATE_ACTIVE,
                            decision->warned_clock > 0 ? "there was activity since the warning" : "decided anew");
        else if (now < stage_due(decision, circumstances))
                /* Nothing else moves that behind the beginning of a stage. */
                stage_enter(decision, STATE_ACTIVE, "the settings were changed: it has not been idle for long enough");
        else if (decision->state == STATE_WARNING) {
                if (now >= decision->deadline && look_passed(decision, now, outcome))
                        enter_stopping(decision, now);
        } else if (!decision->called && circumstances->ready && now >= decision->not_before &&
                   look_passed(decision, now, outcome))
                call_provider(decision, outcome);
}

static void advance_unsure(Decision *decision, uint64_t now) {
        look_abandon(decision, now);
        if (decision->state == STATE_PAUSED)
                stage_enter(decision, STATE_ACTIVE, NULL);
}

void stage_advance(Decision *decision, uint64_t now, const Circumstances *circumstances, const Assessment *assessment,
                   Outcome *outcome) {
        /* A rehearsal shows every state, the last one included; the machine runs on. */
        if (decision->rehearsing) {
                stage_enter(decision, STATE_IDLE, decision->stage_reason);
                return;
        }
        /* Between call_provider and the asking itself a disk may be waited for: until then everything still ends
         * it. */
        if (decision->state == STATE_STOPPED || decision->asked)
                return;
        if (decision->request.standing) {
                advance_request(decision, now, circumstances, outcome);
                return;
        }
        if (circumstances->paused) {
                if (decision->state != STATE_PAUSED)
                        stage_enter(decision, STATE_PAUSED, "paused");
                return;
        }
        if (staged(decision) &&
            (ended_by_hold(decision, now, circumstances) || ended_by_termination(decision, circumstances)))
                return;

        switch (assessment->kind) {
        case ASSESSMENT_BUSY:
                if (decision->state != STATE_ACTIVE)
                        stage_enter(decision, STATE_ACTIVE, NULL);
                g_clear_pointer(&decision->stage_reason, g_free);
                decision->rehearsed_at = 0;
                look_drop(decision);
                break;
        case ASSESSMENT_UNSURE:
                advance_unsure(decision, now);
                break;
        case ASSESSMENT_IDLE:
                if (staged(decision)) {
                        advance_staged(decision, now, circumstances, outcome);
                        break;
                }
                if (decision->state != STATE_IDLE)
                        stage_enter(decision, STATE_IDLE, NULL);
                advance_idle(decision, now, circumstances, outcome);
                break;
        }
}

uint64_t stage_next_stop(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                         const Assessment *assessment) {
        /* At its end everybody is asked once more. */
        if (decision->state == STATE_WARNING)
                return MAX(MAX(decision->deadline, decision->look.retry_at), now);
        /* In `stopping` it is up to handlers, delay holds and the provider. */
        if (decision->state != STATE_IDLE || assessment->kind != ASSESSMENT_IDLE || decision->refusal ||
            circumstances->block_hold || circumstances->termination)
                return 0;
        return usec_add(MAX(MAX(stage_due(decision, circumstances), decision->look.retry_at), now),
                        from_minutes(decision->config->warning_minutes));
}

/* The earliest of the moments that are still to come. */
static void consider(uint64_t *soonest, uint64_t now, uint64_t moment) {
        if (moment > now && moment != USEC_INFINITY && (*soonest == 0 || moment < *soonest))
                *soonest = moment;
}

/* Only while nothing is under way that a sample could move on. That a source falls silent is left to the samples as
 * well. */
uint64_t stage_calm_until(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                          const Assessment *assessment) {
        uint64_t due = stage_due(decision, circumstances), soonest = USEC_INFINITY;

        if (decision->state != STATE_IDLE || decision->reported != STATE_IDLE || assessment->kind != ASSESSMENT_IDLE ||
            decision->rehearsing || decision->request.standing || decision->called || decision->asked ||
            decision->look.since > 0 || circumstances->paused)
                return 0;
        if (!decision->refusal && !circumstances->block_hold)
                soonest = due;
        for (guint i = 0; i < decision->plugins->len; i++) {
                const Source *source = decision->plugins->pdata[i];

                if (source_has_say(source) && source->stale_at >= now)
                        soonest = MIN(soonest, source->stale_at);
        }
        return soonest;
}

uint64_t stage_next_step(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                         const Assessment *assessment, gboolean entered) {
        uint64_t soonest = 0;

        if (decision->rehearsing)
                return now;
        if (decision->called || decision->state == STATE_STOPPED)
                return 0;
        if (entered && staged(decision) && decision->deadline <= now)
                return now;

        /* Sources that fall silent, or have been for too long, are noticed at the next sample. */
        consider(&soonest, now, decision->look.deadline);
        consider(&soonest, now, decision->look.retry_at);
        consider(&soonest, now, decision->not_before);
        if (staged(decision))
                consider(&soonest, now, decision->deadline);
        else if (decision->state == STATE_IDLE && !decision->refusal && !circumstances->block_hold &&
                 !circumstances->termination)
                consider(&soonest, now, MAX(stage_due(decision, circumstances), decision->look.retry_at));
        return soonest;
}
