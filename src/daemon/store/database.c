/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/store/database.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/store/statement.h"

/* Step n leads from version n to n + 1. What has been released is never changed, only added to.
 *
 * Samples have a table of their own, with their time as the key, because they are many, and only they are thinned. */
static const char *const schema_steps[] = {
        "CREATE TABLE record (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID;"
        "CREATE TABLE history (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL, data TEXT NOT "
        "NULL);"
        "CREATE INDEX history_time ON history (time, kind);"
        "CREATE INDEX history_kind ON history (kind);"
        "CREATE TABLE sample (id INTEGER PRIMARY KEY, time INTEGER NOT NULL, data TEXT NOT NULL);"
        "CREATE INDEX sample_time ON sample (time);"
        /* Samples before `until` are as thin as tier `tier` wants them. */
        "CREATE TABLE thinned (tier INTEGER PRIMARY KEY, until INTEGER NOT NULL);",

        "CREATE TABLE plugin_state (id TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, plugin_version TEXT NOT "
        "NULL,"
        " time INTEGER NOT NULL, state BLOB NOT NULL);",

        /* `open` ones have data. */
        "CREATE TABLE event (source TEXT NOT NULL, id TEXT NOT NULL, time INTEGER NOT NULL, deadline INTEGER NOT NULL,"
        " open INTEGER NOT NULL, data TEXT, PRIMARY KEY (source, id));"
        "CREATE INDEX event_time ON event (time);",

        /* `kind` is that of history, and NULL where history has it already; `object` the event itself, of open ones.
         * Each index is of those alone that are looked for by it. */
        "ALTER TABLE event ADD COLUMN kind INTEGER;"
        "ALTER TABLE event ADD COLUMN object TEXT;"
        "DROP INDEX event_time;"
        "CREATE INDEX event_untold ON event (time) WHERE kind IS NOT NULL;"
        "CREATE INDEX event_over ON event (time) WHERE open = 0;",
};

static const char *const statement_texts[STATEMENT_COUNT] = {
        [STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
        [STATEMENT_COMMIT] = "COMMIT",
        [STATEMENT_ROLLBACK] = "ROLLBACK",
        [STATEMENT_PUT] = "INSERT INTO record (key, value) VALUES (?1, ?2)"
                          " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [STATEMENT_DELETE] = "DELETE FROM record WHERE key = ?1",
        [STATEMENT_GET] = "SELECT key, value FROM record WHERE key >= ?1 ORDER BY key",
        [STATEMENT_APPEND] = "INSERT INTO history (time, kind, data) VALUES (?1, ?2, ?3)",
        [STATEMENT_APPEND_SAMPLE] = "INSERT INTO sample (time, data) VALUES (?1, ?2)",
        [STATEMENT_APPEND_SAMPLE_ONCE] = "INSERT INTO sample (time, data) SELECT ?1, ?2 WHERE NOT EXISTS"
                                         " (SELECT 1 FROM sample WHERE time = ?1 AND data = ?2)",
        [STATEMENT_QUERY] = "SELECT time, kind, data, id FROM history WHERE time >= ?1 AND time < ?2 AND"
                            " ?3 >> kind & 1 UNION ALL SELECT time, kind, object, rowid FROM event"
                            " WHERE time >= ?1 AND time < ?2 AND kind IS NOT NULL AND ?3 >> kind & 1"
                            " ORDER BY 1 DESC, 4 DESC LIMIT ?4",
        [STATEMENT_QUERY_SAMPLES] = "SELECT time, ?3, data FROM sample WHERE time >= ?1 AND time < ?2"
                                    " ORDER BY time DESC, id DESC LIMIT ?4",
        [STATEMENT_THINNED_UNTIL] = "SELECT until FROM thinned WHERE tier = ?1",
        [STATEMENT_SET_THINNED] = "INSERT INTO thinned (tier, until) VALUES (?1, ?2)"
                                  " ON CONFLICT (tier) DO UPDATE SET until = excluded.until",
        [STATEMENT_FIRST_SAMPLE] = "SELECT min(time) FROM sample WHERE time >= ?1",
        [STATEMENT_SAMPLES_BETWEEN] = "SELECT time, data FROM sample WHERE time >= ?1 AND time < ?2 ORDER BY time, id",
        [STATEMENT_DELETE_SAMPLES] = "DELETE FROM sample WHERE time >= ?1 AND time < ?2",
        [STATEMENT_EXPIRE_SAMPLES] = "DELETE FROM sample WHERE id IN (SELECT id FROM sample WHERE time < ?1 LIMIT ?2)",
        [STATEMENT_EXPIRE_HISTORY] =
                "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE time < ?1 LIMIT ?2)",
        [STATEMENT_CROWDED_SAMPLES] = "DELETE FROM sample WHERE id IN (SELECT id FROM sample WHERE time <="
                                      " (SELECT time FROM sample ORDER BY time DESC LIMIT 1 OFFSET ?1) LIMIT ?2)",
        [STATEMENT_CROWDED_HISTORY] =
                "DELETE FROM history WHERE id IN (SELECT id FROM history WHERE kind = ?3 AND id <="
                " (SELECT id FROM history WHERE kind = ?3 ORDER BY id DESC LIMIT 1 OFFSET ?1) LIMIT ?2)",
        [STATEMENT_PUT_STATE] =
                "INSERT INTO plugin_state (id, version, plugin_version, time, state) VALUES (?1, ?2, ?3, ?4, ?5)"
                " ON CONFLICT (id) DO UPDATE SET version = excluded.version, plugin_version = excluded.plugin_version,"
                " time = excluded.time, state = excluded.state"
                " WHERE NOT ?6 OR version IS NOT excluded.version OR plugin_version IS NOT excluded.plugin_version"
                " OR length(state) IS NOT length(excluded.state) OR state IS NOT excluded.state",
        [STATEMENT_DELETE_TRIAL] = "DELETE FROM plugin_state WHERE id = ?1 || '" STORE_TRIAL "'",
        [STATEMENT_GET_STATE] = "SELECT version, plugin_version, time, state FROM plugin_state WHERE id = ?1",
        /* '0' comes after '/': whatever stands beside it. */
        [STATEMENT_FORGET_STATE] = "DELETE FROM plugin_state WHERE id = ?1 OR (id > ?1 || '/' AND id < ?1 || '0')",
        [STATEMENT_PUT_EVENT] =
                "INSERT INTO event (source, id, time, deadline, open, data, kind, object)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (source, id) DO UPDATE SET"
                " deadline = excluded.deadline, open = excluded.open, data = excluded.data, object = excluded.object,"
                " kind = CASE WHEN excluded.kind IS NULL THEN NULL ELSE kind END",
        [STATEMENT_TELL_BEGINNING] = "INSERT INTO history (time, kind, data) SELECT time, kind, object FROM event"
                                     " WHERE source = ?1 AND id = ?2 AND kind IS NOT NULL",
        [STATEMENT_DELETE_EVENT] = "DELETE FROM event WHERE source = ?1 AND id = ?2",
        [STATEMENT_GET_EVENTS] = "SELECT source, id, time, deadline, open, data, object FROM event"
                                 " ORDER BY time, rowid",
        [STATEMENT_EXPIRE_EVENTS] = "DELETE FROM event WHERE rowid IN"
                                    " (SELECT rowid FROM event WHERE open = 0 AND time < ?1 LIMIT ?2)",
};

struct Database {
        sqlite3 *db;
        sqlite3_stmt *statements[STATEMENT_COUNT];
        gboolean durable;
};

G_DEFINE_QUARK(cloudsnooze-database-error, database_error)

gboolean database_fail(sqlite3 *db, GError **error) {
        int code = db ? sqlite3_extended_errcode(db) : SQLITE_NOMEM;
        int primary = code & 0xff;

        g_set_error(error, DATABASE_ERROR,
                    primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB ? DATABASE_ERROR_BROKEN
                                                                          : DATABASE_ERROR_FAILED,
                    DATABASE_NAME ": %s", db ? sqlite3_errmsg(db) : "out of memory");
        return FALSE;
}

sqlite3_stmt *database_statement(Database *d, StatementId id, GError **error) {
        sqlite3_stmt **statement = &d->statements[id];

        if (!*statement && sqlite3_prepare_v3(d->db, statement_texts[id], -1, SQLITE_PREPARE_PERSISTENT, statement,
                                              NULL) != SQLITE_OK) {
                database_fail(d->db, error);
                return NULL;
        }
        return *statement;
}

gboolean database_run(Database *d, sqlite3_stmt *statement, GError **error) {
        int r;

        do
                r = sqlite3_step(statement);
        while (r == SQLITE_ROW);
        if (r != SQLITE_DONE)
                database_fail(d->db, error);
        (void) sqlite3_reset(statement);
        (void) sqlite3_clear_bindings(statement);
        return r == SQLITE_DONE;
}

sqlite3 *database_handle(Database *d) {
        return d->db;
}

static gboolean execute(sqlite3 *db, const char *text, GError **error) {
        return sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK || database_fail(db, error);
}

static gboolean read_version(sqlite3 *db, unsigned *ret, GError **error) {
        sqlite3_stmt *statement = NULL;
        gboolean ok;

        ok = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
             sqlite3_step(statement) == SQLITE_ROW;
        if (ok)
                *ret = (unsigned) sqlite3_column_int(statement, 0);
        else
                database_fail(db, error);
        sqlite3_finalize(statement);
        return ok;
}

gboolean database_upgrade(sqlite3 *db, const char *const *steps, unsigned count, GError **error) {
        unsigned version;

        if (!read_version(db, &version, error))
                return FALSE;
        if (version > count) {
                g_set_error(
                        error, DATABASE_ERROR, DATABASE_ERROR_NEWER,
                        DATABASE_NAME
                        " has version %u, and this CloudSnooze knows versions up to %u: it is left alone, and there "
                        "is no history until a newer CloudSnooze is installed or the file is moved away",
                        version, count);
                return FALSE;
        }
        for (; version < count; version++) {
                g_autofree char *text = g_strdup_printf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %u; COMMIT",
                                                        steps[version], version + 1);

                if (!execute(db, text, error)) {
                        (void) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
                        return FALSE;
                }
        }
        return TRUE;
}

/* SQLite gives the journal files the mode of the database: made here, all are the daemon's alone from the first
 * moment. */
static gboolean create_file(const char *path, GError **error) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd < 0) {
                g_set_error(error, DATABASE_ERROR, DATABASE_ERROR_FAILED, "%s cannot be opened: %s", path,
                            g_strerror(errno));
                return FALSE;
        }
        (void) safe_close(fd);
        return TRUE;
}

Database *database_open_file(const char *path, const char *pragmas, GError **error) {
        g_autoptr(Database) d = g_new0(Database, 1);

        d->durable = TRUE;
        if (!create_file(path, error))
                return NULL;
        if (sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK) {
                database_fail(d->db, error);
                return NULL;
        }
        (void) sqlite3_extended_result_codes(d->db, 1);
        /* Somebody may look into it with sqlite3(1). */
        (void) sqlite3_busy_timeout(d->db, 2000);
        if (!execute(d->db, pragmas, error) ||
            !database_upgrade(d->db, schema_steps, G_N_ELEMENTS(schema_steps), error))
                return NULL;
        return g_steal_pointer(&d);
}

Database *database_open(const char *directory, GError **error) {
        g_autofree char *path = g_build_filename(directory, DATABASE_NAME, NULL);

        if (!database_finish_replacement(directory, error))
                return NULL;
        /* The cache is small: this is a log, and memory is the budget. */
        return database_open_file(path,
                                  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -256;"
                                  "PRAGMA journal_size_limit = 1048576; PRAGMA temp_store = MEMORY",
                                  error);
}

void database_close(Database *d) {
        if (!d)
                return;
        for (StatementId i = 0; i < STATEMENT_COUNT; i++)
                sqlite3_finalize(d->statements[i]);
        (void) sqlite3_close(d->db);
        g_free(d);
}

static gboolean run_plain(Database *d, StatementId id, GError **error) {
        sqlite3_stmt *statement = database_statement(d, id, error);

        return statement && database_run(d, statement, error);
}

gboolean database_begin(Database *d, gboolean durable, GError **error) {
        /* Not a cached statement: this pragma does its work when it is compiled. */
        if (d->durable != durable) {
                if (!execute(d->db, durable ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", error))
                        return FALSE;
                d->durable = durable;
        }
        return run_plain(d, STATEMENT_BEGIN, error);
}

gboolean database_commit(Database *d, GError **error) {
        return run_plain(d, STATEMENT_COMMIT, error);
}

void database_rollback(Database *d) {
        /* A full disk makes SQLite roll back by itself. */
        if (!sqlite3_get_autocommit(d->db))
                (void) run_plain(d, STATEMENT_ROLLBACK, NULL);
}

gboolean database_put(Database *d, const char *key, const char *value, GError **error) {
        sqlite3_stmt *statement = database_statement(d, value ? STATEMENT_PUT : STATEMENT_DELETE, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
        if (value)
                (void) sqlite3_bind_text(statement, 2, value, -1, SQLITE_STATIC);
        return database_run(d, statement, error);
}

static sqlite3_int64 to_column(uint64_t time) {
        return (sqlite3_int64) MIN(time, (uint64_t) INT64_MAX);
}

gboolean database_append(Database *d, uint64_t realtime, HistoryKind kind, const char *data, GError **error) {
        gboolean is_sample = kind == HISTORY_SAMPLE;
        sqlite3_stmt *statement = database_statement(d, is_sample ? STATEMENT_APPEND_SAMPLE : STATEMENT_APPEND, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_int64(statement, 1, to_column(realtime));
        if (!is_sample)
                (void) sqlite3_bind_int(statement, 2, (int) kind);
        (void) sqlite3_bind_text(statement, is_sample ? 2 : 3, data, -1, SQLITE_STATIC);
        return database_run(d, statement, error);
}

gboolean database_append_sample_once(Database *d, uint64_t realtime, const char *data, GError **error) {
        sqlite3_stmt *statement = database_statement(d, STATEMENT_APPEND_SAMPLE_ONCE, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_int64(statement, 1, to_column(realtime));
        (void) sqlite3_bind_text(statement, 2, data, -1, SQLITE_STATIC);
        return database_run(d, statement, error);
}

JsonObject *database_parse_object(const char *text) {
        g_autoptr(JsonNode) node = text ? json_from_string(text, NULL) : NULL;

        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_dup_object(node) : NULL;
}

GHashTable *database_get(Database *d, const char *prefix, GError **error) {
        g_autoptr(GHashTable) records =
                g_hash_table_new_full(g_str_hash, g_str_equal, g_free, (GDestroyNotify) json_object_unref);
        sqlite3_stmt *statement = database_statement(d, STATEMENT_GET, error);
        int r;

        if (!statement)
                return NULL;
        (void) sqlite3_bind_text(statement, 1, prefix, -1, SQLITE_STATIC);
        while ((r = sqlite3_step(statement)) == SQLITE_ROW) {
                const char *key = (const char *) sqlite3_column_text(statement, 0);
                JsonObject *object;

                if (!key || !g_str_has_prefix(key, prefix)) {
                        r = SQLITE_DONE;
                        break;
                }
                object = database_parse_object((const char *) sqlite3_column_text(statement, 1));
                if (object)
                        g_hash_table_insert(records, g_strdup(key), object);
        }
        if (r != SQLITE_DONE)
                database_fail(d->db, error);
        (void) sqlite3_reset(statement);
        (void) sqlite3_clear_bindings(statement);
        return r == SQLITE_DONE ? g_steal_pointer(&records) : NULL;
}

/* About what a row takes once it is parsed: each value in it is a node of its own. Fits "{}" as well as a thousand
 * numbers. */
static gsize memory_of(const char *text) {
        gsize size = 256;

        for (const char *c = text; *c; c++)
                size += *c == ',' ? 128 : 1;
        return size;
}

/* One row as people get it, or NULL. */
static JsonObject *make_row(sqlite3_stmt *statement) {
        JsonObject *object = database_parse_object((const char *) sqlite3_column_text(statement, 2));
        const char *kind = history_kind_name((HistoryKind) sqlite3_column_int(statement, 1));

        if (!object || !kind) {
                g_clear_pointer(&object, json_object_unref);
                return NULL;
        }
        json_object_set_int_member(object, "time", sqlite3_column_int64(statement, 0));
        json_object_set_string_member(object, "kind", kind);
        return object;
}

typedef struct Range {
        uint64_t since, until;
        unsigned max, kinds;
} Range;

static gboolean query_table(Database *d, StatementId id, const Range *range, GPtrArray *rows, GError **error) {
        sqlite3_stmt *statement = database_statement(d, id, error);
        gsize size = 0;
        int r;

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_int64(statement, 1, to_column(range->since));
        (void) sqlite3_bind_int64(statement, 2, to_column(range->until));
        (void) sqlite3_bind_int64(statement, 3, id == STATEMENT_QUERY ? range->kinds : HISTORY_SAMPLE);
        (void) sqlite3_bind_int64(statement, 4, range->max);
        while ((r = sqlite3_step(statement)) == SQLITE_ROW) {
                JsonObject *row;

                size += memory_of((const char *) sqlite3_column_text(statement, 2) ?: "");
                if (size > STORE_QUERY_BYTES_MAX && rows->len > 0) {
                        r = SQLITE_DONE;
                        break;
                }
                row = make_row(statement);
                if (row)
                        g_ptr_array_add(rows, row);
        }
        if (r != SQLITE_DONE)
                database_fail(d->db, error);
        (void) sqlite3_reset(statement);
        (void) sqlite3_clear_bindings(statement);
        return r == SQLITE_DONE;
}

static gint compare_newest_first(gconstpointer a, gconstpointer b) {
        gint64 left = json_object_get_int_member(*(JsonObject *const *) a, "time");
        gint64 right = json_object_get_int_member(*(JsonObject *const *) b, "time");

        return (left < right) - (left > right);
}

GPtrArray *database_query(Database *d, uint64_t since, uint64_t until, unsigned max, unsigned kinds, GError **error) {
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func((GDestroyNotify) json_object_unref);
        const unsigned samples = 1U << HISTORY_SAMPLE;
        Range range = { since, until, MIN(max, STORE_QUERY_MAX), kinds == 0 ? ~samples : kinds };

        if (range.kinds & ~samples && !query_table(d, STATEMENT_QUERY, &range, rows, error))
                return NULL;
        if (range.kinds & samples) {
                if (!query_table(d, STATEMENT_QUERY_SAMPLES, &range, rows, error))
                        return NULL;
                /* Stable, so that rows of one instant stay in their order. */
                g_ptr_array_sort(rows, compare_newest_first);
                if (rows->len > range.max)
                        g_ptr_array_set_size(rows, (gint) range.max);
        }
        return g_steal_pointer(&rows);
}
