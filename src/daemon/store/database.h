/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* snooze.db itself: its schema and the statements on it. Used by the store's thread alone (and by tests): everything
 * here may wait for the disk. */

#include <stdint.h>

#include <glib.h>
#include <json-glib/json-glib.h>
#include <sqlite3.h>

#include "daemon/store/store.h"

#define DATABASE_NAME "snooze.db"

/* What went wrong decides what is done about it. */
#define DATABASE_ERROR (database_error_quark())
GQuark database_error_quark(void);

typedef enum DatabaseError {
        DATABASE_ERROR_FAILED, /* a full disk, no permission: tried again later */
        DATABASE_ERROR_BROKEN, /* not a database, or a damaged one: to be put aside */
        DATABASE_ERROR_NEWER,  /* of a later CloudSnooze: left alone */
} DatabaseError;

/* Samples are kept as they were taken for a day, then one per minute for a week, then one per ten minutes for 90 days;
 * everything else for a year; and never more rows than these. Those of history are counted by kind: who makes many of
 * one must not push out the others. Anybody can emit events: fewer are kept of those that are not the cloud's or the
 * machine's own. */
#define HISTORY_ROWS_MAX 20000U
#define HISTORY_EVENT_OF_OTHERS_ROWS_MAX 5000U
#define SAMPLE_ROWS_MAX 100000U

typedef struct Database Database;

/* Opens or creates it in this directory, and upgrades it. NULL on error. */
Database *database_open(const char *directory, GError **error);
void database_close(Database *database);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Database, database_close)

typedef struct Salvage {
        char *aside;              /* the name that the broken file has now */
        unsigned records, states, events; /* that could be read and are in the new one */
} Salvage;

/* Begins a new database in the place of a broken one, which must be closed, with what can be read of its records and
 * of plugins' states. The broken file is renamed to snooze.db.broken-<time>; all but the newest few of these are
 * removed. On error the broken one is where it was. */
gboolean database_replace_broken(const char *directory, uint64_t realtime, Salvage *ret, GError **error);

/* A group of work: durable as a whole after commit. `durable` FALSE: survives the end of this process, but not a power
 * cut. */
gboolean database_begin(Database *database, gboolean durable, GError **error);
gboolean database_commit(Database *database, GError **error);
void database_rollback(Database *database);

/* value NULL deletes. */
gboolean database_put(Database *database, const char *key, const char *value, GError **error);
gboolean database_append(Database *database, uint64_t realtime, HistoryKind kind, const char *data, GError **error);

/* A sample, unless the very same is there. */
gboolean database_append_sample_once(Database *database, uint64_t realtime, const char *data, GError **error);

/* A stored text that is no JSON object is left out: a row damaged by hand must not hide the others. */
GHashTable *database_get(Database *database, const char *prefix, GError **error);
GPtrArray *database_query(Database *database, uint64_t since, uint64_t until, unsigned max, unsigned kinds,
                          GError **error);

/* As store_put_state() and store_get_state(). get: *ret is NULL where there is none. */
gboolean database_put_state(Database *database, const char *id, uint32_t version, const char *plugin_version,
                            GBytes *blob, uint64_t realtime, GError **error);
gboolean database_put_state_if_changed(Database *database, const char *id, uint32_t version,
                                       const char *plugin_version, GBytes *blob, uint64_t realtime, GError **error);
gboolean database_get_state(Database *database, const char *id, const char *plugin_version, StoreState **ret,
                            GError **error);
gboolean database_forget_state(Database *database, const char *id, GError **error);
void database_state_free(StoreState *state);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreState, database_state_free)

/* data: JSON of an open one, else NULL. history: JSON of a row at this moment, or NULL. */
gboolean database_put_event(Database *database, const StoreEvent *event, const char *data, uint64_t realtime,
                            const char *history, GError **error);
GPtrArray *database_get_events(Database *database, GError **error);
void database_event_free(StoreEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StoreEvent, database_event_free)

/* One small step of thinning, as of this moment: *ret_more tells whether there is more of it to do. Its own
 * transaction. */
gboolean database_thin(Database *database, uint64_t realtime, gboolean *ret_more, GError **error);

/* Brings a database from its user_version to `count`, one step after the other, each in one transaction with its
 * number. */
gboolean database_upgrade(sqlite3 *db, const char *const *steps, unsigned count, GError **error);

/* For tests of what a full disk does. */
sqlite3 *database_handle(Database *database);
