/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One program, run once: its process, what it says and its deadline. It has a process group of its own, so that what
 * it leaves behind goes with it; what left the group as well becomes a child of ours (we are its subreaper) and is
 * ended then. */

#include <stdint.h>

#include <glib.h>
#include <systemd/sd-event.h>

#define RUN_LINE_MAX 4096U              /* bytes of a line; the rest of a longer one is dropped */
#define RUN_OUTPUT_MAX (1024U * 1024U)  /* for those who end what writes without end */

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
        uint64_t duration;  /* µs */
        const char *line;   /* the last one that is not empty; "" */
        const char *output; /* the end of what it wrote, valid UTF-8; "" */
        uint64_t written;   /* bytes in all */
} RunOutcome;

typedef struct Runner Runner;
typedef struct Run Run;

typedef void (*RunDone)(const RunOutcome *outcome, void *userdata);

typedef struct RunParameters {
        const char *name;
        char **arguments;               /* [0]: the program's absolute path */
        const char *const *environment; /* NAME=VALUE besides PATH, HOME and LC_ALL; NULL: nothing */
        const char *input;              /* its standard input; NULL: nothing */
        uint64_t timeout;               /* µs until SIGTERM */
        uint64_t grace;                 /* µs from there to SIGKILL; 0: a second */
        uint64_t output_max;            /* who writes more is ended; 0: nobody */
        size_t output_kept;             /* so many bytes of the end of its output are kept for the outcome */
        gboolean errors_too;            /* standard error is output, too; else it is that of the caller */
        gboolean await_end;             /* of what was cut is told when it has ended, not at its deadline */
        RunDone done;                   /* called once, never from within run_start() */
        void *userdata;
} RunParameters;

/* slot_free: one may be started again; may be NULL. */
int runner_new(sd_event *event, void (*slot_free)(void *userdata), void *userdata, Runner **ret);
void runner_free(Runner *runner);
/* Processes that live, also those that were given up and do not die. */
unsigned runner_count(const Runner *runner);
/* One of this name was told to end and has not. */
gboolean runner_hangs(const Runner *runner, const char *name);

/* NULL: without a timer there is no deadline, and so no run. A program that cannot be started is told of as
 * RUN_FAILED. */
Run *run_start(Runner *runner, const RunParameters *parameters);
/* Its deadline is this moment of the monotonic clock, if that is earlier; 0: now. */
void run_shorten(Run *run, uint64_t deadline);
/* Ends it; done is not called any more. */
void run_give_up(Run *run);
