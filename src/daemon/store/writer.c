/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/writer.h"

#include "base/clock.h"

/* Thinning: a step now and then while there is something to do, a look every so often otherwise. */
#define TIDY_INTERVAL (10 * USEC_PER_SEC)
#define TIDY_REST (10 * USEC_PER_MINUTE)

/* Holds that could not be written: kept until they can be, whoever was told of it. Room for all that there may be, and
 * as many that ended. Of the other records there are few, whatever callers do: these need no room. */
#define UNSAVED_HOLDS_MAX 2048U

struct Writer {
        char *directory;
        Database *database; /* NULL: it could not be opened, or broke */
        gboolean failing;
        GHashTable *unsaved; /* key → JSON, or NULL to delete */
        uint64_t tidy_at;
};

Writer *writer_new(const char *directory) {
        Writer *w = g_new0(Writer, 1);

        w->directory = g_strdup(directory);
        w->unsaved = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        return w;
}

void writer_free(Writer *w) {
        if (!w)
                return;
        database_close(w->database);
        g_hash_table_unref(w->unsaved);
        g_free(w->directory);
        g_free(w);
}

static void tell(GQueue *news, const GError *error) {
        Work *work = g_new0(Work, 1);

        work->kind = WORK_PROBLEM;
        work->error = error ? g_error_copy(error) : NULL;
        g_queue_push_tail(news, work);
}

static gboolean put_all(Database *database, GHashTable *records, GError **error) {
        GHashTableIter iterator;
        gpointer key, text;

        g_hash_table_iter_init(&iterator, records);
        while (g_hash_table_iter_next(&iterator, &key, &text))
                if (!database_put(database, key, text, error))
                        return FALSE;
        return TRUE;
}

/* Puts the broken file aside and goes on with a new one. */
static gboolean begin_anew(Writer *w, const GError *broken, GQueue *news, GError **error) {
        g_autoptr(GError) story = NULL;
        Salvage salvage = {};

        g_clear_pointer(&w->database, database_close);
        if (!database_replace_broken(w->directory, clock_realtime(), &salvage, error)) {
                g_prefix_error(error, "%s, and no new one can be begun: ", broken->message);
                return FALSE;
        }
        story = g_error_new(
                DATABASE_ERROR, DATABASE_ERROR_BROKEN,
                "%s; it is now %s/%s, and a new one was begun, without its "
                "history, with what could be read of its records: %u, of plugins' states: %u, and of the journal of "
                "events: %u",
                broken->message, w->directory, salvage.aside, salvage.records, salvage.states, salvage.events);
        g_free(salvage.aside);
        tell(news, story);
        w->failing = TRUE;
        w->database = database_open(w->directory, error);
        return w->database != NULL;
}

static gboolean open_if_closed(Writer *w, GQueue *news, GError **error) {
        g_autoptr(GError) failure = NULL;

        if (w->database)
                return TRUE;
        w->database = database_open(w->directory, &failure);
        if (w->database)
                return TRUE;
        if (g_error_matches(failure, DATABASE_ERROR, DATABASE_ERROR_BROKEN))
                return begin_anew(w, failure, news, error);
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
}

static gboolean has_writes(const Writer *w, const GQueue *group, gboolean *ret_durable) {
        gboolean writes = g_hash_table_size(w->unsaved) > 0;

        *ret_durable = writes;
        for (const GList *l = group->head; l; l = l->next) {
                writes = writes || work_is_write(l->data);
                *ret_durable = *ret_durable || (work_is_write(l->data) && !work_is_lazy(l->data));
        }
        return writes;
}

/* One transaction. Its commit waits for the disk if there is more in it than samples. */
static gboolean carry_out(Writer *w, const GQueue *group, GError **error) {
        gboolean durable, writes = has_writes(w, group, &durable);

        if (writes && (!database_begin(w->database, durable, error) || !put_all(w->database, w->unsaved, error)))
                return FALSE;
        for (const GList *l = group->head; l; l = l->next)
                if (!work_carry_out(l->data, w->database, error))
                        return FALSE;
        return !writes || database_commit(w->database, error);
}

static gboolean carry_out_or_roll_back(Writer *w, const GQueue *group, GError **error) {
        if (carry_out(w, group, error))
                return TRUE;
        database_rollback(w->database);
        return FALSE;
}

static gboolean try_group(Writer *w, const GQueue *group, GQueue *news, GError **error) {
        g_autoptr(GError) failure = NULL;

        if (!open_if_closed(w, news, error))
                return FALSE;
        if (carry_out_or_roll_back(w, group, &failure))
                return TRUE;
        if (g_error_matches(failure, DATABASE_ERROR, DATABASE_ERROR_BROKEN))
                return begin_anew(w, failure, news, error) && carry_out_or_roll_back(w, group, error);
        g_propagate_error(error, g_steal_pointer(&failure));
        return FALSE;
}

/* FALSE also where nobody can tell. */
static gboolean is_not_on_disk(const Writer *w, const char *key) {
        g_autoptr(GHashTable) records = w->database ? database_get(w->database, key, NULL) : NULL;

        return records && !g_hash_table_contains(records, key);
}

static void keep_unsaved(Writer *w, const Work *work) {
        if (work->kind != WORK_PUT)
                return;
        if (g_str_has_prefix(work->key, STORE_HOLD_PREFIX)) {
                /* Else whoever holds and releases again and again takes the room of holds that last. */
                if (!work->text && is_not_on_disk(w, work->key)) {
                        g_hash_table_remove(w->unsaved, work->key);
                        return;
                }
                if (g_hash_table_size(w->unsaved) >= UNSAVED_HOLDS_MAX &&
                    !g_hash_table_contains(w->unsaved, work->key))
                        return;
        }
        g_hash_table_replace(w->unsaved, g_strdup(work->key), g_strdup(work->text));
}

/* A full disk can still be read: what only asks is answered all the same. */
static void fail_group(Writer *w, const GQueue *group, const GError *error) {
        for (const GList *l = group->head; l; l = l->next) {
                Work *work = l->data;

                if (!work_is_write(work) && w->database && work_carry_out(work, w->database, NULL))
                        continue;
                work->error = g_error_copy(error);
                keep_unsaved(w, work);
        }
        /* Opened anew next time: what failed may have been the file under it. */
        g_clear_pointer(&w->database, database_close);
}

void writer_run(Writer *w, GQueue *group, GQueue *news) {
        gboolean durable, writes = has_writes(w, group, &durable);
        g_autoptr(GError) error = NULL;

        if (!try_group(w, group, news, &error)) {
                fail_group(w, group, error);
                if (!w->failing)
                        tell(news, error);
                w->failing = TRUE;
                return;
        }
        g_hash_table_remove_all(w->unsaved);
        /* That it can be read proves nothing about writing. */
        if (w->failing && (writes || !g_queue_is_empty(news))) {
                tell(news, NULL);
                w->failing = FALSE;
        }
}

void writer_tidy(Writer *w) {
        uint64_t now = clock_monotonic();
        gboolean more = FALSE;

        if (!w->database || now < w->tidy_at)
                return;
        /* A failure shows again with the next group, which tells. */
        (void) database_thin(w->database, clock_realtime(), &more, NULL);
        w->tidy_at = now + (more ? TIDY_INTERVAL : TIDY_REST);
}
