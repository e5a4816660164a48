/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin-metrics.h"

#include <string.h>

#include "base/clock.h"
#include "util/json.h"

#define METRICS_MAX 256U
/* As many as one answer may have: one plugin leaves the others room. */
#define METRICS_PER_PLUGIN_MAX 64U
/* As long as a plugin may let its word stand (valid_seconds). */
#define PATIENCE (5 * USEC_PER_MINUTE)
/* One that lets its word stand that long has yet to be asked and to answer. */
#define EXPIRY (2 * PATIENCE)

typedef struct PluginMetric {
        double value;
        uint64_t received;
        char *source;
} PluginMetric;

struct PluginMetrics {
        GHashTable *by_name; /* "gpu_usage" → PluginMetric */
};

static void plugin_metric_free(void *data) {
        PluginMetric *metric = data;

        g_free(metric->source);
        g_free(metric);
}

PluginMetrics *plugin_metrics_new(void) {
        PluginMetrics *metrics = g_new0(PluginMetrics, 1);

        metrics->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, plugin_metric_free);
        return metrics;
}

void plugin_metrics_free(PluginMetrics *metrics) {
        if (!metrics)
                return;
        g_hash_table_unref(metrics->by_name);
        g_free(metrics);
}

static gboolean is_gpu(const char *name) {
        return metric_from_key(name) == METRIC_GPU;
}

/* The built-in ones are measured by the daemon and nobody else's to tell, gpu excepted. Nor is what a question has
 * beside them: a plugin that finds a subject there leaves out its others. */
static gboolean may_tell(const char *name) {
        return (metric_from_key(name) < 0 && strcmp(name, "subject") != 0) || is_gpu(name);
}

/* The larger of two plugins' words counts: one that lies, or was taken over, must not make what another measures look
 * idle. */
static gboolean is_outvoted(const PluginMetrics *metrics, const char *name, const Vote *vote, double value) {
        const PluginMetric *known = g_hash_table_lookup(metrics->by_name, name);

        return known && strcmp(known->source, vote->source) != 0 && known->value > value &&
               usec_add(known->received, PATIENCE) >= vote->received;
}

/* The oldest of this plugin's, if it has as many as it may: names that follow a process or a day are for ever new. */
static void make_way(PluginMetrics *metrics, const char *source) {
        const char *name, *oldest = NULL;
        const PluginMetric *metric;
        uint64_t since = UINT64_MAX;
        GHashTableIter iter;
        unsigned n = 0;

        g_hash_table_iter_init(&iter, metrics->by_name);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &metric)) {
                if (strcmp(metric->source, source) != 0 || is_gpu(name))
                        continue;
                n++;
                if (metric->received < since) {
                        since = metric->received;
                        oldest = name;
                }
        }
        if (n >= METRICS_PER_PLUGIN_MAX)
                g_hash_table_remove(metrics->by_name, oldest);
}

/* A full table is still renewed, and there is always room for gpu_usage: it decides. */
static gboolean find_room(PluginMetrics *metrics, const char *name, const char *source) {
        const PluginMetric *known = g_hash_table_lookup(metrics->by_name, name);

        if (is_gpu(name) || (known && strcmp(known->source, source) == 0))
                return TRUE;
        make_way(metrics, source);
        return known || g_hash_table_size(metrics->by_name) < METRICS_MAX;
}

static gboolean has_expired(void *name, void *metric, void *now) {
        /* One that fell silent about the GPU has failed: absent would be nobody's word. */
        return !is_gpu(name) && usec_add(((PluginMetric *) metric)->received, EXPIRY) < *(const uint64_t *) now;
}

void plugin_metrics_learn(PluginMetrics *metrics, const Vote *vote) {
        JsonObject *told = vote->details ? json_get_object(vote->details, "metrics") : NULL;
        g_autoptr(GList) names = told ? json_object_get_members(told) : NULL;

        g_hash_table_foreach_remove(metrics->by_name, has_expired, (void *) &vote->received);
        for (GList *l = names; l; l = l->next) {
                double value = json_get_double(told, l->data, -1);
                PluginMetric *metric;

                if (value < 0 || !may_tell(l->data) || is_outvoted(metrics, l->data, vote, value) ||
                    !find_room(metrics, l->data, vote->source))
                        continue;
                metric = g_new0(PluginMetric, 1);
                metric->value = value;
                metric->received = vote->received;
                metric->source = g_strdup(vote->source);
                g_hash_table_replace(metrics->by_name, g_strdup(l->data), metric);
        }
}

static gboolean is_from(void *key, void *value, void *userdata) {
        return strcmp(((PluginMetric *) value)->source, userdata) == 0;
}

void plugin_metrics_forget(PluginMetrics *metrics, const char *plugin) {
        g_hash_table_foreach_remove(metrics->by_name, is_from, (void *) plugin);
}

void plugin_metrics_sample(const PluginMetrics *metrics, uint64_t patience, Sample *sample) {
        const PluginMetric *gpu;

        if (g_hash_table_size(metrics->by_name) == 0)
                return;
        gpu = g_hash_table_lookup(metrics->by_name, metric_key(METRIC_GPU));
        if (!gpu)
                return;
        if (usec_add(gpu->received, patience) < sample->monotonic) {
                sample->reading[METRIC_GPU] = READING_FAILED;
                return;
        }
        sample->reading[METRIC_GPU] = READING_OK;
        sample->value[METRIC_GPU] = gpu->value;
}

void plugin_metrics_tell(const PluginMetrics *metrics, JsonObject *object) {
        GHashTableIter iter;
        PluginMetric *metric;
        const char *name;

        g_hash_table_iter_init(&iter, metrics->by_name);
        while (g_hash_table_iter_next(&iter, (void **) &name, (void **) &metric))
                json_object_set_double_member(object, name, metric->value);
}
