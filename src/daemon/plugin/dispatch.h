/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An event on its way through its handlers: every enabled plugin that handles its type, by descending priority, equal
 * ones side by side, each with its share of what is left until the deadline, so that a slow first handler cannot eat
 * the time of the last; two seconds where fewer are left when it begins, or the deadline has passed, so that nobody
 * is passed over. Each is told its share, in µs, as the event's `budget`, and is not waited for any longer; what a
 * version that takes its plugin's place holds it back is not counted, as long as those behind it have theirs. What a
 * handler said has to be kept by the owner before the next ones are asked: whatever dies, nobody who has ended is
 * asked again once somebody behind him was.
 *
 * A plugin that blocks does one thing after the other, and what is sent to it lies in its socket in the order in which
 * it came. So one that is not known to be quick has one event that is not urgent, and the next one only when it has
 * answered that, or a Ping sent behind it, by which it shows that it goes on with other things meanwhile. An urgent
 * one is sent at once: at most one that takes long lies before it. */

#include "daemon/plugin/plugins.h"

typedef struct Dispatch Dispatch;

typedef struct DispatchParameters {
        JsonObject *event;
        gboolean first;           /* ends at the first handler that handled it */
        gboolean cancelled;       /* a cancellation: all at once, nobody comes before another */
        gboolean moved;           /* its deadline is another one now: the same, and those alone that want to know */
        gboolean urgent;          /* waits for no other event at its handlers */
        unsigned rank;            /* else: before those of a lower one */
        const char *const *only;  /* these plugins alone, NULL-terminated; NULL: all that handle its type */
        JsonArray *results; /* of handlers that ended before, in another run of the daemon; NULL: none. Taken as they
                               are */
        /* A handler ended: plugin, handled, result or error, timed_out where it had no more time, usec.
         * dispatch_kept() is due for each, also from within. */
        void (*ended)(JsonObject *row, void *userdata);
        /* Nobody is left to be asked and all has been kept; the dispatch is freed afterwards. */
        void (*over)(gboolean handled, JsonArray *results, void *userdata);
        void *userdata;
} DispatchParameters;

/* Neither callback is called before the next iteration of the loop. What the parameters point to is referenced or
 * copied. */
Dispatch *dispatch_new(Plugins *plugins, const DispatchParameters *parameters);
void dispatch_kept(Dispatch *dispatch);
/* Nobody else is asked, nor sent what waits for it to be started or replaced. Those who were asked may still end. */
void dispatch_stop(Dispatch *dispatch);
/* The event's deadline is another one now, on the wall clock: what is left until then is shared anew. Where that is
 * less, those who are at it are not waited for beyond their part of it, nor are those asked who were not by then. */
void dispatch_move(Dispatch *dispatch, uint64_t deadline);
/* NULL-terminated ids of all that were asked so far, in this run or before. */
char **dispatch_asked(const Dispatch *dispatch);
/* The owner goes away: neither callback is called any more, nobody else is asked. */
void dispatch_abandon(Dispatch *dispatch);
