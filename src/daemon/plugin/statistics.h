/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a plugin's calls went. Durations are counted in buckets that grow by an eighth, so that a percentile is exact to
 * 12 % however many calls there were, in constant memory. */

#include <stdint.h>

#define DURATION_BUCKETS 320U /* 40 octaves: up to 2^42 µs */

typedef struct Statistics {
        uint64_t calls, errors, timeouts;
        uint64_t durations; /* calls that were answered: the sum of the buckets */
        uint32_t bucket[DURATION_BUCKETS];
} Statistics;

void statistics_add_duration(Statistics *statistics, uint64_t usec);

/* The duration that `percent` of the answered calls did not exceed (upper edge of its bucket); 0 without calls. */
uint64_t statistics_percentile(const Statistics *statistics, unsigned percent);
