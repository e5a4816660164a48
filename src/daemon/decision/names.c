/* SPDX-License-Identifier: Apache-2.0 */

/* The words for states, verdicts and metrics: each is API on the bus, in configurations or in traces. */

#include <string.h>

#include "daemon/decision/decision.h"

static const char *const state_names[STATE_COUNT] = {
        [STATE_ACTIVE] = "active",     [STATE_IDLE] = "idle",       [STATE_WARNING] = "warning",
        [STATE_STOPPING] = "stopping", [STATE_STOPPED] = "stopped", [STATE_PAUSED] = "paused",
};

static const char *const verdict_names[] = {
        [VERDICT_UNKNOWN] = "unknown",
        [VERDICT_IDLE] = "idle",
        [VERDICT_BUSY] = "busy",
        [VERDICT_ABSENT] = "absent",
};

static const char *const source_names[METRIC_COUNT] = {
        [METRIC_CPU] = "cpu",   [METRIC_MEMORY] = "memory", [METRIC_NETWORK] = "network",
        [METRIC_DISK] = "disk", [METRIC_GPU] = "gpu",       [METRIC_INPUT] = "input",
};

static const char *const keys[METRIC_COUNT] = {
        [METRIC_CPU] = "cpu_usage",     [METRIC_MEMORY] = "memory_usage", [METRIC_NETWORK] = "network_kbps",
        [METRIC_DISK] = "disk_io_kbps", [METRIC_GPU] = "gpu_usage",       [METRIC_INPUT] = "input_idle_seconds",
};

const char *const metric_hints[] = { "cpu_usage", "d", "memory_usage", "d", "network_kbps", "d", "disk_io_kbps", "d",
                                     "gpu_usage", "d", "input_idle_seconds", "d", "timestamp", "t", NULL };

static int find(const char *const *names, gsize n, const char *name) {
        for (gsize i = 0; name && i < n; i++)
                if (strcmp(names[i], name) == 0)
                        return (int) i;
        return -1;
}

const char *state_name(State state) {
        return (gsize) state < STATE_COUNT ? state_names[state] : NULL;
}

int state_from_name(const char *name) {
        return find(state_names, STATE_COUNT, name);
}

const char *verdict_name(Verdict verdict) {
        return (gsize) verdict < G_N_ELEMENTS(verdict_names) ? verdict_names[verdict] : NULL;
}

int verdict_from_name(const char *name) {
        int verdict = find(verdict_names, G_N_ELEMENTS(verdict_names), name);

        return verdict == VERDICT_ABSENT ? -1 : verdict;
}

const char *metric_source_name(Metric metric) {
        return (gsize) metric < METRIC_COUNT ? source_names[metric] : NULL;
}

const char *metric_key(Metric metric) {
        return (gsize) metric < METRIC_COUNT ? keys[metric] : NULL;
}

int metric_from_source_name(const char *name) {
        return find(source_names, METRIC_COUNT, name);
}

int metric_from_key(const char *key) {
        return find(keys, METRIC_COUNT, key);
}
