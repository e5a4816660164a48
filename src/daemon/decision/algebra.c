/* SPDX-License-Identifier: Apache-2.0 */

/* From what each source says to what all say together:
 *
 *     no required or sufficient plugin is busy, and input is not busy,
 *     and (no other required built-in metric is busy, or a sufficient plugin freshly says idle),
 *     and at least one required or sufficient source says idle.
 *
 * A built-in metric cannot be sufficient in this sense; where it is configured so, it counts as required. */

#include <math.h>

#include "daemon/decision/decision-private.h"

typedef struct Tally {
        unsigned idle, unsure;
        const Source *busy, *unknown;
        double busy_weight;
        gboolean blind_too_long;
} Tally;

gboolean source_has_say(const Source *source) {
        return source->config.policy == POLICY_REQUIRED || source->config.policy == POLICY_SUFFICIENT;
}

gboolean source_decides(const Decision *decision, const Source *source) {
        if (!source_has_say(source))
                return FALSE;
        return !(decision->overriding && source->metric >= 0 && source->metric != METRIC_INPUT);
}

gboolean unknown_is_activity(const Decision *decision, const Source *source, uint64_t since, uint64_t now) {
        double grace = decision->config->unknown_grace_seconds * (double) USEC_PER_SEC;

        if (!source_decides(decision, source) || source->config.on_error == ON_ERROR_IGNORE)
                return FALSE;
        /* The grace is for a gap between idle answers; after "busy", silence is more of the same. */
        return source->known == VERDICT_BUSY || (double) usec_sub(now, since) > grace;
}

/* Which of several busy sources a reason names: people first, then what a plugin knows, then the metric that is
 * furthest above its threshold. */
static double weight_of(const Source *source) {
        if (source->metric == METRIC_INPUT)
                return INFINITY;
        if (source->metric < 0)
                return G_MAXDOUBLE;
        if (source->threshold <= 0)
                return 1;
        return MAX(source->activity.mean_window, source->activity.mean_long) / source->threshold;
}

static void count_unknown(Decision *decision, Tally *tally, const Source *source, uint64_t since, uint64_t now) {
        gboolean too_long;

        if (source->config.on_error == ON_ERROR_IGNORE)
                return;
        too_long = unknown_is_activity(decision, source, since, now);
        if (too_long)
                idle_clock_move(decision, now);
        else
                tally->unsure++;
        if (!tally->unknown || (too_long && !tally->blind_too_long))
                tally->unknown = source;
        tally->blind_too_long |= too_long;
}

static void count(Decision *decision, Tally *tally, const Source *source, uint64_t now) {
        uint64_t since;
        Verdict verdict = source_verdict(source, now, &since);

        switch (verdict) {
        case VERDICT_UNKNOWN:
                count_unknown(decision, tally, source, since, now);
                return;
        case VERDICT_BUSY:
                if (!tally->busy || weight_of(source) > tally->busy_weight) {
                        tally->busy = source;
                        tally->busy_weight = weight_of(source);
                }
                break;
        case VERDICT_IDLE:
                tally->idle += !source->vote || !source->vote->vacuous;
                break;
        case VERDICT_ABSENT:
                return;
        }
        idle_clock_move(decision, MIN(source_activity(source, verdict, now), now));
}

/* Where it has subjects, they say what there is to say: "idle" of the plugin itself is only that it has looked. */
static gboolean speaks_for_itself(const Decision *decision, const Source *source) {
        g_autofree char *prefix = g_strconcat(source->name, "/", NULL);
        guint index;

        (void) decision_find(decision, prefix, &index);
        return index == decision->plugins->len ||
               !g_str_has_prefix(((const Source *) decision->plugins->pdata[index])->name, prefix);
}

static gboolean somebody_suffices(const Decision *decision, uint64_t now) {
        uint64_t since;

        for (guint i = 0; i < decision->plugins->len; i++) {
                const Source *source = decision->plugins->pdata[i];

                if (source->config.policy == POLICY_SUFFICIENT && !decision_outdated(decision, source) &&
                    source_verdict(source, now, &since) == VERDICT_IDLE && !source->vote->vacuous &&
                    speaks_for_itself(decision, source))
                        return TRUE;
        }
        return FALSE;
}

static void conclude(const Tally *tally, Assessment *ret) {
        if (tally->busy)
                *ret = (Assessment) { ASSESSMENT_BUSY, tally->busy, VERDICT_BUSY, FALSE };
        else if (tally->blind_too_long)
                *ret = (Assessment) { ASSESSMENT_BUSY, tally->unknown, VERDICT_UNKNOWN, TRUE };
        else if (tally->unknown)
                *ret = (Assessment) { ASSESSMENT_UNSURE, tally->unknown, VERDICT_UNKNOWN, TRUE };
        else if (tally->idle == 0)
                *ret = (Assessment) { ASSESSMENT_BUSY, NULL, VERDICT_UNKNOWN, TRUE };
        else
                *ret = (Assessment) { ASSESSMENT_IDLE, NULL, VERDICT_IDLE, FALSE };
}

void algebra_assess(Decision *decision, uint64_t now, Assessment *ret) {
        Tally tally = {};

        decision->overriding = somebody_suffices(decision, now);
        for (int i = 0; i < METRIC_COUNT; i++)
                if (source_decides(decision, &decision->metrics[i]))
                        count(decision, &tally, &decision->metrics[i], now);
        for (guint i = 0; i < decision->plugins->len; i++) {
                const Source *source = decision->plugins->pdata[i];

                if (source_decides(decision, source) && !decision_outdated(decision, source))
                        count(decision, &tally, source, now);
        }
        conclude(&tally, ret);
}
