/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of event/ share. */

#include "daemon/event/event.h"
#include "daemon/event/memory.h"
#include "daemon/plugin/dispatch.h"

typedef struct Sources Sources;

/* Who let it in: each of them has ceilings of its own, so that none can use up another's. */
typedef enum EventOrigin {
        EVENT_ORIGIN_OWN,
        EVENT_ORIGIN_USER,
        EVENT_ORIGIN_PLUGIN,
        EVENT_ORIGIN_COUNT,
} EventOrigin;

typedef enum EventState {
        EVENT_WRITING,    /* not durable yet */
        EVENT_WAITING,    /* for its turn, or for its source's word: see `awaited` */
        EVENT_DISPATCHED,
        EVENT_OVER,       /* but not yet acknowledged, or its deadline lies ahead: it may still be cancelled */
} EventState;

typedef struct Event {
        Events *events;
        EventOrigin origin;
        EventState state;
        unsigned references;   /* this, and each answer of the store that is due */
        gboolean gone;         /* its last row is written, or on its way: it only waits for that */
        char *id, *type, *source;
        unsigned severity;
        gint64 timestamp;      /* wall clock µs: when it happened, … */
        uint64_t time, deadline; /* … when it came, and until when it is worth anything */
        JsonObject *data;
        JsonObject *object;    /* all of these as handlers get them; NULL: not made yet */
        char *text;            /* the same as JSON, a GRefString; NULL: not made yet */
        uint64_t number;       /* in the order in which they came */

        uint64_t awaited;      /* until then (boot time) its source may say that it still stands; 0: not awaited */
        gboolean forgotten;    /* it did not: its id means nothing any more */
        GSequenceIter *place;  /* EVENT_WAITING; NULL: awaited */
        Dispatch *dispatch;    /* to the handlers */
        JsonArray *results;    /* of those that ended */
        gboolean handled;

        gboolean cancelled;
        gboolean untold;       /* cancelled: not all have been told so far */
        char **to_tell;        /* cancelled: ids of the plugins that are to be told, and … */
        JsonArray *told;       /* … what came of it */
        Dispatch *telling;

        gboolean moved;        /* its deadline is not the one that was announced first */
        char **to_move;        /* ids of the plugins that are to be told so; NULL: nobody is */
        Dispatch *moving;
        uint64_t move_next;    /* monotonic: it moves no earlier once more, … */
        uint64_t move_to;      /* … then by this, the last that was said … */
        sd_event_source *move_timer; /* … unless that has become what is known; NULL: nothing is due */

        gboolean kept;         /* how it ended is durable, or known not to become so */
        gboolean acknowledged; /* also of one whose origin wants none */

        EventFinished done;
        void *userdata;
} Event;

/* Events of one origin that are not over. */
typedef struct Pending {
        unsigned all;
        GHashTable *of_source; /* source → how many; those of none are not in there */
} Pending;

struct Events {
        EventsParameters with;
        Config *config;
        GPtrArray *list;       /* Event; owns a reference */
        Pending pending[EVENT_ORIGIN_COUNT]; /* of those in the list */
        uint64_t counter;
        Memory *memory;
        Sources *sources;
        gboolean restored;
        gboolean freeing;
        GSequence *waiting;    /* Event, the most urgent first */
        GPtrArray *turns;      /* Event: EVENT_DISPATCHED by queue.c */
        sd_event_source *turn; /* deferred: somebody's may have come */
        sd_event_source *expiry;
        GQueue waiting_for_disk;     /* of event-journal.c, the longest first */
        sd_event_source *disk_watch; /* NULL: nobody has waited since */
        char *last_id, *termination;
};

/* event.c */
typedef struct EventFields {
        const char *id, *type, *source;
        gint64 timestamp;
        unsigned severity;
        uint64_t deadline;
        JsonObject *data; /* NULL: empty */
} EventFields;

Event *event_new(Events *events, EventOrigin origin, const EventFields *fields);
/* From an object that has them all, or nearly: what an earlier daemon wrote. */
Event *event_new_from(Events *events, EventOrigin origin, const char *id, const char *source, JsonObject *object);
void event_add(Event *event);
Event *event_ref(Event *event);
void event_unref(Event *event);
Event *event_find(Events *events, const char *source, const char *id);
/* There is room for one more of this source. */
gboolean event_has_room(const Events *events, EventOrigin origin, const char *source);
/* New: writes it and hands it out. */
void event_begin(Event *event);
/* It is durable, or as durable as it will become. */
void event_go_on(Event *event);
/* Its deadline passed while no daemon ran: handed out if its source announces it again, and else ended in a while.
 */
void event_await(Event *event);
/* The source is not there, or said nothing: ends without being acknowledged, and without being remembered. */
void event_lapse(Event *event);
/* To all that were asked. */
void event_tell_cancelled(Event *event);
void event_cancel(Event *event);
/* NULL-terminated ids of those who were asked so far. */
char **event_asked(const Event *event);
/* If it was handed out, and nobody is waited for. */
void event_finish_if_done(Event *event);
gboolean event_is_termination(const Event *event);
/* Waits for no other event at its handlers. */
gboolean event_is_urgent(const Event *event);
unsigned event_rank(const Event *event);
/* events_termination() may say something else. */
void events_changed(Events *events);
/* Nobody is left to be asked: tells so, and keeps it. */
void event_finish(Event *event);
/* It leaves the list as soon as its end is durable, its source knows, and its deadline lets it. */
void event_retire(Event *event);

/* event-fields.c */
/* A random UUID, not printed: for each of many events at once g_uuid_string_random() takes as long as all of its text.
 */
#define EVENT_MADE_ID_LENGTH 36U
void event_make_id(char id[static EVENT_MADE_ID_LENGTH + 1]);
/* Both borrowed; the text is a GRefString. */
JsonObject *event_object(Event *event);
char *event_text(Event *event);
/* As a{sv}. */
int event_append(sd_bus_message *message, const Event *event);

/* event-journal.c */
/* Writes it as it stands, with a row of history, which becomes the callee's, or without one: that it began is told by
 * itself. done is called once for each, also where this fails, then at once. */
typedef void (*EventKept)(Event *event, const GError *error);
void event_keep(Event *event, char *history, EventKept done);
/* So that it is not taken for a new one. */
void journal_remember(Events *events, const char *source, const char *id);
char *journal_row_ended(const Event *event);
char *journal_row_cancelled(const Event *event);

char *journal_row_moved(const Event *event);

/* move.c */
/* Its source says when it comes. FALSE: that is no other time than was known. TRUE: it moves, now or in a moment. */
gboolean event_move(Event *event, uint64_t deadline);
/* Those who were asked, and want to know. */
void event_tell_moved(Event *event);
/* Nobody is told any more. */
void event_stop_telling_moved(Event *event);

/* It is its turn. */
void event_hand_out(Event *event);

/* queue.c */
int queue_init(Events *events);
void queue_clear(Events *events);
void queue_add(Event *event);
/* It waits no longer, or its turn is over. */
void queue_leave(Event *event);
void queue_take_turns(Events *events);

/* event-signals.c */
void event_signal_received(Event *event);
void event_signal_finished(Event *event);
void event_signal_cancelled(Event *event);
void event_signal_moved(Event *event);

/* source.c */
Sources *sources_new(Events *events);
Sources *sources_free(Sources *sources);
/* What is known of earlier events is complete. */
void sources_begin(Sources *sources);
void sources_plugin_changed(Sources *sources, Plugin *plugin);
gboolean sources_announced(Sources *sources, Plugin *plugin, sd_bus_message *signal);
/* All handlers of this event ended, and that is durable. */
void sources_acknowledge(Sources *sources, const char *source, const char *id);
/* There is room again. */
void sources_room(Sources *sources);
