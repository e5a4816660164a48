/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every sentence that a desktop shows, in the language of the session (po/); what the daemon and the people give as
 * reasons is in theirs. Pure text without markup: whether a server wants it escaped is the notification's business. */

#include <stdint.h>

#include <glib.h>

typedef enum StopPhase {
        STOP_NONE,      /* nothing is about to happen */
        STOP_SCHEDULED, /* a warning runs */
        STOP_STOPPING,  /* the last stage */
        STOP_CANCELLED, /* it is off, for a reason */
} StopPhase;

/* What the daemon last said. */
typedef struct Stop {
        StopPhase phase;
        gboolean dry_run;
        uint64_t deadline; /* wall clock, 0: not known */
        const char *reason;
} Stop;

/* "This machine stops at 22:41 CET (in 5 min)" */
char *words_title(const Stop *stop, uint64_t now);

/* The reason, and what to type. failure: why what a person asked for could not be done, or NULL. */
char *words_body(const Stop *stop, const char *failure);

/* What stands on the buttons. */
const char *words_postpone(void);
const char *words_cancel(void);

/* The reason that the daemon is given, which everybody reads in history. */
#define WORDS_ASKED "asked for on the desktop"
