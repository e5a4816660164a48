/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/stop/notice.h"

#include "base/clock.h"
#include "base/stop-actions.h"
#include "config.h"
#include "util/duration.h"

const char *notice_phase_name(NoticePhase phase) {
        static const char *const names[] = { "scheduled", "reminder", "cancelled" };

        return names[phase];
}

static const char *verb(const Notice *notice) {
        if (g_strcmp0(notice->action, stop_action_names[STOP_ACTION_HIBERNATE]) == 0)
                return notice->dry_run ? "would hibernate" : "hibernates";
        if (g_strcmp0(notice->action, stop_action_names[STOP_ACTION_SUSPEND]) == 0)
                return notice->dry_run ? "would be suspended" : "is suspended";
        return notice->dry_run ? "would stop" : "stops";
}

char *notice_text(const Notice *notice) {
        g_autofree char *when = moment_format(notice->stop_time, notice->now, TRUE);
        /* To the nearest second: the text takes a moment to be made, and "in 4 min 59 s" is nobody's plan. */
        g_autofree char *left = duration_format(usec_sub(notice->stop_time + USEC_PER_SEC / 2, notice->now));
        g_autofree char *why = NULL;

        if (notice->phase == NOTICE_CANCELLED)
                return g_strdup_printf("This machine stays on: %s", notice->reason);

        if (notice->idle_since > 0) {
                g_autofree char *since = moment_format(notice->idle_since, notice->now, FALSE);

                why = g_strdup_printf("idle since %s", since);
        } else
                why = g_strdup(notice->reason);

        return g_strdup_printf("%sThis machine %s at %s (in %s): %s. Keep it on: " SNOOZE_COMMAND
                               " postpone 2h · why: " SNOOZE_COMMAND " why",
                               notice->dry_run ? "Dry run: " : "", verb(notice), when, left, why);
}
