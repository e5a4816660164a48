/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/circumstances.h"

#include "base/clock.h"
#include "util/line.h"

void circumstances_words_clear(CircumstancesWords *words) {
        g_clear_pointer(&words->block, g_free);
        g_clear_pointer(&words->timed, g_free);
}

static char *holder(const Hold *hold) {
        return *hold->why ? g_strdup_printf("%s (%s)", hold->who, hold->why) : g_strdup(hold->who);
}

void circumstances_describe(Manager *manager, Circumstances *ret, CircumstancesWords *ret_words) {
        const Hold *block = holds_block(manager->holds), *timed = holds_timed(manager->holds);

        *ret = (Circumstances) { .up_since = manager->up_since,
                                 .paused = manager->pause_until > 0,
                                 .termination = events_termination(manager->events),
                                 .quiet = TRUE };
        if (block)
                ret->block_hold = ret_words->block = holder(block);
        if (timed) {
                ret->timed_hold = ret_words->timed = holder(timed);
                ret->timed_hold_until = usec_add(clock_monotonic(), usec_sub(timed->until_boottime, clock_boottime()));
        }
}

const char *manager_reason(Manager *manager) {
        g_auto(CircumstancesWords) words = {};
        Circumstances circumstances;

        if (!manager->outcome.reason) {
                circumstances_describe(manager, &circumstances, &words);
                manager->outcome.reason = decision_reason(manager->decision, clock_monotonic(), &circumstances);
                /* Each of its parts is one line by now. Were one not, what stands behind the break would be a word of
                 * ours to systemd (sd_notify). */
                line_clean(manager->outcome.reason);
        }
        return manager->outcome.reason;
}
