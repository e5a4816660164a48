/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The statements on the database, each prepared once; shared by database.c, state.c, journal.c and thin.c. */

#include "daemon/store/database.h"

typedef enum StatementId {
        STATEMENT_BEGIN,
        STATEMENT_COMMIT,
        STATEMENT_ROLLBACK,
        STATEMENT_PUT,
        STATEMENT_DELETE,
        STATEMENT_GET,
        STATEMENT_APPEND,
        STATEMENT_APPEND_SAMPLE,
        STATEMENT_APPEND_SAMPLE_ONCE,
        STATEMENT_QUERY,
        STATEMENT_QUERY_SAMPLES,
        STATEMENT_THINNED_UNTIL,
        STATEMENT_SET_THINNED,
        STATEMENT_FIRST_SAMPLE,
        STATEMENT_SAMPLES_BETWEEN,
        STATEMENT_DELETE_SAMPLES,
        STATEMENT_EXPIRE_SAMPLES,
        STATEMENT_EXPIRE_HISTORY,
        STATEMENT_CROWDED_SAMPLES,
        STATEMENT_CROWDED_HISTORY,
        STATEMENT_PUT_STATE,
        STATEMENT_DELETE_TRIAL,
        STATEMENT_GET_STATE,
        STATEMENT_FORGET_STATE,
        STATEMENT_PUT_EVENT,
        STATEMENT_TELL_BEGINNING,
        STATEMENT_DELETE_EVENT,
        STATEMENT_GET_EVENTS,
        STATEMENT_EXPIRE_EVENTS,
        STATEMENT_COUNT,
} StatementId;

/* To be bound; NULL on error. */
sqlite3_stmt *database_statement(Database *database, StatementId id, GError **error);

/* Steps to the end and resets. */
gboolean database_run(Database *database, sqlite3_stmt *statement, GError **error);

/* Sets the error from what SQLite said last; always FALSE. */
gboolean database_fail(sqlite3 *db, GError **error);

/* As database_open(), but whatever file, journal and cache. */
Database *database_open_file(const char *path, const char *pragmas, GError **error);

/* What database_replace_broken() was killed at. */
gboolean database_finish_replacement(const char *directory, GError **error);

/* NULL if the text is no JSON object. */
JsonObject *database_parse_object(const char *text);
