/* SPDX-License-Identifier: Apache-2.0 */

/* A broken database is evidence, and somebody may want to rescue it; but a disk that breaks one after the other must
 * not be filled up with them. What can still be read of it is worth more than its history: holds, a pause, what
 * plugins have learnt, events that are not over. So the new one is made beside it, whole and synced, before anything
 * is renamed:
 *
 *     snooze.db            broken         killed here: snooze.db.new is thrown away and made again
 *     snooze.db.new        made, synced
 *     snooze.db            → snooze.db.broken-<time>, its journal removed
 *                                         killed here: there is no snooze.db, and snooze.db.new, which is complete,
 *                                         takes the place
 *     snooze.db.new        → snooze.db
 */

#include "daemon/store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/store/statement.h"

#define BROKEN_PREFIX DATABASE_NAME ".broken-"
#define BROKEN_KEPT 3U
#define NEW_NAME DATABASE_NAME ".new"

/* Without a journal of its own: it is thrown away unless it is whole. */
#define NEW_PRAGMAS                                                                                                   \
        "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = FULL; PRAGMA cache_size = -256; PRAGMA temp_store = "     \
        "MEMORY"

static gint compare_names(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) b, *(const char *const *) a);
}

/* The times have one length, so their order is that of the names. */
static void remove_old(const char *directory) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
                if (g_str_has_prefix(name, BROKEN_PREFIX))
                        g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, compare_names);
        for (unsigned i = BROKEN_KEPT; i < names->len; i++) {
                g_autofree char *path = g_build_filename(directory, names->pdata[i], NULL);

                (void) g_unlink(path);
        }
}

static gboolean fail(const char *path, const char *what, GError **error) {
        g_set_error(error, DATABASE_ERROR, DATABASE_ERROR_FAILED, "%s %s: %s", path, what, g_strerror(errno));
        return FALSE;
}

static gboolean sync_path(const char *path, GError **error) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

        return fd >= 0 && fsync(fd) >= 0 ? TRUE : fail(path, "cannot be synced", error);
}

/* Of a database that is no longer there, or is not to be: they must not be taken for another one's. */
static void remove_journals(const char *path) {
        static const char *const journals[] = { "-wal", "-shm", "-journal" };

        for (size_t i = 0; i < G_N_ELEMENTS(journals); i++) {
                g_autofree char *journal = g_strconcat(path, journals[i], NULL);

                (void) g_unlink(journal);
        }
}

/* As many rows as can be read; only that one of them cannot be written is an error. */
static gboolean copy_table(sqlite3 *from, Database *to, const char *columns, const char *table, const char *places,
                           unsigned *ret_count, GError **error) {
        g_autofree char *select_text = g_strdup_printf("SELECT %s FROM %s", columns, table);
        g_autofree char *insert_text =
                g_strdup_printf("INSERT OR IGNORE INTO %s (%s) VALUES (%s)", table, columns, places);
        sqlite3_stmt *select = NULL, *insert = NULL;
        gboolean ok = TRUE;

        if (sqlite3_prepare_v2(from, select_text, -1, &select, NULL) != SQLITE_OK)
                return TRUE;
        if (sqlite3_prepare_v2(database_handle(to), insert_text, -1, &insert, NULL) != SQLITE_OK)
                ok = database_fail(database_handle(to), error);
        while (ok && sqlite3_step(select) == SQLITE_ROW) {
                for (int i = 0; i < sqlite3_column_count(select); i++)
                        (void) sqlite3_bind_value(insert, i + 1, sqlite3_column_value(select, i));
                ok = database_run(to, insert, error);
                *ret_count += ok && sqlite3_changes(database_handle(to)) > 0;
        }
        sqlite3_finalize(select);
        sqlite3_finalize(insert);
        return ok;
}

static gboolean copy_rows(sqlite3 *from, Database *to, Salvage *ret, GError **error) {
        return database_begin(to, TRUE, error) &&
               copy_table(from, to, "key, value", "record", "?1, ?2", &ret->records, error) &&
               copy_table(from, to, "id, version, plugin_version, time, state", "plugin_state", "?1, ?2, ?3, ?4, ?5",
                          &ret->states, error) &&
               copy_table(from, to, "source, id, time, deadline, open, data, kind, object", "event",
                          "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8", &ret->events, error) &&
               /* It may be of an earlier version. */
               (ret->events > 0 || copy_table(from, to, "source, id, time, deadline, open, data", "event",
                                              "?1, ?2, ?3, ?4, ?5, ?6", &ret->events, error)) &&
               database_commit(to, error);
}

static gboolean fill(const char *broken, const char *path, Salvage *ret, GError **error) {
        g_autoptr(Database) database = database_open_file(path, NEW_PRAGMAS, error);
        sqlite3 *from = NULL;
        gboolean ok;

        if (!database)
                return FALSE;
        /* As it is, whatever its schema is: it need not be fit for more than this. */
        if (sqlite3_open_v2(broken, &from, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
                ok = copy_rows(from, database, ret, error);
        else
                ok = TRUE;
        (void) sqlite3_close(from);
        return ok;
}

static gboolean make_new(const char *directory, const char *broken, const char *path, Salvage *ret, GError **error) {
        (void) g_unlink(path);
        if (fill(broken, path, ret, error) && sync_path(path, error) && sync_path(directory, error))
                return TRUE;
        (void) g_unlink(path);
        return FALSE;
}

gboolean database_finish_replacement(const char *directory, GError **error) {
        g_autofree char *path = g_build_filename(directory, DATABASE_NAME, NULL),
                        *new_path = g_build_filename(directory, NEW_NAME, NULL);

        if (access(new_path, F_OK) < 0)
                return TRUE;
        if (access(path, F_OK) >= 0) {
                (void) g_unlink(new_path);
                return TRUE;
        }
        remove_journals(path);
        if (!sync_path(directory, error))
                return FALSE;
        if (g_rename(new_path, path) < 0)
                return fail(path, "cannot be replaced", error);
        return sync_path(directory, error);
}

gboolean database_replace_broken(const char *directory, uint64_t realtime, Salvage *ret, GError **error) {
        g_autofree char *path = g_build_filename(directory, DATABASE_NAME, NULL),
                        *new_path = g_build_filename(directory, NEW_NAME, NULL);
        g_autofree char *name = g_strdup_printf(BROKEN_PREFIX "%012" G_GUINT64_FORMAT, realtime / USEC_PER_SEC);
        g_autofree char *aside = g_build_filename(directory, name, NULL);
        Salvage salvage = {};

        if (!make_new(directory, path, new_path, &salvage, error))
                return FALSE;
        if (g_rename(path, aside) < 0) {
                fail(path, "is broken and cannot be put aside", error);
                (void) g_unlink(new_path);
                return FALSE;
        }
        if (!database_finish_replacement(directory, error))
                return FALSE;
        remove_old(directory);
        *ret = salvage;
        ret->aside = g_steal_pointer(&name);
        return TRUE;
}
