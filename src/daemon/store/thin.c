/* SPDX-License-Identifier: Apache-2.0 */

/* History grows old: samples become fewer, and everything ends. It is done in steps of a few milliseconds between
 * groups of work, so that nobody who waits for a commit waits for this. Several samples become one with the mean of
 * each number, so that what is said about last month ("never used less than 23 %") stays true; what is no number is
 * taken from the first of them. */

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/store/statement.h"

#define STEP_ROWS 1000U

typedef struct Tier {
        uint64_t age;    /* older samples than this */
        uint64_t bucket; /* become one per this */
        uint64_t step;   /* at most as much time at once */
} Tier;

static const Tier tiers[] = {
        { USEC_PER_DAY, USEC_PER_MINUTE, USEC_PER_HOUR },
        { 7 * USEC_PER_DAY, 10 * USEC_PER_MINUTE, 6 * USEC_PER_HOUR },
};

#define SAMPLES_KEPT (90 * USEC_PER_DAY)
#define HISTORY_KEPT (365 * USEC_PER_DAY)

typedef struct Sum {
        double sum;
        unsigned n;
} Sum;

typedef struct Bucket {
        uint64_t time; /* of the first sample */
        unsigned n;
        JsonObject *first;
        GHashTable *sums; /* key → Sum */
} Bucket;

static void bucket_done(Bucket *bucket) {
        g_clear_pointer(&bucket->first, json_object_unref);
        g_clear_pointer(&bucket->sums, g_hash_table_unref);
}

static void add_number(JsonObject *object, const char *key, JsonNode *node, gpointer userdata) {
        Bucket *bucket = userdata;
        Sum *sum;

        if (!JSON_NODE_HOLDS_VALUE(node) ||
            (json_node_get_value_type(node) != G_TYPE_INT64 && json_node_get_value_type(node) != G_TYPE_DOUBLE))
                return;
        sum = g_hash_table_lookup(bucket->sums, key);
        if (!sum) {
                sum = g_new0(Sum, 1);
                g_hash_table_insert(bucket->sums, g_strdup(key), sum);
        }
        sum->sum += json_node_get_double(node);
        sum->n++;
}

static void bucket_add(Bucket *bucket, uint64_t time, const char *text) {
        g_autoptr(JsonObject) object = database_parse_object(text);

        if (!object)
                return;
        if (!bucket->first) {
                bucket->first = json_object_ref(object);
                bucket->time = time;
                bucket->sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        }
        json_object_foreach_member(object, add_number, bucket);
        bucket->n++;
}

static char *bucket_to_text(const Bucket *bucket) {
        g_autoptr(JsonNode) node = json_node_init_object(json_node_alloc(), bucket->first);
        GHashTableIter iterator;
        gpointer key, value;

        g_hash_table_iter_init(&iterator, bucket->sums);
        while (g_hash_table_iter_next(&iterator, &key, &value)) {
                const Sum *sum = value;

                json_object_set_double_member(bucket->first, key, sum->sum / sum->n);
        }
        return json_to_string(node, FALSE);
}

static gboolean read_bucket(Database *d, uint64_t begin, uint64_t end, Bucket *bucket, GError **error) {
        sqlite3_stmt *statement = database_statement(d, STATEMENT_SAMPLES_BETWEEN, error);
        int r;

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_int64(statement, 1, (sqlite3_int64) begin);
        (void) sqlite3_bind_int64(statement, 2, (sqlite3_int64) end);
        while ((r = sqlite3_step(statement)) == SQLITE_ROW)
                bucket_add(bucket, (uint64_t) sqlite3_column_int64(statement, 0),
                           (const char *) sqlite3_column_text(statement, 1));
        if (r != SQLITE_DONE)
                database_fail(database_handle(d), error);
        (void) sqlite3_reset(statement);
        return r == SQLITE_DONE;
}

static gboolean run_with_three(Database *d, StatementId id, uint64_t first, uint64_t second, uint64_t third,
                               GError **error) {
        sqlite3_stmt *statement = database_statement(d, id, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_int64(statement, 1, (sqlite3_int64) first);
        (void) sqlite3_bind_int64(statement, 2, (sqlite3_int64) second);
        (void) sqlite3_bind_int64(statement, 3, (sqlite3_int64) third);
        return database_run(d, statement, error);
}

static gboolean run_with(Database *d, StatementId id, uint64_t first, uint64_t second, GError **error) {
        return run_with_three(d, id, first, second, 0, error);
}

/* *ret is 0 where there is none. */
static gboolean read_time(Database *d, StatementId id, uint64_t argument, uint64_t *ret, GError **error) {
        sqlite3_stmt *statement = database_statement(d, id, error);
        int r;

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_int64(statement, 1, (sqlite3_int64) argument);
        r = sqlite3_step(statement);
        *ret = r == SQLITE_ROW ? (uint64_t) MAX(sqlite3_column_int64(statement, 0), 0) : 0;
        if (r != SQLITE_ROW && r != SQLITE_DONE)
                database_fail(database_handle(d), error);
        (void) sqlite3_reset(statement);
        return r == SQLITE_ROW || r == SQLITE_DONE;
}

static gboolean merge_bucket(Database *d, uint64_t begin, uint64_t end, GError **error) {
        _cleanup_(bucket_done) Bucket bucket = { 0 };
        g_autofree char *text = NULL;

        if (!read_bucket(d, begin, end, &bucket, error))
                return FALSE;
        if (bucket.n <= 1)
                return TRUE;
        text = bucket_to_text(&bucket);
        return run_with(d, STATEMENT_DELETE_SAMPLES, begin, end, error) &&
               database_append(d, bucket.time, HISTORY_SAMPLE, text, error);
}

/* The stretch after what is thinned already; empty stretches (a machine that was off) are leapt over. */
static gboolean thin_tier(Database *d, unsigned number, uint64_t now, gboolean *ret_more, GError **error) {
        const Tier *tier = &tiers[number];
        uint64_t until, first, end, limit = usec_sub(now, tier->age);

        limit -= limit % tier->bucket;
        if (!read_time(d, STATEMENT_THINNED_UNTIL, number, &until, error) ||
            !read_time(d, STATEMENT_FIRST_SAMPLE, until, &first, error))
                return FALSE;
        if (first == 0 || first >= limit)
                return TRUE;
        until = MAX(until, first - first % tier->bucket);
        end = MIN(until + tier->step, limit);
        for (uint64_t begin = until; begin < end; begin += tier->bucket)
                if (!merge_bucket(d, begin, begin + tier->bucket, error))
                        return FALSE;
        *ret_more = TRUE;
        return run_with(d, STATEMENT_SET_THINNED, number, end, error);
}

/* Deletes at most STEP_ROWS. */
static gboolean delete_some(Database *d, StatementId id, uint64_t limit, gboolean *ret_more, GError **error) {
        if (!run_with(d, id, limit, STEP_ROWS, error))
                return FALSE;
        if (sqlite3_changes(database_handle(d)) > 0)
                *ret_more = TRUE;
        return TRUE;
}

static unsigned rows_max(HistoryKind kind) {
        return kind == HISTORY_EVENT_OF_USER || kind == HISTORY_EVENT_OF_PLUGIN ? HISTORY_EVENT_OF_OTHERS_ROWS_MAX
                                                                                : HISTORY_ROWS_MAX;
}

static gboolean delete_crowded(Database *d, gboolean *ret_more, GError **error) {
        for (int kind = 0; history_kind_name((HistoryKind) kind); kind++) {
                if (!run_with_three(d, STATEMENT_CROWDED_HISTORY, rows_max((HistoryKind) kind), STEP_ROWS,
                                    (uint64_t) kind, error))
                        return FALSE;
                if (sqlite3_changes(database_handle(d)) > 0)
                        *ret_more = TRUE;
        }
        return TRUE;
}

static gboolean thin(Database *d, uint64_t now, gboolean *ret_more, GError **error) {
        for (unsigned i = 0; i < G_N_ELEMENTS(tiers); i++)
                if (!thin_tier(d, i, now, ret_more, error))
                        return FALSE;
        return delete_some(d, STATEMENT_EXPIRE_SAMPLES, usec_sub(now, SAMPLES_KEPT), ret_more, error) &&
               delete_some(d, STATEMENT_EXPIRE_HISTORY, usec_sub(now, HISTORY_KEPT), ret_more, error) &&
               delete_some(d, STATEMENT_EXPIRE_EVENTS, usec_sub(now, STORE_EVENT_KEPT), ret_more, error) &&
               delete_some(d, STATEMENT_CROWDED_SAMPLES, SAMPLE_ROWS_MAX, ret_more, error) &&
               delete_crowded(d, ret_more, error);
}

gboolean database_thin(Database *d, uint64_t realtime, gboolean *ret_more, GError **error) {
        *ret_more = FALSE;
        if (!database_begin(d, FALSE, error))
                return FALSE;
        if (!thin(d, realtime, ret_more, error) || !database_commit(d, error)) {
                database_rollback(d);
                return FALSE;
        }
        return TRUE;
}
