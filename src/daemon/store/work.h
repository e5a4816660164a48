/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One piece of work for the store's thread: made on the loop, carried out in the thread, and finished on the loop
 * again. At each moment it belongs to one of them. */

#include "daemon/store/database.h"

typedef enum WorkKind {
        WORK_PUT,
        WORK_APPEND,
        WORK_GET,
        WORK_QUERY,
        WORK_PUT_STATE,
        WORK_FORGET_STATE,
        WORK_GET_STATE,
        WORK_PUT_EVENT,
        WORK_GET_EVENTS,
        WORK_RUN,     /* a job: no database needed */
        WORK_PROBLEM, /* from the thread alone: error is news about the database itself, NULL that it works again */
} WorkKind;

typedef struct Work {
        WorkKind kind;
        char *key;  /* or prefix, or id */
        char *text; /* JSON, or a plugin's version; NULL: delete, or none */
        uint64_t since, until;
        unsigned max, kinds;
        HistoryKind history;
        gboolean kept;  /* a sample that stands in the file of those that wait */
        gboolean again; /* from there; it may have been committed already */
        size_t bytes;
        uint32_t version;
        GBytes *blob;
        gboolean if_changed; /* the blob is not written where it stands already */
        StoreEvent *event;  /* without what is read of it: its data is in `text` */
        char *history_text; /* NULL: none */

        StoreRun run;
        void *data;
        GDestroyNotify destroy;

        union {
                StoreDone done;
                StoreRecords records;
                StoreRows rows;
                StoreStateDone state;
                StoreEvents events;
        } callback; /* one of them, or none */
        void *userdata;

        GError *error;
        GHashTable *records;
        GPtrArray *rows;
        StoreState *state;
} Work;

void work_free(Work *work);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Work, work_free)

gboolean work_has_callback(const Work *work);
gboolean work_is_write(const Work *work);
/* May wait for others: see store_append(). */
gboolean work_is_lazy(const Work *work);

/* One that runs without the database, by itself. */
gboolean work_is_job(const Work *work);

/* In the thread: on the open database. */
gboolean work_carry_out(Work *work, Database *database, GError **error);

/* In the thread: a job. */
void work_run(Work *work);

/* On the loop: tells who waits, if anybody does. */
void work_finish(Work *work);
