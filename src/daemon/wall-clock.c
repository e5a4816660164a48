/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/wall-clock.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "util/duration.h"

/* More than this between the wall clock and the monotonic one, in either direction: somebody set it. Less may be
 * between two readings. */
#define CLOCK_WAS_SET (100 * USEC_PER_MSEC)
/* Two readings further apart than this tell no distance: the processor was somebody else's in between. */
#define READ_AT_ONCE (10 * USEC_PER_MSEC)
#define READ_ATTEMPTS 5
/* What is told of holds follows the clock by this, which network time changes in half an hour at the most; people hear
 * of what is worth a line. */
#define WORTH_FOLLOWING ((int64_t) USEC_PER_SEC)
#define WORTH_TELLING ((int64_t) USEC_PER_MINUTE)

/* Two clocks cannot be read at once, so that their distance is never measured the same twice. What a client compares
 * must be the same. */
uint64_t manager_realtime(Manager *manager, uint64_t monotonic) {
        uint64_t offset = 0;
        gboolean at_once = FALSE;

        for (unsigned i = 0; i < READ_ATTEMPTS && !at_once; i++) {
                uint64_t before = clock_monotonic();

                offset = usec_sub(clock_realtime(), before);
                at_once = usec_sub(clock_monotonic(), before) <= READ_AT_ONCE;
        }
        /* None at all would be another year. */
        if ((at_once || manager->wall_offset == 0) &&
            MAX(offset, manager->wall_offset) - MIN(offset, manager->wall_offset) > CLOCK_WAS_SET)
                manager->wall_offset = offset;
        return monotonic_to_realtime(monotonic, 0, manager->wall_offset);
}

static void tell(int64_t by) {
        /* To the second: two readings are some microseconds apart, and one day less those is 23 h 59 min. */
        uint64_t seconds = ((uint64_t) llabs(by) + USEC_PER_SEC / 2) / USEC_PER_SEC;
        g_autofree char *span = duration_format(seconds * USEC_PER_SEC);
        g_autofree char *field = g_strdup_printf("SNOOZE_CLOCK_USEC=%" PRId64, by);

        journal_write(LOG_NOTICE, MESSAGE_CLOCK_SET, (const char *[]) { field, NULL },
                      "The wall clock was set %s by %s: idleness, stages and holds go on as before, on clocks that "
                      "nobody sets. Times of day that were told before are off.",
                      by < 0 ? "back" : "forth", span);
}

/* Boot time, unlike monotonic time, runs on while the machine sleeps, as the wall clock does. */
void wall_clock_look(Manager *manager) {
        uint64_t before = clock_boottime(), realtime = clock_realtime();
        int64_t distance = (int64_t) realtime - (int64_t) before, by = distance - manager->wall_distance;

        if (usec_sub(clock_boottime(), before) > READ_AT_ONCE)
                return;
        if (!manager->wall_known) {
                manager->wall_known = TRUE;
                manager->wall_distance = distance;
                return;
        }
        if (llabs(by) < WORTH_FOLLOWING)
                return;
        manager->wall_distance = distance;
        if (llabs(by) >= WORTH_TELLING) {
                tell(by);
                manager->warning_told_off = TRUE;
        }
        holds_clock_was_set(manager->holds, by);
        if (manager->manager_slot)
                (void) sd_bus_emit_properties_changed(manager->bus, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "IdleSince",
                                                      "NextStop", NULL);
}
