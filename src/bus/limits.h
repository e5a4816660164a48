/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A token bucket per bus sender, so that one client in a loop neither starves the others nor heats the machine it
 * watches. The number of buckets is capped: full ones are dropped when room is needed, else any one. */

#include <stdint.h>

#define LIMIT_CALLS_PER_SECOND 50U
#define LIMIT_CALLS_BURST 200U
#define LIMIT_SENDERS_MAX 1024U

typedef struct SenderLimits SenderLimits;

SenderLimits *sender_limits_new(unsigned per_second, unsigned burst);
SenderLimits *sender_limits_free(SenderLimits *limits);

/* Takes one token of the sender at this moment (monotonic µs). 1: fine, 0: none left. */
int sender_limits_take(SenderLimits *limits, const char *sender, uint64_t now);
