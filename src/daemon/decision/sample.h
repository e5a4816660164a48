/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One look at the machine: what metrics/ produces and decision/ judges. */

#include <stdint.h>

typedef enum Metric {
        METRIC_CPU,     /* %, of all CPUs together: without idle, iowait, steal and guest counted twice */
        METRIC_MEMORY,  /* %, (MemTotal - MemAvailable) / MemTotal */
        METRIC_NETWORK, /* kB/s (1,000 bytes), received and sent, over all real interfaces */
        METRIC_DISK,    /* kB/s (1,000 bytes), read and written, over all whole disks */
        METRIC_GPU,     /* %, of the busiest; from a plugin's `metrics`, the daemon itself measures none */
        METRIC_INPUT,   /* seconds since the last key, pointer or terminal input */
        METRIC_COUNT,
} Metric;

typedef enum Reading {
        READING_ABSENT, /* could never be measured since boot, or the device was removed: no vote */
        READING_FAILED, /* was measured before and cannot be now: unknown */
        READING_OK,
} Reading;

typedef struct Sample {
        uint64_t monotonic; /* µs, when it was taken */
        uint64_t span;      /* µs that the rates cover, up to `monotonic`; 0 for the very first, which has no rates */
        unsigned cpus;      /* online CPUs; 0: unknown, then cpu_threshold_cores has no effect */
        Reading reading[METRIC_COUNT];
        double value[METRIC_COUNT]; /* of READING_OK only; finite and ≥ 0 */
} Sample;

/* "cpu" "memory" "network" "disk" "gpu" "input": the names of sources. */
const char *metric_source_name(Metric metric);

/* "cpu_usage" "memory_usage" "network_kbps" "disk_io_kbps" "gpu_usage" "input_idle_seconds": keys of GetMetrics, of
 * CheckIdle's argument and of traces. */
const char *metric_key(Metric metric);
/* All of them and `timestamp`, with their types on the bus, as dictionary_append() takes them: what a check hears. */
extern const char *const metric_hints[];

/* Either name → Metric, or -1. */
int metric_from_source_name(const char *name);
int metric_from_key(const char *key);
