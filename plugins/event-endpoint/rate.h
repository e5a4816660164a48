/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How often each client, and all of them together, may post: buckets that fill up again as time passes. Pure. */

#include <stdint.h>

#include <glib.h>

typedef struct Rate Rate;

Rate *rate_new(void);
void rate_free(Rate *rate);
/* From now on, in a minute. */
void rate_set(Rate *rate, guint each, guint total);

/* client: who it is, in any words. now: monotonic µs. 0, or after how many seconds there is a turn for it. */
guint rate_take(Rate *rate, const char *client, uint64_t now);
