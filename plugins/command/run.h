/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One program, run once: its process, its last line and its deadline. It has a process group of its own, so that what it leaves behind
 * goes with it; what left the group as well becomes a child of ours (we are its subreaper) and is ended then. */

#include <stdint.h>

#include <glib.h>
#include <systemd/sd-event.h>

#define RUN_LINE_MAX 4096U              /* bytes of a line; the rest of a longer one is dropped */
#define RUN_OUTPUT_MAX (1024U * 1024U)  /* of all that it writes: who writes more is no check */

typedef enum RunEnd {
        RUN_EXITED,    /* number: the exit status */
        RUN_KILLED,    /* number: the signal */
        RUN_TIMED_OUT,
        RUN_FLOODED,
        RUN_FAILED,    /* it could not be started; number: the errno */
} RunEnd;

typedef struct RunOutcome {
        RunEnd end;
        int number;
        uint64_t duration; /* µs */
        const char *line;  /* the last one that is not empty; "" */
} RunOutcome;

typedef struct Runner Runner;
typedef struct Run Run;

typedef void (*RunDone)(const RunOutcome *outcome, void *userdata);

/* slot_free: one may be started again. */
int runner_new(sd_event *event, void (*slot_free)(void *userdata), void *userdata, Runner **ret);
void runner_free(Runner *runner);
/* Processes that live, also those that were given up and do not die. */
unsigned runner_count(const Runner *runner);
/* One of this name was told to end and has not. */
gboolean runner_hangs(const Runner *runner, const char *name);

/* done is called once, never from within: when it ended, or at the deadline. */
Run *run_start(Runner *runner, const char *name, char **arguments, uint64_t timeout, RunDone done, void *userdata);
/* Ends it; done is not called any more. */
void run_give_up(Run *run);
