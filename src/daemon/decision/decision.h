/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Is this machine idle, since when, and what is to happen next? A pure machine: every clock reading, sample, vote and
 * hold comes in through these functions, nothing is read from the world, so that the daemon, the simulator and the
 * tests run the same code. All times are monotonic microseconds of the caller; 0 means "none" (a caller whose clock
 * starts at 0, as the simulator's does, adds an offset).
 *
 *             activity, hold, cancel
 *          ┌──────────────┬───────────────┐
 *          ▼              │               │
 *       active ⇄ idle ─► warning ─► stopping ─► stopped
 *          ▲       ▲ look        look │ look
 *        paused    └──────────────────┘ refused (latched), dry run
 *
 * A stage is entered only on a last look: decision_step() asks for it (`look`), the caller samples and asks every
 * source again, and steps once more; only readings and votes begun after the asking count. */

#include <glib.h>
#include <json-glib/json-glib.h>

#include "daemon/config/config.h"
#include "daemon/decision/sample.h"

typedef enum State {
        STATE_ACTIVE,
        STATE_IDLE,
        STATE_WARNING,
        STATE_STOPPING,
        STATE_STOPPED,
        STATE_PAUSED,
        STATE_COUNT,
} State;

typedef enum Verdict {
        VERDICT_UNKNOWN,
        VERDICT_IDLE,
        VERDICT_BUSY,
        VERDICT_ABSENT, /* built-in metrics only */
} Verdict;

const char *state_name(State state);
int state_from_name(const char *name);
const char *verdict_name(Verdict verdict); /* "idle" "busy" "unknown" "absent" */
int verdict_from_name(const char *name);   /* of the three that a plugin may cast; -1 else */

/* What a plugin said. Several subjects of one plugin are one vote each, with source "<id>/<name>". */
typedef struct Vote {
        char *source;
        Verdict verdict;
        char *reason;
        uint64_t begun;         /* when the plugin was asked: a last look counts only later ones */
        uint64_t received;
        uint64_t last_activity; /* 0: none told */
        gboolean vacuous;       /* nothing is set up that it could look at: its "idle" is nobody's word */
        JsonObject *details;    /* evidence as the plugin gave it, or NULL */
} Vote;

Vote *vote_new(const char *source, Verdict verdict, const char *reason, uint64_t begun, uint64_t received);
void vote_free(Vote *vote);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Vote, vote_free)

/* What the world around the decision looks like at the moment of a step. */
typedef struct Circumstances {
        uint64_t up_since;         /* boot or the latest resume; 0: long ago */
        gboolean paused;
        const char *block_hold;    /* who and why of one hold that has no end of its own, or NULL */
        uint64_t timed_hold_until; /* latest end of timed holds and postponements, 0 none */
        const char *timed_hold;    /* who and why of that one, or NULL */
        const char *termination;   /* what somebody else is about to do to this machine, or NULL: no stage of ours is
                                    * entered, and   one that was ends, unless a person wants the stop or the provider
                                    * was   asked */
        gboolean ready;            /* stopping only: handlers and delay holds have finished or run out of time */
        gboolean quiet;            /* a reason is wanted only where the state changes; else decision_reason() has it */
} Circumstances;

typedef struct Outcome {
        State state, previous;
        gboolean changed;          /* state differs from before this step */
        gboolean renewed;          /* it does not, but a person's request took its place, with a time and a reason of
                                    * its own */
        char *reason;              /* one line for a person; NULL only where `quiet` says so */
        gboolean idle;             /* the verdict of the algebra now */
        uint64_t idle_since;       /* the clock; 0 while active */
        uint64_t next_stop;        /* the stop itself; 0: unknowable */
        uint64_t next_step;        /* step again at the latest then; 0: nothing is waited for but input */
        gboolean look;             /* take a sample and ask every source now, then step again */
        gboolean call_provider; /* stopping, and every condition holds: ask the provider now, then say what came of it
                                 */
        uint64_t blind_since;      /* kept awake by unknown votes alone since then, 0 if not */
} Outcome;

void outcome_clear(Outcome *outcome);

/* One line of Explain. */
typedef struct Explained {
        char *source;
        Verdict verdict;
        Policy policy;
        char *reason;
        /* Metrics: value, threshold, mean_burst, mean_window, mean_long, high_seconds, measured_seconds; plugins:
         * their details and age_seconds; of both last_activity (monotonic µs, like all times here), policy and
         * on_error. */
        JsonObject *evidence;
} Explained;

void explained_free(Explained *explained);

typedef struct Decision Decision;

/* Keeps its own reference of the configuration. */
Decision *decision_new(Config *config, uint64_t now);
void decision_free(Decision *decision);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Decision, decision_free)

/* A reload: windows and votes stay. */
void decision_set_config(Decision *decision, Config *config);

/* A sample of the built-in metrics. A gap of more than 60 s since the one before restarts the clock (a paused VM). */
void decision_add_sample(Decision *decision, const Sample *sample);

/* Takes the vote over. One that began before the one already there is dropped. */
void decision_add_vote(Decision *decision, Vote *vote);

/* A source that should be heard: from here on its silence is unknown. Plugins are announced when enabled, and again
 * whenever that may have changed for how long they have to answer (0: as the configuration says of the source);
 * forgotten when disabled. Forgetting a plugin forgets its subjects "<id>/…", too. */
void decision_expect_source(Decision *decision, const char *source, uint64_t timeout, uint64_t now);
void decision_forget_source(Decision *decision, const char *source);

/* Resume: idleness counts from now on. What a person asked for meanwhile goes on. */
void decision_end_pause(Decision *decision, uint64_t now);

/* Boot, the machine's own resume: so, too, and a stop that the provider was asked for is over. */
void decision_restart_clock(Decision *decision, uint64_t now, const char *reason);

/* CancelStop: restarts the clock and ends warning, stopping and a requested stop. -EALREADY once the provider was
 * asked. */
int decision_cancel(Decision *decision, uint64_t now, const char *reason);

/* What was told of a stop that the machine decided on by itself is not so any more: ends its stage, before the
 * provider was asked; the clock runs on. TRUE: there was one. */
gboolean decision_call_off(Decision *decision, const char *reason);

/* Postpone: ends a stop that a person wants whatever holds there are, which the hold that comes of it would not; the
 * clock runs on. TRUE: there was one. */
gboolean decision_postpone(Decision *decision, const char *reason);

/* StopInstance: a person wants it. Goes through warning (if delay > 0) and stopping without asking the sources; only
 * decision_cancel(), decision_postpone() and, without force, a block hold end it. -EALREADY once a provider was asked
 * or while another request stands. */
typedef struct StopRequest {
        uint64_t delay;
        gboolean force;
        gboolean dry_run;
        const char *reason; /* "alice: going home" */
} StopRequest;

int decision_request_stop(Decision *decision, uint64_t now, const StopRequest *request);
gboolean decision_stop_requested(const Decision *decision, gboolean *ret_dry_run);
/* Why, where one stands; else NULL. */
const char *decision_stop_reason(const Decision *decision);
/* … that no hold ends and that is no dry run. */
const char *decision_stop_forced(const Decision *decision);

/* After call_provider. asked: from now on it is too late to cancel. Then one of: accepted (→ stopped); retry (it was
 * throttled or unreachable: call_provider again not before `not_before`, after a new look); refused (→ idle, latched
 * with that reason until decision_rearm(), nobody is warned again); rehearsed (a dry run came to its end: → stopped
 * for one step, then → idle, and no warning until there was activity again or another naptime has passed). */
void decision_provider_asked(Decision *decision, uint64_t now);
void decision_provider_accepted(Decision *decision, uint64_t now, const char *reason);
void decision_provider_retry(Decision *decision, uint64_t now, uint64_t not_before, const char *reason);
void decision_provider_refused(Decision *decision, uint64_t now, const char *reason);
void decision_rehearsed(Decision *decision, uint64_t now, const char *reason);
/* No stop could be asked for at all (no provider, an effect that is not allowed): latched as a refusal is, so that
 * nobody is warned of what cannot come. The latest reason counts, but the provider's own word stays. */
void decision_latch(Decision *decision, const char *reason);
/* The latch, if there is one, is the provider's own refusal: that a provider is there does not end it. */
gboolean decision_provider_has_refused(const Decision *decision);
void decision_rearm(Decision *decision, uint64_t now);
const char *decision_refusal(const Decision *decision); /* NULL: not latched */

/* The function itself. `outcome` is to be cleared by the caller. */
void decision_step(Decision *decision, uint64_t now, const Circumstances *circumstances, Outcome *outcome);

/* FALSE: in the same circumstances a step would conclude now what the latest one did. At rest most samples bring no
 * news. */
gboolean decision_has_news(const Decision *decision, uint64_t now);

/* The reason that a step without `quiet` would give now. Never NULL. */
char *decision_reason(Decision *decision, uint64_t now, const Circumstances *circumstances);

/* What the sources say now, whatever the state: whether that is idle, and the one that tells, or that all say so.
 * Never NULL. */
char *decision_assessment(Decision *decision, uint64_t now, gboolean *ret_idle);

/* Every source and its verdict in one line, to be compared with one of before. */
char *decision_verdicts(Decision *decision, uint64_t now);

/* Every source, built-in ones first, then plugins by name: a GPtrArray of Explained, with its free function set. */
GPtrArray *decision_explain(Decision *decision, uint64_t now);

/* What a restarted daemon needs: idle_since, state, latch, rehearsal, request, as a JSON object of our own. import
 * takes `now` and, as the caller measured them within the same boot, the age of the export and for how long nobody has
 * watched; a gap of more than 3 check intervals restarts the clock, a warning starts again in full, `stopping` comes
 * back with asked = TRUE if the provider had been asked (the caller then asks it for the state first). Malformed input
 * changes nothing: -EBADMSG. */
JsonObject *decision_export(const Decision *decision, uint64_t now);
int decision_import(Decision *decision, uint64_t now, uint64_t age, uint64_t gap, JsonObject *exported);
/* An export of this age says what one of now would. */
gboolean decision_is_as_exported(const Decision *decision, uint64_t now, uint64_t age, JsonObject *exported);
gboolean decision_was_asked(const Decision *decision);
