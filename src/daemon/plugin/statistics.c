/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/statistics.h"

#define STEPS 8U /* in an octave */

static unsigned bucket_of(uint64_t usec) {
        unsigned octave, bucket;

        if (usec < STEPS)
                return (unsigned) usec;
        octave = 63U - (unsigned) __builtin_clzll(usec);
        bucket = (octave - 2) * STEPS + (unsigned) ((usec >> (octave - 3)) & (STEPS - 1));
        return bucket < DURATION_BUCKETS ? bucket : DURATION_BUCKETS - 1;
}

static uint64_t upper_edge(unsigned bucket) {
        unsigned shift;

        if (bucket < STEPS)
                return bucket;
        shift = bucket / STEPS - 1;
        return ((uint64_t) (STEPS + bucket % STEPS + 1) << shift) - 1;
}

void statistics_add_duration(Statistics *statistics, uint64_t usec) {
        uint32_t *count = &statistics->bucket[bucket_of(usec)];

        if (*count < UINT32_MAX) {
                (*count)++;
                statistics->durations++;
        }
}

uint64_t statistics_percentile(const Statistics *statistics, unsigned percent) {
        uint64_t rank = (statistics->durations * percent + 99) / 100, seen = 0;

        if (statistics->durations == 0)
                return 0;
        for (unsigned i = 0; i < DURATION_BUCKETS; i++) {
                seen += statistics->bucket[i];
                if (seen >= rank && seen > 0)
                        return upper_edge(i);
        }
        return upper_edge(DURATION_BUCKETS - 1);
}
