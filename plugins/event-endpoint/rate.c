/* SPDX-License-Identifier: Apache-2.0 */

#include "rate.h"

#include "base/clock.h"

/* Who comes when so many are known shares one. */
#define CLIENTS_MAX 256U

typedef struct Bucket {
        double room;
        uint64_t at;
} Bucket;

struct Rate {
        guint each, total;
        Bucket all, others;
        GHashTable *clients; /* name → Bucket */
};

Rate *rate_new(void) {
        Rate *rate = g_new0(Rate, 1);

        rate->clients = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        return rate;
}

void rate_free(Rate *rate) {
        g_hash_table_unref(rate->clients);
        g_free(rate);
}

void rate_set(Rate *rate, guint each, guint total) {
        rate->each = each;
        rate->total = total;
}

static double per_second(guint per_minute) {
        return per_minute / 60.0;
}

static void fill(Bucket *bucket, guint per_minute, uint64_t now) {
        double room =
                bucket->room + per_second(per_minute) * (double) usec_sub(now, bucket->at) / (double) USEC_PER_SEC;

        bucket->room = bucket->at == 0 ? per_minute : MIN(room, per_minute);
        bucket->at = now;
}

static guint seconds_until(const Bucket *bucket, guint per_minute) {
        return bucket->room >= 1 ? 0 : (guint) ((1 - bucket->room) / per_second(per_minute)) + 1;
}

/* One that is full again is one that never was. */
static gboolean is_full(gpointer name, gpointer value, gpointer userdata) {
        const Rate *rate = userdata;
        Bucket *bucket = value;

        fill(bucket, rate->each, rate->all.at);
        return bucket->room >= rate->each;
}

static Bucket *bucket_of(Rate *rate, const char *client) {
        Bucket *bucket = g_hash_table_lookup(rate->clients, client);

        if (bucket)
                return bucket;
        if (g_hash_table_size(rate->clients) >= CLIENTS_MAX)
                (void) g_hash_table_foreach_remove(rate->clients, is_full, rate);
        if (g_hash_table_size(rate->clients) >= CLIENTS_MAX)
                return &rate->others;
        bucket = g_new0(Bucket, 1);
        g_hash_table_insert(rate->clients, g_strdup(client), bucket);
        return bucket;
}

guint rate_take(Rate *rate, const char *client, uint64_t now) {
        Bucket *bucket;
        guint own, all;

        fill(&rate->all, rate->total, now);
        bucket = bucket_of(rate, client);
        fill(bucket, rate->each, now);
        own = seconds_until(bucket, rate->each);
        all = seconds_until(&rate->all, rate->total);
        if (own > 0 || all > 0)
                return MAX(own, all);
        bucket->room--;
        rate->all.room--;
        return 0;
}
