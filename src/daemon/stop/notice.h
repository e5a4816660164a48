/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the people at the terminals are told, in the words of design and manual: pure text. */

#include <stdint.h>

#include <glib.h>

typedef enum NoticePhase {
        NOTICE_SCHEDULED, /* a warning began */
        NOTICE_REMINDER,  /* a minute before its end, or when the clock was set */
        NOTICE_CANCELLED, /* it is off */
} NoticePhase;

const char *notice_phase_name(NoticePhase phase); /* "scheduled" "reminder" "cancelled" */

typedef struct Notice {
        NoticePhase phase;
        gboolean dry_run;
        uint64_t now;        /* wall clock */
        uint64_t stop_time;  /* wall clock */
        uint64_t idle_since; /* wall clock, 0: a person wants the stop */
        const char *action;  /* a name of base/stop-actions.h */
        const char *reason;
} Notice;

/* One line without a newline. */
char *notice_text(const Notice *notice);
