/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a run says: exit status 0 is idle, 1 busy, anything else unknown. The last line of its output is the reason, as
 * text, or as a JSON object of which `reason` (or `error`) is the reason, `last_activity` (µs since the epoch) goes to
 * the clock, `is_idle` has to agree with the exit status, and what else is short and simple, also below `details`, is
 * shown. No I/O here. */

#include <glib.h>
#include <json-glib/json-glib.h>

#include "run/run.h"

#define ANSWER_TEXT_MAX 240U   /* bytes */
#define ANSWER_DETAILS_MAX 6U

typedef struct Answer {
        const char *verdict;     /* idle, busy, unknown */
        char *reason;
        char *output;            /* the last line, where the reason is not that; or NULL */
        JsonObject *details;     /* texts, numbers, booleans; or NULL */
        uint64_t last_activity;  /* µs since the epoch; 0: does not say */
        int exit_status;         /* -1: none */
        uint64_t duration;       /* µs; 0: was not run */
        gboolean cut;            /* answer_cut() left something out */
} Answer;

void answer_read(const RunOutcome *outcome, Answer *ret);
/* It was not run. */
void answer_unknown(const char *reason, Answer *ret);
/* What it says beside its reason: the bytes of `output` and `details`. */
gsize answer_evidence_size(const Answer *answer);
/* How many bytes each of them may have so that all together have at most `total`, and none less than another of its
 * size; G_MAXSIZE: all that they have. */
gsize evidence_share(const gsize *sizes, gsize n, gsize total);
/* Leaves at most so many bytes of evidence. */
void answer_cut(Answer *answer, gsize max);
void answer_clear(Answer *answer);
