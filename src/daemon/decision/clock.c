/* SPDX-License-Identifier: Apache-2.0 */

/* The idle clock: the moment from which idleness counts. Activity and restarts move it forward, nothing moves it back.
 */

#include "daemon/decision/decision-private.h"

void idle_clock_move(Decision *decision, uint64_t moment) {
        decision->idle_since = MAX(decision->idle_since, moment);
}

/* A source that was unknown until now is about to be heard again: if its silence counted as activity, it did so up to
 * this moment, whether or not anybody stepped meanwhile. */
void idle_clock_settle_unknown(Decision *decision, const Source *source, uint64_t until) {
        uint64_t since;

        if (source_verdict(source, until, &since) == VERDICT_UNKNOWN &&
            unknown_is_activity(decision, source, since, until))
                idle_clock_move(decision, until);
}
