/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/limits.h"

#include <glib.h>

#include "base/clock.h"

/* Tokens are counted in millionths: a microsecond at N per second is N of them, and no fraction is ever lost. */
#define TOKEN USEC_PER_SEC

typedef struct Bucket {
        uint64_t tokens;
        uint64_t filled; /* moment */
} Bucket;

struct SenderLimits {
        unsigned per_second;
        uint64_t capacity;
        uint64_t time_to_fill; /* an empty bucket is full after that long */
        uint64_t swept;
        GHashTable *buckets; /* unique name → Bucket */
};

SenderLimits *sender_limits_new(unsigned per_second, unsigned burst) {
        SenderLimits *limits = g_new0(SenderLimits, 1);

        g_assert(per_second > 0 && burst > 0);
        limits->per_second = per_second;
        limits->capacity = (uint64_t) burst * TOKEN;
        limits->time_to_fill = limits->capacity / per_second + 1;
        limits->buckets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        return limits;
}

SenderLimits *sender_limits_free(SenderLimits *limits) {
        if (!limits)
                return NULL;
        g_hash_table_unref(limits->buckets);
        g_free(limits);
        return NULL;
}

static void fill(const SenderLimits *limits, Bucket *bucket, uint64_t now) {
        uint64_t elapsed = MIN(usec_sub(now, bucket->filled), limits->time_to_fill);

        bucket->tokens = MIN(bucket->tokens + elapsed * limits->per_second, limits->capacity);
        bucket->filled = MAX(now, bucket->filled);
}

/* A full bucket says no more than none at all, so those who have long gone or fallen silent need not be told of. At
 * most once in the time that a bucket needs to fill: a thousand new names a second must not buy a thousand walks. */
static void sweep(SenderLimits *limits, uint64_t now) {
        GHashTableIter iter;
        gpointer value;

        if (limits->swept != 0 && now < usec_add(limits->swept, limits->time_to_fill))
                return;
        limits->swept = now;
        g_hash_table_iter_init(&iter, limits->buckets);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
                fill(limits, value, now);
                if (((Bucket *) value)->tokens == limits->capacity)
                        g_hash_table_iter_remove(&iter);
        }
}

/* Any. Were newcomers to share what is left instead, whoever opens a thousand connections could have everybody else
 * refused; so he gains some bursts, each of which costs him a connection. */
static void drop_one(SenderLimits *limits) {
        GHashTableIter iter;

        g_hash_table_iter_init(&iter, limits->buckets);
        if (g_hash_table_iter_next(&iter, NULL, NULL))
                g_hash_table_iter_remove(&iter);
}

static Bucket *find_or_add(SenderLimits *limits, const char *sender, uint64_t now) {
        Bucket *bucket = g_hash_table_lookup(limits->buckets, sender);

        if (bucket)
                return bucket;
        if (g_hash_table_size(limits->buckets) >= LIMIT_SENDERS_MAX)
                sweep(limits, now);
        if (g_hash_table_size(limits->buckets) >= LIMIT_SENDERS_MAX)
                drop_one(limits);
        bucket = g_new(Bucket, 1);
        *bucket = (Bucket) { .tokens = limits->capacity, .filled = now };
        g_hash_table_insert(limits->buckets, g_strdup(sender), bucket);
        return bucket;
}

int sender_limits_take(SenderLimits *limits, const char *sender, uint64_t now) {
        Bucket *bucket = find_or_add(limits, sender, now);

        fill(limits, bucket, now);
        if (bucket->tokens < TOKEN)
                return 0;
        bucket->tokens -= TOKEN;
        return 1;
}
