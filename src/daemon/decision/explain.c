/* SPDX-License-Identifier: Apache-2.0 */

/* The decision in words, for Explain, `snooze why` and the Reason property. */

#include <math.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/decision/decision-private.h"
#include "util/duration.h"
#include "util/json.h"

static const char *const units[METRIC_COUNT] = {
        [METRIC_CPU] = "%",     [METRIC_MEMORY] = "%", [METRIC_NETWORK] = "kB/s",
        [METRIC_DISK] = "kB/s", [METRIC_GPU] = "%",
};

/* Two decimals at most, none where they would say nothing; a point whatever the locale. */
static char *show(double value) {
        char buffer[G_ASCII_DTOSTR_BUF_SIZE + 320];
        gsize n;

        g_ascii_formatd(buffer, sizeof(buffer), fabs(value) >= 100 ? "%.0f" : "%.2f", value);
        if (strchr(buffer, '.')) {
                n = strlen(buffer);
                while (buffer[n - 1] == '0')
                        buffer[--n] = '\0';
                if (buffer[n - 1] == '.')
                        buffer[n - 1] = '\0';
        }
        return g_strdup(buffer);
}

static char *show_seconds(double seconds) {
        return duration_format(seconds >= 1e12 ? USEC_INFINITY : (uint64_t) llround(seconds * (double) USEC_PER_SEC));
}

static char *explain_input(const Source *source) {
        g_autofree char *idle = show_seconds(source->value), *needed = show_seconds(source->threshold);

        if (source->value >= source->threshold)
                return g_strdup_printf("last input %s ago", idle);
        return g_strdup_printf("last input %s ago, idle from %s on", idle, needed);
}

static char *compare(const Source *source, double value, double seconds) {
        g_autofree char *left = show(value), *right = show(source->threshold), *span = NULL;
        const char *unit = units[source->metric], *sign = value >= source->threshold ? "≥" : "<";

        if (seconds <= 0)
                return g_strdup_printf("%s %s %s %s %s", left, unit, sign, right, unit);
        span = show_seconds(seconds);
        return g_strdup_printf("%s %s over %s %s %s %s", left, unit, span, sign, right, unit);
}

static char *explain_metric(const Source *source, const Config *config) {
        g_autofree char *mean = NULL, *value = NULL;

        switch (source->activity.rule) {
        case ACTIVITY_SHORT:
                return compare(source, source->activity.mean_window, 0);
        case ACTIVITY_LONG:
                return compare(source, source->activity.mean_long, config->long_window_seconds);
        case ACTIVITY_UNSURE:
                value = compare(source, source->value, 0);
                return g_strdup_printf("%s, but measured for too short a time to tell", value);
        case ACTIVITY_NONE:
                break;
        }
        if (source->value < source->threshold)
                return compare(source, source->value, 0);
        value = show(source->value);
        mean = compare(source, source->activity.mean_window, config->window_seconds);
        return g_strdup_printf("%s %s is noise so far: %s", value, units[source->metric], mean);
}

char *explain_source(const Source *source, const Config *config, Verdict verdict, uint64_t now) {
        g_autofree char *age = NULL;

        /* It has no say, and mostly nobody asks it: that nothing is known of it is no news. */
        if (source->config.policy == POLICY_OFF && (verdict == VERDICT_ABSENT || verdict == VERDICT_UNKNOWN))
                return g_strdup("turned off by the configuration");
        if (verdict == VERDICT_ABSENT)
                return g_strdup("not there on this machine");
        if (source->metric >= 0) {
                if (!source->heard)
                        return g_strdup("not measured yet");
                if (now > source->stale_at) {
                        age = duration_format(now - source->sampled);
                        return g_strdup_printf("not measured for %s", age);
                }
                if (source->reading == READING_FAILED)
                        return g_strdup("cannot be measured any more");
                return source->metric == METRIC_INPUT ? explain_input(source) : explain_metric(source, config);
        }
        if (!source->vote)
                return g_strdup("has not answered yet");
        if (now > source->stale_at) {
                age = duration_format(now - source->vote->received);
                return g_strdup_printf("has not answered for %s", age);
        }
        return g_strdup(source->vote->reason);
}

char *explain_telling(const Decision *decision, uint64_t now, const Assessment *assessment) {
        const Source *source = assessment->telling;
        g_autofree char *reason = NULL;

        if (!source)
                return g_strdup("nothing on this machine says idle: no source that decides can be measured");
        reason = explain_source(source, decision->config, assessment->telling_verdict, now);
        if (source->metric == METRIC_INPUT)
                return steal(reason);
        if (assessment->telling_verdict == VERDICT_UNKNOWN && source->vote && source->vote->verdict == VERDICT_UNKNOWN)
                return g_strdup_printf("%s does not know: %s", source->name, reason);
        if (source->metric >= 0)
                return g_strdup_printf("%s %s", source->name, reason);
        return g_strdup_printf("%s: %s", source->name, reason);
}

static char *explain_idle(const Decision *decision, uint64_t now, const Circumstances *circumstances) {
        const char *who = circumstances->timed_hold ? circumstances->timed_hold : "a timed hold";
        const Source *awaited = look_awaited(decision);
        g_autofree char *left = NULL;

        if (decision->refusal)
                return g_strdup(decision->refusal);
        if (circumstances->block_hold)
                return g_strdup_printf("idle, held by %s", circumstances->block_hold);
        if (circumstances->termination)
                return g_strdup_printf("idle, no stop of its own while %s", circumstances->termination);
        if (circumstances->timed_hold_until > now) {
                left = duration_format(circumstances->timed_hold_until - now);
                return g_strdup_printf("idle, held for %s by %s", left, who);
        }
        if (decision->rehearsed_at > 0 && decision->stage_reason)
                return g_strdup(decision->stage_reason);
        if (now >= stage_due(decision, circumstances) && !look_quiet(decision))
                return g_strdup("every source says idle; waiting for a moment without noise");
        if (awaited)
                return g_strdup_printf("every source says idle; waiting for %s to say so again", awaited->name);
        if (now < decision->look.retry_at) {
                left = duration_format(decision->look.retry_at - now);
                return g_strdup_printf("every source says idle; one did not when asked again, the next try is in %s",
                                       left);
        }
        return g_strdup("every source says idle");
}

char *explain_state(const Decision *decision, uint64_t now, const Circumstances *circumstances,
                    const Assessment *assessment) {
        switch (decision->state) {
        case STATE_ACTIVE:
                if (assessment->kind == ASSESSMENT_BUSY || (!decision->stage_reason && assessment->telling))
                        return explain_telling(decision, now, assessment);
                return g_strdup(decision->stage_reason ? decision->stage_reason : "every source says idle");
        case STATE_IDLE:
                if (assessment->kind == ASSESSMENT_UNSURE)
                        return explain_telling(decision, now, assessment);
                return explain_idle(decision, now, circumstances);
        default:
                return g_strdup(decision->stage_reason ? decision->stage_reason : state_name(decision->state));
        }
}

static JsonObject *evidence_of(const Source *source, const Config *config, uint64_t now) {
        JsonObject *evidence = json_object_new();

        if (source->metric >= 0) {
                if (source->heard && source->reading == READING_OK) {
                        json_object_set_double_member(evidence, "value", source->value);
                        json_object_set_double_member(evidence, "threshold", source->threshold);
                }
                if (source->window && source->heard && source->reading == READING_OK) {
                        Activity activity = window_judge(source->window, source->threshold);

                        json_object_set_double_member(evidence, "mean_burst", activity.mean_burst);
                        json_object_set_double_member(evidence, "mean_window", activity.mean_window);
                        json_object_set_double_member(evidence, "mean_long", activity.mean_long);
                        json_object_set_double_member(evidence, "high_seconds",
                                                      (double) activity.high / (double) USEC_PER_SEC);
                        json_object_set_double_member(evidence, "measured_seconds",
                                                      (double) activity.covered / (double) USEC_PER_SEC);
                }
        } else if (source->vote) {
                if (source->vote->details) {
                        JsonObjectIter iter;
                        const char *member;
                        JsonNode *node;

                        json_object_iter_init_ordered(&iter, source->vote->details);
                        /* last_activity there is the plugin's wall-clock time; ours, set below, is monotonic. */
                        while (json_object_iter_next_ordered(&iter, &member, &node))
                                if (!g_str_equal(member, "last_activity"))
                                        json_object_set_member(evidence, member, json_node_copy(node));
                }
                json_object_set_double_member(evidence, "age_seconds",
                                              (double) usec_sub(now, source->vote->received) / (double) USEC_PER_SEC);
        }
        json_object_set_string_member(evidence, "policy", policy_name(source->config.policy));
        json_object_set_string_member(evidence, "on_error",
                                      source->config.on_error == ON_ERROR_IGNORE ? "ignore" : "busy");
        return evidence;
}

static Explained *explain_one(const Decision *decision, const Source *source, uint64_t now) {
        Explained *explained = g_new0(Explained, 1);
        uint64_t since, activity = 0;

        explained->source = g_strdup(source->name);
        explained->verdict = source_verdict(source, now, &since);
        explained->policy = source->config.policy;
        explained->reason = explain_source(source, decision->config, explained->verdict, now);
        explained->evidence = evidence_of(source, decision->config, now);
        if (explained->verdict == VERDICT_BUSY || explained->verdict == VERDICT_IDLE)
                activity = source_activity(source, explained->verdict, now);
        if (activity > 0)
                json_object_set_int_member(explained->evidence, "last_activity", (gint64) activity);
        return explained;
}

static void append_verdict(GString *text, const Decision *decision, const Source *source, uint64_t now) {
        uint64_t since;

        g_string_append(text, source->name);
        g_string_append_c(text, '=');
        g_string_append(text, verdict_name(source_verdict(source, now, &since)));
        g_string_append_c(text, ' ');
}

char *decision_verdicts(Decision *decision, uint64_t now) {
        GString *text = g_string_sized_new(256);

        for (int i = 0; i < METRIC_COUNT; i++)
                append_verdict(text, decision, &decision->metrics[i], now);
        for (guint i = 0; i < decision->plugins->len; i++)
                if (!decision_outdated(decision, decision->plugins->pdata[i]))
                        append_verdict(text, decision, decision->plugins->pdata[i], now);
        return g_string_free(text, FALSE);
}

GPtrArray *decision_explain(Decision *decision, uint64_t now) {
        GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify) explained_free);

        for (int i = 0; i < METRIC_COUNT; i++)
                g_ptr_array_add(all, explain_one(decision, &decision->metrics[i], now));
        for (guint i = 0; i < decision->plugins->len; i++)
                if (!decision_outdated(decision, decision->plugins->pdata[i]))
                        g_ptr_array_add(all, explain_one(decision, decision->plugins->pdata[i], now));
        return all;
}

void explained_free(Explained *explained) {
        if (!explained)
                return;
        g_free(explained->source);
        g_free(explained->reason);
        g_clear_pointer(&explained->evidence, json_object_unref);
        g_free(explained);
}
