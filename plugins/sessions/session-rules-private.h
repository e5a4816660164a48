/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is remembered of jobs between two checks: for session-rules.c, and for rules-memory.c, which keeps it while the
 * plugin is away. */

#include "session-rules.h"

typedef struct Use {
        uint64_t cpu, storage, characters, switches, faults;
} Use;

/* One foreground group, or (terminal 0) what a session without a terminal runs. */
typedef struct Job {
        dev_t terminal;
        pid_t group;
        char name[PROGRAM_NAME_SIZE];
        bool waits_for_person;
        bool blocked; /* in uninterruptible sleep: the kernel is at its I/O */
        uint64_t oldest, top;
        Use use;
} Job;

typedef struct History {
        dev_t terminal;
        pid_t group;
        uint64_t seen, measured, last_work;
        bool worked;  /* seen or taken for granted; else last_work is its beginning */
        Use use;      /* when measured */
        double share; /* of one CPU between the last two measurements */
} History;

struct Rules {
        RulesConfig config;
        const Programs *programs;
        History history[RULES_HISTORY_MAX];
        size_t n_history;
        uint64_t last_activity;
        /* Of one evaluation. */
        Job jobs[RULES_HISTORY_MAX];
        size_t n_jobs;
        bool overflow; /* there were more */
};
