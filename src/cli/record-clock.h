/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between two looks at the daemon the machine may have slept, or stood still, or the daemon may have been away. A
 * trace has to say so, for the idle clock starts again then. */

#include <glib.h>

typedef struct RecordClock {
        gint64 monotonic, boottime; /* µs */
} RecordClock;

RecordClock record_clock_now(void);

/* The trace's name of what happened between the two, "resume" or "gap", or NULL. interval: µs between two looks. */
const char *record_clock_event(const RecordClock *before, const RecordClock *now, guint64 interval);
