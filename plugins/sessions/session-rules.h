/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which terminals and sessions are at work. Pure: a snapshot and what was seen before go in, verdicts come out; no
 * clock, no files.
 *
 * A terminal is busy while its user types, and while the job in its foreground works: the job's processes used 5 % of
 * one CPU or did I/O within 10 minutes, or have done neither for less than `foreground_max_hours`. A job is what is in
 * the foreground group and no idle program, with all its descendants; what runs below a monitor belongs to the
 * monitor. Where a person's program (an editor, a pager) sits in the same group, the rest of the group waits for the
 * person: it counts while it works, not by waiting. */

#include "snapshot.h"

#define RULES_HISTORY_MAX 512U
#define RULES_VOTES_MAX 64U
#define RULES_TEXT_SIZE 192U

typedef struct RulesConfig {
        uint64_t input_idle;     /* µs since the last input after which nobody types */
        uint64_t foreground_max; /* µs that a job may do nothing */
        uint64_t work_within;    /* µs since a job's last work */
        double cpu_share;        /* of one CPU: 0.05 */
} RulesConfig;

typedef enum RulesVerdict {
        RULES_IDLE,
        RULES_UNKNOWN,
        RULES_BUSY,
} RulesVerdict;

typedef struct RulesVote {
        char name[RULES_TEXT_SIZE]; /* "pts/3", "session 2" */
        char user[SNAPSHOT_NAME_SIZE];
        RulesVerdict verdict;
        char reason[RULES_TEXT_SIZE];
        uint64_t last_activity; /* wall clock µs; 0: unknown */
} RulesVote;

typedef struct RulesResult {
        RulesVerdict verdict;
        char reason[512];
        uint64_t last_activity; /* wall clock µs, never earlier than in the result before; 0: none yet */
        RulesVote votes[RULES_VOTES_MAX];
        size_t n_votes;
} RulesResult;

typedef struct Rules Rules;

/* NULL without memory. */
Rules *rules_new(void);
Rules *rules_free(Rules *rules);
void rules_freep(Rules **location);

/* programs stay the caller's and have to live as long. What was seen before is kept. */
void rules_configure(Rules *rules, const RulesConfig *config, const Programs *programs);

void rules_evaluate(Rules *rules, const Snapshot *snapshot, RulesResult *ret);
