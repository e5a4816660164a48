/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What must survive: one SQLite database (WAL), and the one thread of the daemon, which alone talks to it, because a
 * commit waits for the disk. Work goes there through a bounded queue and comes back on the loop (an eventfd). Grouped:
 * what queued up during a commit shares the next. Files that must be durable are written by the same thread, in the
 * same order, as jobs. A broken or full database never stops anything: calls end with an error, `problem` is told
 * once, writing is tried again later, a corrupt file is put aside and a new one begun. */

#include <stdint.h>

#include <glib.h>
#include <json-glib/json-glib.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "daemon/answer/sizes.h"

typedef struct Store Store;

typedef enum HistoryKind {
        HISTORY_STATE,   /* a transition: state previous reason */
        HISTORY_VOTES,   /* a changed set of verdicts */
        HISTORY_STOP,    /* a stop from its beginning to the next boot */
        HISTORY_HOLD,    /* begun or ended */
        HISTORY_EVENT,
        HISTORY_PROBLEM,
        HISTORY_SAMPLE,  /* GetMetrics' keys; thinned with age */
        HISTORY_CALL,    /* who did what by which authorization */
        HISTORY_EVENT_OF_USER,   /* as HISTORY_EVENT, and told as such: what anybody can make many of, … */
        HISTORY_EVENT_OF_PLUGIN, /* … and a plugin that is no cloud's voice, crowds nothing but its like */
} HistoryKind;

/* Of kinds. */
#define HISTORY_EVENTS (1U << HISTORY_EVENT | 1U << HISTORY_EVENT_OF_USER | 1U << HISTORY_EVENT_OF_PLUGIN)

/* "state" "votes" "stop" "hold" "event" "problem" "sample" "call"; NULL for what is none. */
const char *history_kind_name(HistoryKind kind);

/* problem: told when writing begins to fail (error set) and when it works again (NULL). */
typedef void (*StoreProblem)(const GError *error, void *userdata);

/* Opens or creates DIRECTORY/snooze.db in the thread; returns at once. Samples that wait to be committed stand in
 * RUNTIME_DIRECTORY/samples: what a daemon that was killed left there is written to the database, each sample once;
 * what is none in there is left out and logged. NULL, or where that file cannot be used: no sample waits. */
int store_new(sd_event *event, const char *directory, const char *runtime_directory, StoreProblem problem,
              void *userdata, Store **ret);

/* Writes what is queued, waits for it (at most 5 s), ends the thread. Every callback that is still due is called
 * before it returns; none may call this itself. What is asked of it afterwards is refused with -ESHUTDOWN. */
void store_close(Store *store);

/* The same, if that was not done, and frees it. */
Store *store_free(Store *store);

/* Monotonic µs since when the thread is at what it does now, or 0 if it waits for work: long ago where the disk hangs,
 * of which no call's end can tell. */
uint64_t store_busy_since(const Store *store);

/* Busy for longer it is one that hangs: a commit takes milliseconds, seconds where the disk is overloaded. */
#define STORE_PATIENCE (5 * USEC_PER_SEC)

/* Called on the loop when the work is durable (error NULL) or will not be. */
typedef void (*StoreDone)(const GError *error, void *userdata);

/* Small named records ("decision", "stop", "pause", "hold/17"): replaced whole. done may be NULL. value NULL deletes.
 * Returns
 * -ENOBUFS if the queue is full (then done is not called), -E2BIG if key or value is beyond its ceiling. One that
 * fails is written when writing works again, unless another with its key was by then: done hears of the failure. */
#define STORE_HOLD_PREFIX "hold/"
int store_put(Store *store, const char *key, JsonObject *value, StoreDone done, void *userdata);

/* Values of all records whose key begins with prefix: key → JsonObject. */
typedef void (*StoreRecords)(GHashTable *records, const GError *error, void *userdata);
int store_get(Store *store, const char *prefix, StoreRecords done, void *userdata);

/* One row: time (wall clock µs), kind, data, which is written down at once and may be changed afterwards. A sample
 * without a done waits for up to five minutes to be committed together with others: evidence is not worth a wake-up of
 * the disk each time. It is in the runtime directory before this returns, and survives the end of this process from
 * then on. */
int store_append(Store *store, uint64_t realtime, HistoryKind kind, JsonObject *data, StoreDone done, void *userdata);

/* Rows of since ≤ time < until, newest first, at most max, and no more than fit into STORE_QUERY_BYTES_MAX of memory:
 * objects with `time`, `kind` and data's members. kinds: bit mask of 1 << HistoryKind, 0 all but samples. */
typedef void (*StoreRows)(GPtrArray *rows, const GError *error, void *userdata);
int store_query(Store *store, uint64_t since, uint64_t until, unsigned max, unsigned kinds, StoreRows done,
                void *userdata);

/* One event of the journal: what is still to be done about it, in the owner's words, or that it was there. */
typedef enum StoreEventState {
        STORE_EVENT_OPEN, /* somebody still waits for something */
        STORE_EVENT_OVER, /* remembered, so that the same is not taken for a new one; for STORE_EVENT_KEPT */
        STORE_EVENT_GONE, /* not even that */
} StoreEventState;

typedef struct StoreEvent {
        char *source, *id; /* together its name */
        uint64_t time;     /* wall clock µs; of several with the same name the first counts */
        uint64_t deadline; /* wall clock µs */
        StoreEventState state;
        HistoryKind kind;  /* of its rows of history: one of HISTORY_EVENTS */
        char *text;        /* the event itself, JSON, for an open one; a GRefString, which is shared; NULL when read */
        JsonObject *object; /* the same as it was read: of an open one; NULL of one that an earlier version wrote */
        JsonObject *data;  /* what stands about it, as it was read: of an open one; else NULL */
} StoreEvent;

/* Replaced whole, together with a row of history (of its kind and that moment), or without one (NULL): both become
 * durable or neither. data (of an open one, else NULL) and history are JSON; they become the callee's, in any case.
 * -E2BIG and -ENOBUFS as in store_put(); nothing is kept for later by itself.
 *
 * That it began (its text at its time) is a row of history by itself, which is written only when another one follows,
 * or when the event is over: until then whoever asks for history is told from the journal. So what must be durable
 * before anybody acts on an event is one row. */
int store_put_event(Store *store, const StoreEvent *event, char *data, uint64_t realtime, char *history,
                    StoreDone done, void *userdata);

/* Of all that are not gone, by time: StoreEvent, borrowed. */
typedef void (*StoreEvents)(GPtrArray *events, const GError *error, void *userdata);
int store_get_events(Store *store, StoreEvents done, void *userdata);

/* What a plugin with the State contract exported, one for each id; replaced whole. What a version exports that is on
 * trial stands beside it, under the id and this, until what is under the id is newer again: then it is gone. */
#define STORE_TRIAL "/trial"
typedef struct StoreState {
        uint32_t version;     /* of the state, as the plugin counts */
        char *plugin_version; /* that exported it */
        GBytes *state;
        uint64_t when;        /* wall clock µs */
} StoreState;

/* done tells when it is durable, and if it is not, the state of before is still there. -E2BIG beyond STORE_STATE_MAX,
 * -ENOBUFS where too much waits already: try again when something else is done. Nothing is kept for later by
 * itself. */
int store_put_state(Store *store, const char *id, uint32_t version, const char *plugin_version, GBytes *state,
                    StoreDone done, void *userdata);
/* What is there already is not written once more, and keeps its time. */
int store_put_state_if_changed(Store *store, const char *id, uint32_t version, const char *plugin_version,
                               GBytes *state, StoreDone done, void *userdata);

/* plugin_version: what is on trial is taken if this version exported it; NULL: it is not. state: NULL and no error
 * where there is none; borrowed. */
typedef void (*StoreStateDone)(const StoreState *state, const GError *error, void *userdata);
int store_get_state(Store *store, const char *id, const char *plugin_version, StoreStateDone done, void *userdata);

/* All that stands under the id, or under the id and something behind a slash. */
int store_forget_state(Store *store, const char *id, StoreDone done, void *userdata);

/* Anything else that waits for the disk: run(data) in the thread, after all that was queued before it and before all
 * that is queued later, and whether there is a database or not. It keeps to data, which is the thread's until done()
 * has been told: with error NULL done may look into it; with an error it may not, because a disk that hangs may still
 * have run() busy when the daemon ends. data is freed after done, and at once where this returns a negative errno
 * (-ENOBUFS, -ESHUTDOWN); done may be NULL. */
typedef gboolean (*StoreRun)(void *data, GError **error);
int store_run(Store *store, StoreRun run, void *data, GDestroyNotify destroy, StoreDone done, void *userdata);

#define STORE_QUEUE_MAX 4096U
#define STORE_QUERY_MAX 10000U
#define STORE_QUERY_BYTES_MAX (8U * 1024U * 1024U)
#define STORE_QUEUE_BYTES_MAX (16U * 1024U * 1024U)
#define STORE_KEY_MAX 255U
#define STORE_VALUE_MAX (1024U * 1024U)
#define STORE_STATE_MAX PLUGIN_STATE_MAX
#define STORE_EVENT_KEPT (90 * USEC_PER_DAY)
