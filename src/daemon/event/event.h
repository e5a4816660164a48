/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Events: what the cloud, the system, a person or the stop itself announces.
 *
 *   emitted, or announced by a source ─► journal ─► signalled ─► waits for its turn ─► handlers, by priority ─► over
 *                                         │ durable             │ the most urgent first  │ each result durable
 *   over ─► signalled ─► durable ─► acknowledged to its source ─► its deadline has passed ─► remembered by its id
 *
 * The journal (store_put_event()) has each event as it stands, so that a daemon that was killed anywhere goes on with
 * exactly what was left: handlers that have not ended are asked, if the deadline lies ahead, or the source announces
 * it still; a source that was not told is told. An event that cannot be written is handed out all the same: a handler
 * that saves work matters more than its record. */

#include <systemd/sd-bus.h>

#include "base/event-types.h"
#include "daemon/answer/sizes.h"
#include "daemon/config/config.h"
#include "daemon/plugin/plugins.h"
#include "daemon/store/store.h"

typedef struct Events Events;

typedef struct EventsParameters {
        sd_bus *bus;
        sd_event *event;
        Config *config;
        Store *store;
        Plugins *plugins;
        /* events_termination() may say something else now. May be NULL. */
        void (*changed)(void *userdata);
        /* events_restore() is through: what is known of earlier events is complete. May be NULL. */
        void (*restored)(void *userdata);
        void *userdata;
} EventsParameters;

int events_new(const EventsParameters *parameters, Events **ret);
Events *events_free(Events *events);
/* Before the store is closed: what that still tells leads to nothing new. */
void events_end(Events *events);
void events_set_config(Events *events, Config *config);

/* Goes on with what an earlier daemon left in the journal, then has the sources watched. */
void events_restore(Events *events);

/* What a part of the daemon announced (events_emit() by EVENT_SOURCE_PART and its name) lasts until it is cancelled,
 * whatever its deadline, and is known to later daemons. For each of those: FALSE cancels it. data is borrowed. */
typedef gboolean (*EventsStanding)(const char *source, const char *id, const char *type, JsonObject *data,
                                   void *userdata);
void events_each_standing(Events *events, EventsStanding keep, void *userdata);

/* handled: by at least one plugin. */
typedef void (*EventFinished)(gboolean handled, JsonArray *results, void *userdata);

/* The daemon's own, by EVENT_SOURCE_OWN or a part with a name of its own (EVENT_SOURCE_PART): always taken, since
 * nobody must be able to keep it from announcing a stop. deadline: wall clock µs, 0 for the default of the type;
 * severity EVENT_SEVERITY_DEFAULT, too. data may be NULL. The event is handed out as soon as it is durable, or known
 * not to become so. done may be NULL. *ret_id is borrowed until the next call. */
int events_emit(Events *events, const char *type, const char *source, unsigned severity, uint64_t deadline,
                JsonObject *data, EventFinished done, void *userdata, const char **ret_id);

/* A person's, whose data fits. -EDQUOT with EVENTS_PER_SOURCE_MAX of this user or EVENTS_PENDING_MAX of all users
 * under way. */
int events_emit_by_user(Events *events, const char *type, const char *user, unsigned severity, uint64_t deadline,
                        JsonObject *data, const char **ret_id);

/* It will not happen: nobody else is asked, and whoever was is told. An id that is unknown, or over for good, changes
 * nothing. */
void events_cancel(Events *events, const char *source, const char *id);

/* The caller of this done is not interested any more (it goes away before the event ended). */
void events_forget(Events *events, void *userdata);

/* Somebody else is about to stop this machine: what and who, in words, or NULL. Until TERMINATION_PATIENCE after its
 * deadline, but not before TERMINATION_AHEAD of it; borrowed until the next call. */
const char *events_termination(Events *events);

/* Plugins that are sources: for PluginsParameters' changed and announced. */
void events_plugin_changed(Events *events, Plugin *plugin);
gboolean events_announced(Events *events, Plugin *plugin, sd_bus_message *signal);

/* Members of a handler's result whose names end so are what a program wrote: nothing for everybody. */
#define EVENT_OUTPUT_SUFFIX "_output"
/* Copies of these results for everybody. */
JsonArray *event_results_without_output(JsonArray *results);
/* In a row of history, in place; one that is none of an event has no results, and stays as it is. */
void event_row_hide_output(JsonObject *row);

#define EVENT_SOURCE_OWN "snoozed"
#define EVENT_SOURCE_PART EVENT_SOURCE_OWN "/"
#define EVENTS_PER_SOURCE_MAX 64U
#define EVENTS_PENDING_MAX 1024U
#define TERMINATION_PATIENCE (5 * USEC_PER_MINUTE)
#define TERMINATION_AHEAD USEC_PER_DAY
