/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/record-clock.h"

#include "base/clock.h"

/* The daemon's own measures. */
#define SLEEP_SEEN_USEC (2 * (gint64) G_USEC_PER_SEC)
#define GAP_USEC (60 * (gint64) G_USEC_PER_SEC)

RecordClock record_clock_now(void) {
        return (RecordClock) { .monotonic = (gint64) clock_monotonic(), .boottime = (gint64) clock_boottime() };
}

const char *record_clock_event(const RecordClock *before, const RecordClock *now, guint64 interval) {
        gint64 awake = now->monotonic - before->monotonic, all = now->boottime - before->boottime;

        if (all - awake > SLEEP_SEEN_USEC)
                return "resume";
        return awake > MAX(GAP_USEC, (gint64) MIN(3 * (double) interval, (double) G_MAXINT64 / 2)) ? "gap" : NULL;
}
