/* SPDX-License-Identifier: Apache-2.0 */

/* One source: what it was heard to say, and what that is worth now. Silence, old age and failure become "unknown"
 * here. */

#include <math.h>

#include "daemon/decision/decision-private.h"
#include "util/json.h"

#define VALID_SECONDS_MAX 300.0

static uint64_t from_seconds(double seconds) {
        return (uint64_t) (seconds * (double) USEC_PER_SEC + 0.5);
}

uint64_t sample_gap(const Config *config) {
        /* At long intervals a regular sample must not look like a pause. */
        return MAX(SAMPLE_GAP, 2 * from_seconds(config->sample_interval_seconds));
}

static WindowShape shape_of(const Config *config) {
        return (WindowShape) {
                .burst = from_seconds(config->burst_seconds),
                .window = from_seconds(config->window_seconds),
                .long_window = from_seconds(config->long_window_seconds),
                .interval = from_seconds(config->sample_interval_seconds),
        };
}

static double threshold_of(Metric metric, const Config *config, unsigned cpus) {
        switch (metric) {
        case METRIC_CPU:
                if (cpus > 0 && config->cpu_threshold_cores > 0)
                        return MIN(config->cpu_threshold_percent, 100 * config->cpu_threshold_cores / cpus);
                return config->cpu_threshold_percent;
        case METRIC_MEMORY:
                return config->memory_threshold_percent;
        case METRIC_NETWORK:
                return config->network_threshold_kbps;
        case METRIC_DISK:
                return config->disk_io_threshold_kbps;
        case METRIC_GPU:
                return config->gpu_threshold_percent;
        case METRIC_INPUT:
                return config->input_idle_threshold_secs;
        case METRIC_COUNT:
                break;
        }
        g_assert_not_reached();
}

uint64_t source_timeout(const Source *source) {
        return source->timeout > 0 ? source->timeout : from_seconds(source->config.timeout_seconds);
}

/* USEC_INFINITY: never. */
static uint64_t stale_at(const Source *source, const Config *config) {
        double limit, valid = 0;

        if (source->metric >= 0)
                return source->heard ? usec_add(source->sampled, source->gap) : USEC_INFINITY;
        if (!source->vote)
                return USEC_INFINITY;
        /* A plugin that said how long its word holds is not asked before, so the word must not grow old before either.
         */
        if (source->vote->details)
                valid = json_get_double(source->vote->details, "valid_seconds", 0);
        if (!(valid > 0))
                valid = 0;
        limit = MAX(config->check_interval_seconds, MIN(valid, VALID_SECONDS_MAX)) + config->check_interval_seconds;
        return usec_add(source->vote->received, usec_add(from_seconds(limit), source_timeout(source)));
}

void source_init(Source *source, const char *name, int metric, const Config *config, uint64_t now) {
        WindowShape shape = shape_of(config);

        *source =
                (Source) { .name = g_strdup(name), .metric = metric, .unknown_since = now, .stale_at = USEC_INFINITY };
        source->config = config_source(config, name);
        if (metric < 0)
                return;
        source->gap = sample_gap(config);
        source->threshold = threshold_of((Metric) metric, config, 0);
        if (metric != METRIC_INPUT)
                source->window = window_new(&shape);
}

void source_clear(Source *source) {
        g_clear_pointer(&source->name, g_free);
        g_clear_pointer(&source->window, window_free);
        g_clear_pointer(&source->vote, vote_free);
}

Source *source_new(const char *name, const Config *config, uint64_t now) {
        Source *source = g_new0(Source, 1);

        source_init(source, name, -1, config, now);
        return source;
}

void source_free(Source *source) {
        if (!source)
                return;
        source_clear(source);
        g_free(source);
}

static void hear(Source *source, Verdict verdict, uint64_t when) {
        if (verdict != VERDICT_UNKNOWN) {
                source->known = verdict;
                source->unknown_since = 0;
        } else if (source->unknown_since == 0)
                source->unknown_since = when;
}

Verdict source_metric_verdict(const Source *source) {
        if (!source->heard || source->reading == READING_FAILED)
                return VERDICT_UNKNOWN;
        if (source->reading == READING_ABSENT)
                return VERDICT_ABSENT;
        if (source->metric == METRIC_INPUT)
                return source->value >= source->threshold ? VERDICT_IDLE : VERDICT_BUSY;
        if (source->activity.rule == ACTIVITY_UNSURE)
                return VERDICT_UNKNOWN;
        return source->activity.rule == ACTIVITY_NONE ? VERDICT_IDLE : VERDICT_BUSY;
}

static void judge(Source *source, unsigned cpus, const Config *config) {
        source->threshold = threshold_of((Metric) source->metric, config, cpus);
        if (!source->window || !source->heard)
                return;
        source->quiet = window_is_quiet(source->window, source->threshold);
        source->activity = source->quiet ? (Activity) {} : window_judge(source->window, source->threshold);
        /* A gauge read only once has no past yet; its value is all there is. */
        if (window_is_empty(source->window) && source->reading == READING_OK && source->value >= source->threshold)
                source->activity.rule = ACTIVITY_UNSURE;
}

void source_configure(Source *source, const Config *config, unsigned cpus) {
        WindowShape shape = shape_of(config);

        source->config = config_source(config, source->name);
        source->gap = sample_gap(config);
        source->stale_at = stale_at(source, config);
        if (source->metric < 0)
                return;
        if (source->window)
                window_reshape(source->window, &shape);
        judge(source, cpus, config);
        if (source->heard)
                hear(source, source_metric_verdict(source), source->sampled);
}

void source_set_timeout(Source *source, uint64_t timeout, const Config *config) {
        source->timeout = timeout;
        source->stale_at = stale_at(source, config);
}

static gboolean is_rate(int metric) {
        return metric == METRIC_CPU || metric == METRIC_NETWORK || metric == METRIC_DISK;
}

void source_take_sample(Source *source, const Sample *sample, const Config *config) {
        Reading reading = sample->reading[source->metric];
        double value = sample->value[source->metric];
        uint64_t gap_end = usec_add(source->sampled, source->gap);

        if (source->heard && sample->monotonic > gap_end)
                hear(source, VERDICT_UNKNOWN, gap_end);
        source->sampled = sample->monotonic;
        if (source->heard)
                source->stale_at = usec_add(source->sampled, source->gap);
        /* A rate over no time is no rate. */
        if (sample->span == 0 && is_rate(source->metric))
                return;
        if (reading == READING_OK && (!isfinite(value) || value < 0))
                reading = READING_FAILED;

        source->heard = TRUE;
        source->stale_at = usec_add(source->sampled, source->gap);
        source->reading = reading;
        if (reading == READING_OK) {
                source->value = value;
                if (source->window)
                        window_add(source->window, sample->monotonic, sample->span, value);
        } else if (reading == READING_ABSENT && source->window)
                window_clear(source->window);
        judge(source, sample->cpus, config);
        hear(source, source_metric_verdict(source), sample->monotonic);
}

void source_take_vote(Source *source, Vote *vote, const Config *config) {
        if (source->vote && vote->received > source->stale_at)
                hear(source, VERDICT_UNKNOWN, source->stale_at);
        g_clear_pointer(&source->vote, vote_free);
        source->vote = vote;
        source->stale_at = stale_at(source, config);
        hear(source, vote->verdict, vote->received);
}

Verdict source_verdict(const Source *source, uint64_t now, uint64_t *ret_unknown_since) {
        Verdict verdict;

        *ret_unknown_since = source->unknown_since;
        if (source->metric >= 0)
                verdict = source_metric_verdict(source);
        else
                verdict = source->vote ? source->vote->verdict : VERDICT_UNKNOWN;
        if (verdict != VERDICT_ABSENT && now > source->stale_at) {
                if (source->unknown_since == 0)
                        *ret_unknown_since = source->stale_at;
                return VERDICT_UNKNOWN;
        }
        return verdict;
}

uint64_t source_activity(const Source *source, Verdict verdict, uint64_t now) {
        if (source->metric == METRIC_INPUT) {
                double idle = source->value * (double) USEC_PER_SEC;

                return idle >= (double) source->sampled ? 0 : source->sampled - (uint64_t) llround(idle);
        }
        if (source->metric >= 0)
                return verdict == VERDICT_BUSY ? source->activity.moment : 0;
        if (source->vote->last_activity > 0)
                return MIN(source->vote->last_activity, MIN(source->vote->received, now));
        return verdict == VERDICT_BUSY ? source->vote->received : 0;
}
