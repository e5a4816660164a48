/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* From the warning to the stopped machine: tells people and plugins, waits for handlers and delay holds, asks the
 * provider, and asks again where that helps. decision/ says when; this says how.
 *
 *   warning ── notice, event to the handlers ── notice a minute before
 *      ──► stopping ── handlers and delay holds end, tags
 *      ──► provider asked (record durable first) ──► accepted │ refused │ retry: its state is asked before anything is
 *                                                    repeated */

#include <systemd/sd-event.h>

#include "daemon/decision/decision.h"
#include "daemon/event/event.h"
#include "daemon/hold/hold.h"
#include "daemon/provider/providers.h"
#include "daemon/store/store.h"

typedef struct Stop Stop;

typedef struct StopParameters {
        sd_event *event;
        Config *config;
        Decision *decision;
        Store *store;
        Holds *holds;
        Plugins *plugins;
        Providers *providers;
        Events *events;
        const char *boot;               /* boot_learn() */
        uint64_t patience; /* µs until a stop that was asked for and did not happen is off; 0: five minutes */
        void (*step)(void *userdata);   /* something changed: step the decision soon */
        gboolean (*still_wanted)(void *userdata); /* steps the decision now: does it still want the provider asked? */
        uint64_t (*realtime)(uint64_t moment, void *userdata); /* of a monotonic moment: wall clock, as it is now */
        JsonObject *(*metrics)(void *userdata);   /* GetMetrics as JSON, for tags; a new reference */
        void (*save)(void *userdata);   /* the decision's state must be on disk before this returns */
        void (*problem)(const char *source, const char *message, void *userdata);
        void *userdata;
} StopParameters;

int stop_new(const StopParameters *parameters, Stop **ret);
Stop *stop_free(Stop *stop);
void stop_set_config(Stop *stop, Config *config);

gboolean stop_dry_run(const Stop *stop);

/* What a person's request asks of the provider. action NULL: the configuration's; wake: when the machine is to be on
 * again, µs since the epoch, 0: when somebody starts it. */
void stop_set_wishes(Stop *stop, const char *action, uint64_t wake);
const char *stop_action(const Stop *stop);
/* As members of an object that outlives the daemon, where there are any, and from it. */
void stop_export_wishes(const Stop *stop, JsonObject *object);
void stop_import_wishes(Stop *stop, JsonObject *object);

/* Transitions of the decision, told after they happened. stop_time and idle_since monotonic, 0: none. */
void stop_warning_began(Stop *stop, uint64_t stop_time, uint64_t idle_since, const char *reason);
void stop_stopping_began(Stop *stop, uint64_t idle_since, const char *reason);
void stop_called_off(Stop *stop, const char *reason);

/* The wall clock, by so much that what was told of a warning that runs is off: it is told anew. */
void stop_clock_was_set(Stop *stop);

/* The provider has been asked and has not said no: what ends the stop now is its success. */
gboolean stop_was_asked(const Stop *stop);

/* The stop happened and is over: the machine runs again without a boot (it was suspended). */
void stop_over(Stop *stop);

/* Handlers and delay holds are done, or out of time, and then the tags are written, or given up a few seconds later.
 * Has the tags written when it comes to them. */
gboolean stop_ready(Stop *stop);

/* The decision's call_provider. */
void stop_call_provider(Stop *stop);

/* After a restart of the daemon in `stopping` with the provider asked: its state is asked first, as soon as there is a
 * provider. Without one for too long the stop is off. */
void stop_resume_asked(Stop *stop);

/* An earlier daemon announced a stop, or a rehearsal of one, and did not live to carry it out: stop_called_off() tells
 * whoever heard of it. */
void stop_resume_announced(Stop *stop, gboolean rehearsal);

/* There may be a provider now. */
void stop_provider_changed(Stop *stop);
/* The machine is back from a stop that may have left its tags: as soon as there is a provider they say so. */
void stop_take_tags_back(Stop *stop);
