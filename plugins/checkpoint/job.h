/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the administrator wrote about jobs that save their work when they are told to, one text each: a pattern of the
 * plugin `processes`, how they are told, and when they have done it.
 *
 *         train: cmdline='python3? .*train\.py' owner=alice signal=USR1 until=/srv/ckpt/%p.done
 *         sim:   name=^lmp$ signal=TERM
 *         solve: name=^solver$ command='/usr/local/sbin/save %p'
 *
 * %p is the process's number, %% a percent sign in the name of a file. A command has no other argument: whoever may
 * write these texts may have programs of root's run, and not say what they do. */

#include <glib.h>

#include "plugins/processes/patterns.h"

#define JOBS_MAX 32U

typedef enum JobUntil {
        JOB_UNTIL_EXIT,    /* the process has ended */
        JOB_UNTIL_FILE,    /* a file is there that was written after it was told */
        JOB_UNTIL_COMMAND, /* the command has ended */
        JOB_UNTIL_TOLD,    /* nothing is waited for */
} JobUntil;

typedef struct Job {
        Pattern *pattern;
        int signal;     /* 0: a command */
        char **command; /* NULL: a signal */
        JobUntil until;
        char *file;     /* of JOB_UNTIL_FILE */
} Job;

/* Job; NULL with error if one of the NULL-terminated texts is none. */
GPtrArray *jobs_parse(const char *const *texts, GError **error);
void job_free(Job *job);

/* The name of its signal, "SIGUSR1". */
const char *job_signal_name(int number);

/* With the process's number in its place. Caller frees. */
char *job_expand(const char *text, pid_t pid);
