/* SPDX-License-Identifier: Apache-2.0 */

/* The states of plugins in the database: one row for each, replaced whole, so that whatever dies while it is written
 * leaves the old one or the new one. */

#include "daemon/store/statement.h"

void database_state_free(StoreState *state) {
        if (!state)
                return;
        g_free(state->plugin_version);
        g_clear_pointer(&state->state, g_bytes_unref);
        g_free(state);
}

/* What is put is newer than what was on trial. */
static gboolean delete_trial(Database *d, const char *id, GError **error) {
        sqlite3_stmt *statement = database_statement(d, STATEMENT_DELETE_TRIAL, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        return database_run(d, statement, error);
}

static gboolean put(Database *d, const char *id, uint32_t version, const char *plugin_version, GBytes *blob,
                    uint64_t realtime, gboolean if_changed, GError **error) {
        sqlite3_stmt *statement;
        const void *data;
        gsize size;

        statement = database_statement(d, STATEMENT_PUT_STATE, error);
        if (!statement)
                return FALSE;
        data = g_bytes_get_data(blob, &size);
        (void) sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        (void) sqlite3_bind_int64(statement, 2, version);
        (void) sqlite3_bind_text(statement, 3, plugin_version, -1, SQLITE_STATIC);
        (void) sqlite3_bind_int64(statement, 4, (sqlite3_int64) MIN(realtime, (uint64_t) INT64_MAX));
        /* A NULL pointer would be bound as NULL, which is not the same as nothing in it. */
        (void) sqlite3_bind_blob64(statement, 5, size > 0 ? data : "", size, SQLITE_STATIC);
        (void) sqlite3_bind_int(statement, 6, if_changed);
        return database_run(d, statement, error) && delete_trial(d, id, error);
}

gboolean database_put_state(Database *d, const char *id, uint32_t version, const char *plugin_version, GBytes *blob,
                            uint64_t realtime, GError **error) {
        return put(d, id, version, plugin_version, blob, realtime, FALSE, error);
}

gboolean database_put_state_if_changed(Database *d, const char *id, uint32_t version, const char *plugin_version,
                                       GBytes *blob, uint64_t realtime, GError **error) {
        return put(d, id, version, plugin_version, blob, realtime, TRUE, error);
}

gboolean database_forget_state(Database *d, const char *id, GError **error) {
        sqlite3_stmt *statement = database_statement(d, STATEMENT_FORGET_STATE, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        return database_run(d, statement, error);
}

static StoreState *read_row(sqlite3_stmt *statement) {
        StoreState *state = g_new0(StoreState, 1);
        const void *blob = sqlite3_column_blob(statement, 3);
        int size = sqlite3_column_bytes(statement, 3);

        state->version = (uint32_t) sqlite3_column_int64(statement, 0);
        state->plugin_version = g_strdup((const char *) sqlite3_column_text(statement, 1) ?: "");
        state->when = (uint64_t) sqlite3_column_int64(statement, 2);
        state->state = g_bytes_new(blob, blob ? (gsize) size : 0);
        return state;
}

static gboolean get(Database *d, const char *id, StoreState **ret, GError **error) {
        sqlite3_stmt *statement = database_statement(d, STATEMENT_GET_STATE, error);
        g_autoptr(StoreState) state = NULL;
        int r;

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        r = sqlite3_step(statement);
        if (r == SQLITE_ROW) {
                state = read_row(statement);
                r = sqlite3_step(statement);
        }
        if (r != SQLITE_DONE)
                database_fail(database_handle(d), error);
        (void) sqlite3_reset(statement);
        (void) sqlite3_clear_bindings(statement);
        if (r != SQLITE_DONE)
                return FALSE;
        *ret = g_steal_pointer(&state);
        return TRUE;
}

gboolean database_get_state(Database *d, const char *id, const char *plugin_version, StoreState **ret,
                            GError **error) {
        g_autofree char *trial = g_strconcat(id, STORE_TRIAL, NULL);
        g_autoptr(StoreState) state = NULL;

        if (plugin_version && !get(d, trial, &state, error))
                return FALSE;
        if (!state || g_strcmp0(state->plugin_version, plugin_version) != 0)
                return get(d, id, ret, error);
        *ret = g_steal_pointer(&state);
        return TRUE;
}
