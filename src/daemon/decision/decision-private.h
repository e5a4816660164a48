/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the nouns of decision/ share. */

#include "base/clock.h"
#include "daemon/decision/decision.h"
#include "daemon/decision/window.h"

#define SUBJECTS_MAX 1024U /* no more "<id>/<name>" once there are so many sources */
#define SAMPLE_GAP (60 * USEC_PER_SEC)

/* A metric, a plugin, or a subject of one. */
typedef struct Source {
        char *name;
        int metric; /* Metric, or -1 */
        SourceConfig config;

        Verdict known;          /* its latest verdict that was not unknown; VERDICT_UNKNOWN: none yet */
        uint64_t stale_at;      /* from then on its word is too old; USEC_INFINITY: never */
        uint64_t unknown_since; /* 0: it is not unknown, or became so by silence only */

        /* Metrics. */
        gboolean heard;
        Reading reading;
        double value, threshold;
        uint64_t sampled; /* the latest sample, whatever its reading */
        uint64_t gap;     /* sample_gap() of the configuration */
        Window *window;   /* NULL for input */
        gboolean quiet; /* nothing in the window is high: there is no activity, and its means are not worked out */
        Activity activity;

        /* Plugins. */
        uint64_t timeout; /* that its plugin has to answer; 0: as the configuration says */
        Vote *vote;       /* NULL: not heard yet */
        uint64_t crowded; /* `begun` of a round that brought more subjects than there is room for; 0: none */
} Source;

/* The last look: begun, and waiting for the answers. */
typedef struct Look {
        uint64_t since; /* 0: none under way */
        uint64_t deadline;
        uint64_t retry_at; /* no new one before */
} Look;

typedef struct Request {
        gboolean standing, force, dry_run;
        uint64_t delay;
        char *reason;
} Request;

struct Decision {
        Config *config;
        Source metrics[METRIC_COUNT];
        GPtrArray *plugins; /* Source, by name */
        uint64_t last_sample;
        unsigned cpus;
        gboolean overriding; /* a sufficient plugin says idle: built-in metrics but input do not decide */

        uint64_t idle_since; /* the clock: never goes back */
        uint64_t blind_since;

        State state, reported; /* reported: what the latest step said */
        gboolean renewed;      /* a person's request took the place of a stage of the same name */
        uint64_t calm_until;   /* decision_has_news() */
        char *stage_reason;
        uint64_t deadline; /* of the warning */
        uint64_t warned_clock; /* idle_since when the warning began; 0: another process saw that */
        Look look;
        gboolean called, asked; /* call_provider was said; the provider was asked */
        gboolean attempted;     /* asked at some time in this stop: it may have been heard, whatever came back */
        uint64_t not_before;    /* the provider wants to be left alone until then */
        char *refusal;
        gboolean refused; /* by the provider itself */
        uint64_t rehearsed_at; /* 0: no rehearsal that still counts */
        gboolean rehearsing;   /* `stopped` was only played: idle follows */
        Request request;
};

/* What all sources say together. */
typedef enum AssessmentKind {
        ASSESSMENT_IDLE,
        ASSESSMENT_UNSURE, /* unknowns within their grace are all that is between it and idle */
        ASSESSMENT_BUSY,
} AssessmentKind;

typedef struct Assessment {
        AssessmentKind kind;
        const Source *telling; /* the source that a reason is to name, or NULL: nothing says anything */
        Verdict telling_verdict;
        gboolean blind;
} Assessment;

/* source.c */
void source_init(Source *source, const char *name, int metric, const Config *config, uint64_t now);
void source_clear(Source *source);
Source *source_new(const char *name, const Config *config, uint64_t now);
void source_free(Source *source);
void source_configure(Source *source, const Config *config, unsigned cpus);
void source_set_timeout(Source *source, uint64_t timeout, const Config *config);
uint64_t source_timeout(const Source *source);
void source_take_sample(Source *source, const Sample *sample, const Config *config);
void source_take_vote(Source *source, Vote *vote, const Config *config);
Verdict source_verdict(const Source *source, uint64_t now, uint64_t *ret_unknown_since);
Verdict source_metric_verdict(const Source *source); /* by its latest sample, however old */
uint64_t source_activity(const Source *source, Verdict verdict, uint64_t now); /* 0: none */
uint64_t sample_gap(const Config *config);

/* decision.c */
Source *decision_find(const Decision *decision, const char *name, guint *ret_index);
/* A subject that its plugin no longer speaks of. */
gboolean decision_outdated(const Decision *decision, const Source *source);

/* algebra.c */
gboolean source_has_say(const Source *source);
gboolean source_decides(const Decision *decision, const Source *source);
gboolean unknown_is_activity(const Decision *decision, const Source *source, uint64_t since, uint64_t now);
void algebra_assess(Decision *decision, uint64_t now, Assessment *ret);

/* clock.c */
void idle_clock_move(Decision *decision, uint64_t moment);
void idle_clock_settle_unknown(Decision *decision, const Source *source, uint64_t until);

/* look.c */
gboolean look_quiet(const Decision *decision);
gboolean look_passed(Decision *decision, uint64_t now, Outcome *outcome);
void look_drop(Decision *decision);
void look_abandon(Decision *decision, uint64_t now);
/* One whose answer the look under way still waits for, or NULL. */
const Source *look_awaited(const Decision *decision);

/* stage.c */
void stage_advance(Decision *decision, uint64_t now, const Circumstances *circumstances, const Assessment *assessment,
                   Outcome *outcome);
uint64_t stage_due(const Decision *decision, const Circumstances *circumstances);
uint64_t stage_calm_until(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                          const Assessment *assessment);
uint64_t stage_next_stop(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                         const Assessment *assessment);
uint64_t stage_next_step(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                         const Assessment *assessment, gboolean entered);
void stage_enter(Decision *decision, State state, const char *reason);
void stage_end_request(Decision *decision);

/* explain.c */
char *explain_telling(const Decision *decision, uint64_t now, const Assessment *assessment);
char *explain_source(const Source *source, const Config *config, Verdict verdict, uint64_t now);
char *explain_state(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                    const Assessment *assessment);
