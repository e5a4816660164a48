/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The three clocks and their units. Everything inside counts microseconds in uint64_t, as sd-event and sd-bus do.
 * Monotonic time stands still while the machine sleeps and never jumps: the idle clock runs on it. Boot time runs on
 * while asleep: timed holds end on it. Wall-clock time is for people alone. */

#include <stdint.h>

#define USEC_PER_MSEC UINT64_C(1000)
#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_PER_MINUTE (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MINUTE)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define NSEC_PER_USEC UINT64_C(1000)
#define USEC_INFINITY UINT64_MAX

uint64_t clock_monotonic(void);
uint64_t clock_boottime(void);
uint64_t clock_realtime(void);

/* a + b, or USEC_INFINITY where that does not fit. */
uint64_t usec_add(uint64_t a, uint64_t b);

/* a - b, or 0 where that would be negative. */
uint64_t usec_sub(uint64_t a, uint64_t b);

/* How long to pause, where usec would be due: for tests SNOOZE_HASTE in the environment divides it (by 1 to 1000). For
 * pauses before somebody is asked again, not for bounds on how long is waited for an answer. */
uint64_t clock_pause(uint64_t usec);
/* How long to wait for an answer, where usec would be due: for tests of what comes of none SNOOZE_IMPATIENCE divides
 * it in the same way. */
uint64_t clock_bound(uint64_t usec);
/* How long a thing may take as a whole, where usec would be due; SNOOZE_BREVITY likewise. */
uint64_t clock_term(uint64_t usec);

/* A moment on the monotonic clock as wall-clock time, given one pair of readings of both; 0 stays 0 ("none"). */
uint64_t monotonic_to_realtime(uint64_t moment, uint64_t now_monotonic, uint64_t now_realtime);
