/* SPDX-License-Identifier: Apache-2.0 */

/* The end of the machine that is to come at another time than it was announced for. It stays the same event: to call
 * the one off for another would have handlers start again what they stopped, just before it comes. What is left is
 * shared among those who are still to be asked; whoever was asked is asked no second time for nothing, but told if his
 * manifest says that he wants to know. */

#include "base/clock.h"
#include "base/journal.h"
#include "daemon/event/event-private.h"
#include "util/duration.h"
#include "util/json.h"

/* By less than this an end does not move: handlers keep a reserve of the same size. Nor does it more often, since each
 * time is written, told and kept as history: of what comes meanwhile the last counts. */
#define MOVE_LEAST (5 * USEC_PER_SEC)

static void on_all_told(gboolean handled, JsonArray *results, void *userdata) {
        Event *event = event_ref(userdata);

        event->moving = NULL;
        g_clear_pointer(&event->to_move, g_strfreev);
        event_keep(event, NULL, NULL);
        /* Whoever announces it anew waits for a word anew. */
        if (event->state == EVENT_OVER && event->kept) {
                sources_acknowledge(event->events->sources, event->source, event->id);
                event_retire(event);
        } else
                event_finish_if_done(event);
        event_unref(event);
}

void event_tell_moved(Event *event) {
        event->moving = dispatch_new(event->events->with.plugins,
                                     &(DispatchParameters){ .event = event_object(event),
                                                            .moved = TRUE,
                                                            .urgent = event_is_urgent(event),
                                                            .rank = event_rank(event),
                                                            .only = (const char *const *) event->to_move,
                                                            .over = on_all_told,
                                                            .userdata = event });
}

void event_stop_telling_moved(Event *event) {
        if (event->moving)
                dispatch_abandon(event->moving);
        event->moving = NULL;
        g_clear_pointer(&event->to_move, g_strfreev);
}

static void on_move_kept(Event *event, const GError *error) {
        if (event->to_move && !event->moving)
                event_tell_moved(event);
}

static void log_move(const Event *event, uint64_t deadline) {
        uint64_t by = MAX(deadline, event->deadline) - MIN(deadline, event->deadline);
        g_autofree char *span = duration_format(by);

        log_notice("Event %s (%s): %s says that it comes %s %s than it was announced for.", event->id, event->type,
                   event->source, span, deadline < event->deadline ? "earlier" : "later");
}

static void move(Event *event, uint64_t deadline) {
        event->move_next = usec_add(clock_monotonic(), MOVE_LEAST);
        log_move(event, deadline);
        event_stop_telling_moved(event);
        event->deadline = deadline;
        event->moved = TRUE;
        json_object_set_int_member(event_object(event), "deadline", (gint64) deadline);
        g_clear_pointer(&event->text, g_ref_string_release);
        if (event->place) {
                queue_leave(event);
                queue_add(event);
        }
        if (event->dispatch)
                dispatch_move(event->dispatch, deadline);
        event->to_move = event_asked(event);
        event_keep(event, journal_row_moved(event), on_move_kept);
        event_signal_moved(event);
        events_changed(event->events);
}

/* The end of the machine alone: other deadlines are what somebody counted from when he looked. */
static gboolean can_move(const Event *event) {
        return event_is_termination(event) && !event->cancelled && !event->gone;
}

static int on_move_time(sd_event_source *timer, uint64_t usec, void *userdata) {
        Event *event = userdata;

        event->move_timer = sd_event_source_disable_unref(event->move_timer);
        if (can_move(event))
                move(event, event->move_to);
        return 0;
}

gboolean event_move(Event *event, uint64_t deadline) {
        if (!can_move(event))
                return FALSE;
        if (MAX(deadline, event->deadline) - MIN(deadline, event->deadline) < MOVE_LEAST) {
                event->move_timer = sd_event_source_disable_unref(event->move_timer);
                return FALSE;
        }
        event->move_to = deadline;
        if (!event->move_timer &&
            (clock_monotonic() >= event->move_next ||
             sd_event_add_time(event->events->with.event, &event->move_timer, CLOCK_MONOTONIC, event->move_next,
                               USEC_PER_MSEC, on_move_time, event) < 0))
                move(event, deadline);
        return TRUE;
}
