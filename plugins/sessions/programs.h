/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Programs that sit in the foreground of a terminal without working. Which names count is configuration
 * (`idle_programs`); what each known one is good for stands here, because that decides about the company it keeps:
 * what runs below a monitor is its redraw, and what shares a terminal with an editor or a pager waits for a person. */

#include <stdbool.h>
#include <stddef.h>

/* As the kernel cuts the name of a process. */
#define PROGRAM_NAME_SIZE 16U
#define PROGRAMS_MAX 1024U

typedef enum ProgramKind {
        PROGRAM_JOB,         /* not idle at all */
        PROGRAM_SHELL,
        PROGRAM_INTERACTIVE, /* editors, pagers, and whatever the administrator added */
        PROGRAM_MONITOR,     /* draws again and again, with children's help */
        PROGRAM_FOLLOWER,    /* passes on what others write: tail */
        PROGRAM_FRAME,       /* holds a terminal for others: multiplexers, sudo, login */
} ProgramKind;

typedef struct Programs Programs;

/* names: NULL-terminated; NULL stands for every known name. NULL without memory. */
Programs *programs_new(const char *const *names);
Programs *programs_free(Programs *programs);
void programs_freep(Programs **location);

/* name: of a process, as in /proc/PID/stat. */
ProgramKind programs_kind(const Programs *programs, const char *name);

/* All known names, NULL-terminated: the default of idle_programs. */
const char *const *programs_known(void);
