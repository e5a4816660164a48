/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Processes that are told to save their work, and waited for. A process is told through a descriptor of it, which is
 * opened before it is looked at a second time: so nobody else is told who got its number meanwhile. */

#include <stdint.h>

#include <glib.h>
#include <systemd/sd-event.h>

#include "job.h"
#include "run/run.h"

/* So many processes are told at most, each job and user having a part of the places, and so many commands run at once.
 */
#define TARGETS_MAX 64U
#define COMMANDS_MAX 8U

typedef struct TargetOutcome {
        const char *job; /* the pattern's name */
        const char *name;
        pid_t pid;
        gboolean done;
        uint64_t duration;   /* µs, until it was done, or until nobody waited any longer */
        const char *problem; /* why it is not; NULL else */
} TargetOutcome;

/* One that was told already, perhaps by an instance before this one. */
typedef struct ToldProcess {
        pid_t pid;
        uint64_t started; /* as ProcessStat has it: nobody else has both */
        uint64_t when;    /* wall clock ns, by the clock that dates files */
} ToldProcess;

typedef struct Targets Targets;

/* Called once, never from within targets_begin() or targets_shorten(); targets is gone when it returns. */
typedef void (*TargetsDone)(const TargetOutcome *outcomes, guint n, void *userdata);

typedef struct TargetsParameters {
        sd_event *event;
        Runner *runner;        /* whose slot_free calls targets_continue() */
        const GPtrArray *jobs; /* Job; stays as long as the targets */
        uint64_t deadline;     /* monotonic µs; commands end two seconds before, so that SIGTERM is of use */
        const GArray *told;    /* ToldProcess: waited for, and not told again; NULL: none */
        TargetsDone done;
        void *userdata;
} TargetsParameters;

/* Finds them and tells them. *ret_problem: why not all were seen, else NULL; static. 0 or a negative errno. */
int targets_begin(const TargetsParameters *parameters, const char **ret_problem, Targets **ret);
/* The deadline is this moment, if that is earlier; 0: now. */
void targets_shorten(Targets *targets, uint64_t deadline);
/* Those that need not be told again: that got their signal, or whose command has ended well. */
void targets_list_told(const Targets *targets, GArray *told);
/* A command may be started again. */
void targets_continue(Targets *targets);
/* Without telling anybody; NULL is fine. */
void targets_free(Targets *targets);
