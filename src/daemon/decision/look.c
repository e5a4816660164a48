/* SPDX-License-Identifier: Apache-2.0 */

/* The last look before a stage is entered: everybody is asked again, and only what was begun after the asking counts.
 */

#include "daemon/decision/decision-private.h"

#define LOOK_SLACK (5 * USEC_PER_SEC)
#define LOOK_RETRY_MAX (60 * USEC_PER_SEC)

static gboolean metric_quiet(const Source *source) {
        if (source->reading != READING_OK)
                return TRUE;
        if (window_is_empty(source->window))
                return source->value < source->threshold;
        return source->quiet || source->activity.mean_burst < source->threshold;
}

/* Load may have begun too short a time ago to be told from noise: no stage is entered before that is settled. */
gboolean look_quiet(const Decision *decision) {
        for (int i = 0; i < METRIC_COUNT; i++) {
                const Source *source = &decision->metrics[i];

                if (source->window && source_decides(decision, source) && !metric_quiet(source))
                        return FALSE;
        }
        return TRUE;
}

static gboolean has_answered(const Source *source, uint64_t since) {
        if (source->metric >= 0)
                return source->sampled >= since;
        return source->vote && source->vote->begun >= since;
}

/* The first that has not answered, or NULL. ignorable: also of those that are configured to be ignored then. */
static const Source *first_awaited(const Decision *decision, uint64_t since, gboolean ignorable) {
        for (guint i = 0; i < METRIC_COUNT + decision->plugins->len; i++) {
                const Source *source =
                        i < METRIC_COUNT ? &decision->metrics[i] : decision->plugins->pdata[i - METRIC_COUNT];

                if (source_decides(decision, source) && !decision_outdated(decision, source) &&
                    !has_answered(source, since) && (ignorable || source->config.on_error != ON_ERROR_IGNORE))
                        return source;
        }
        return NULL;
}

const Source *look_awaited(const Decision *decision) {
        return decision->look.since > 0 ? first_awaited(decision, decision->look.since, TRUE) : NULL;
}

static uint64_t longest_timeout(const Decision *decision) {
        uint64_t longest = 0;

        for (guint i = 0; i < decision->plugins->len; i++) {
                const Source *source = decision->plugins->pdata[i];

                if (source_decides(decision, source))
                        longest = MAX(longest, source_timeout(source));
        }
        return longest;
}

void look_drop(Decision *decision) {
        decision->look = (Look) {};
}

/* Not again at once: whoever does not answer would be asked in a tight loop. */
void look_abandon(Decision *decision, uint64_t now) {
        uint64_t pause = (uint64_t) (decision->config->check_interval_seconds * (double) USEC_PER_SEC);

        if (decision->look.since > 0)
                decision->look = (Look) { .retry_at = usec_add(now, MIN(pause, LOOK_RETRY_MAX)) };
}

/* To be called while everything is idle and nothing else stands in the way. Begins a look, or tells whether the one
 * that was begun is complete and found nothing. */
gboolean look_passed(Decision *decision, uint64_t now, Outcome *outcome) {
        if (decision->look.since == 0) {
                if (now < decision->look.retry_at || !look_quiet(decision))
                        return FALSE;
                decision->look.since = now;
                /* One that is being asked already has to end with that before it is asked again. */
                decision->look.deadline = usec_add(now, usec_add(2 * longest_timeout(decision), LOOK_SLACK));
                outcome->look = TRUE;
                return FALSE;
        }
        if (!first_awaited(decision, decision->look.since, now < decision->look.deadline)) {
                look_drop(decision);
                return look_quiet(decision);
        }
        if (now >= decision->look.deadline)
                look_abandon(decision, now);
        return FALSE;
}
