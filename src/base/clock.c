/* SPDX-License-Identifier: Apache-2.0 */

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

static uint64_t read_clock(clockid_t clock) {
        struct timespec ts;
        int r = clock_gettime(clock, &ts);

        /* Fails for unknown clocks only. */
        assert(r == 0);
        (void) r;
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / NSEC_PER_USEC;
}

uint64_t clock_monotonic(void) {
        return read_clock(CLOCK_MONOTONIC);
}

uint64_t clock_boottime(void) {
        return read_clock(CLOCK_BOOTTIME);
}

uint64_t clock_realtime(void) {
        return read_clock(CLOCK_REALTIME);
}

uint64_t usec_add(uint64_t a, uint64_t b) {
        return a > USEC_INFINITY - b ? USEC_INFINITY : a + b;
}

uint64_t usec_sub(uint64_t a, uint64_t b) {
        return a > b ? a - b : 0;
}

static uint64_t divide_by(const char *variable, uint64_t usec) {
        const char *text = getenv(variable);
        unsigned long divisor = text ? strtoul(text, NULL, 10) : 1;

        return divisor >= 1 && divisor <= 1000 ? usec / divisor : usec;
}

uint64_t clock_pause(uint64_t usec) {
        return divide_by("SNOOZE_HASTE", usec);
}

uint64_t clock_bound(uint64_t usec) {
        return divide_by("SNOOZE_IMPATIENCE", usec);
}

uint64_t clock_term(uint64_t usec) {
        return divide_by("SNOOZE_BREVITY", usec);
}

uint64_t monotonic_to_realtime(uint64_t moment, uint64_t now_monotonic, uint64_t now_realtime) {
        if (moment == 0 || moment == USEC_INFINITY)
                return 0;
        if (moment >= now_monotonic)
                return usec_add(now_realtime, moment - now_monotonic);
        return usec_sub(now_realtime, now_monotonic - moment);
}
