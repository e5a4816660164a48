/* SPDX-License-Identifier: Apache-2.0 */

/* The journal of events in the database: one row for each, replaced whole, so that whatever dies while it is written
 * leaves what was known before or what is known now. */

#include "daemon/store/statement.h"

void database_event_free(StoreEvent *event) {
        if (!event)
                return;
        g_free(event->source);
        g_free(event->id);
        g_clear_pointer(&event->text, g_ref_string_release);
        g_clear_pointer(&event->object, json_object_unref);
        g_clear_pointer(&event->data, json_object_unref);
        g_free(event);
}

static gboolean run_with_name(Database *d, StatementId id, const StoreEvent *event, GError **error) {
        sqlite3_stmt *statement = database_statement(d, id, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_text(statement, 1, event->source, -1, SQLITE_STATIC);
        (void) sqlite3_bind_text(statement, 2, event->id, -1, SQLITE_STATIC);
        return database_run(d, statement, error);
}

static gboolean put_row(Database *d, const StoreEvent *event, const char *data, gboolean told, GError **error) {
        sqlite3_stmt *statement = database_statement(d, STATEMENT_PUT_EVENT, error);

        if (!statement)
                return FALSE;
        (void) sqlite3_bind_text(statement, 1, event->source, -1, SQLITE_STATIC);
        (void) sqlite3_bind_text(statement, 2, event->id, -1, SQLITE_STATIC);
        (void) sqlite3_bind_int64(statement, 3, (sqlite3_int64) MIN(event->time, (uint64_t) INT64_MAX));
        (void) sqlite3_bind_int64(statement, 4, (sqlite3_int64) MIN(event->deadline, (uint64_t) INT64_MAX));
        (void) sqlite3_bind_int(statement, 5, event->state == STORE_EVENT_OPEN);
        if (data)
                (void) sqlite3_bind_text(statement, 6, data, -1, SQLITE_STATIC);
        if (!told && event->text)
                (void) sqlite3_bind_int(statement, 7, (int) event->kind);
        if (event->state == STORE_EVENT_OPEN && event->text)
                (void) sqlite3_bind_text(statement, 8, event->text, (int) g_ref_string_length(event->text),
                                         SQLITE_STATIC);
        return database_run(d, statement, error);
}

gboolean database_put_event(Database *d, const StoreEvent *event, const char *data, uint64_t realtime,
                            const char *history, GError **error) {
        gboolean told = history || event->state != STORE_EVENT_OPEN;

        /* First its beginning, which is told from its row: so rows of one event stand in their order. */
        return (!told || run_with_name(d, STATEMENT_TELL_BEGINNING, event, error)) &&
               (event->state == STORE_EVENT_GONE ? run_with_name(d, STATEMENT_DELETE_EVENT, event, error)
                                                 : put_row(d, event, data, told, error)) &&
               (!history || database_append(d, realtime, event->kind, history, error));
}

/* An open one whose data is no JSON object (somebody was at it) is over: nobody knows what is to be done. */
static StoreEvent *read_row(sqlite3_stmt *statement) {
        StoreEvent *event = g_new0(StoreEvent, 1);

        event->source = g_strdup((const char *) sqlite3_column_text(statement, 0) ?: "");
        event->id = g_strdup((const char *) sqlite3_column_text(statement, 1) ?: "");
        event->time = (uint64_t) MAX(sqlite3_column_int64(statement, 2), 0);
        event->deadline = (uint64_t) MAX(sqlite3_column_int64(statement, 3), 0);
        if (sqlite3_column_int(statement, 4)) {
                event->data = database_parse_object((const char *) sqlite3_column_text(statement, 5));
                event->object = database_parse_object((const char *) sqlite3_column_text(statement, 6));
        }
        event->state = event->data ? STORE_EVENT_OPEN : STORE_EVENT_OVER;
        return event;
}

GPtrArray *database_get_events(Database *d, GError **error) {
        g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func((GDestroyNotify) database_event_free);
        sqlite3_stmt *statement = database_statement(d, STATEMENT_GET_EVENTS, error);
        int r;

        if (!statement)
                return NULL;
        while ((r = sqlite3_step(statement)) == SQLITE_ROW)
                g_ptr_array_add(events, read_row(statement));
        if (r != SQLITE_DONE)
                database_fail(database_handle(d), error);
        (void) sqlite3_reset(statement);
        return r == SQLITE_DONE ? g_steal_pointer(&events) : NULL;
}
