/* SPDX-License-Identifier: Apache-2.0 */

/* Whose turn it is. Handing out everything at once would fill the queues of the plugins with what is least urgent; so
 * a few events are on their way through their handlers, the most urgent ones first, and the others wait. What is not
 * urgent leaves room for what is, what users emit leaves room for what plugins announce, no source gets more than its
 * part, and the daemon's own never wait. */

#include "base/clock.h"
#include "daemon/event/event-private.h"

#define TURNS_MAX 48U
#define TURNS_NOT_URGENT_MAX 24U
#define TURNS_PER_SOURCE_MAX 16U
/* Of all users together: however many they are and however long a handler hangs, the cloud's warning is handed out. */
#define TURNS_NOT_URGENT_OF_USERS_MAX (TURNS_NOT_URGENT_MAX / 2)

static gint by_urgency(gconstpointer a, gconstpointer b, gpointer unused) {
        const Event *left = a, *right = b;

        if (left->severity != right->severity)
                return left->severity > right->severity ? -1 : 1;
        if (left->deadline != right->deadline)
                return left->deadline < right->deadline ? -1 : 1;
        return (left->number > right->number) - (left->number < right->number);
}

static gboolean may_begin(const Events *events, const Event *event) {
        unsigned all = 0, not_urgent = 0, of_users = 0, own = 0;

        if (event->origin == EVENT_ORIGIN_OWN)
                return TRUE;
        for (guint i = 0; i < events->turns->len; i++) {
                const Event *other = g_ptr_array_index(events->turns, i);

                if (other->origin == EVENT_ORIGIN_OWN)
                        continue;
                all++;
                not_urgent += other->severity < SEVERITY_URGENT;
                of_users += other->severity < SEVERITY_URGENT && other->origin == EVENT_ORIGIN_USER;
                own += other->origin == event->origin && g_str_equal(other->source, event->source);
        }
        return all < TURNS_MAX && own < TURNS_PER_SOURCE_MAX &&
                (event->severity >= SEVERITY_URGENT ||
                 (not_urgent < TURNS_NOT_URGENT_MAX &&
                  (event->origin != EVENT_ORIGIN_USER || of_users < TURNS_NOT_URGENT_OF_USERS_MAX)));
}

static Event *next_event(const Events *events) {
        for (GSequenceIter *i = g_sequence_get_begin_iter(events->waiting); !g_sequence_iter_is_end(i);
             i = g_sequence_iter_next(i)) {
                Event *event = g_sequence_get(i);

                if (may_begin(events, event))
                        return event;
        }
        return NULL;
}

static int on_turn(sd_event_source *source, void *userdata) {
        Events *events = userdata;
        Event *event;

        while (!events->freeing && (event = next_event(events))) {
                queue_leave(event);
                g_ptr_array_add(events->turns, event);
                event_hand_out(event);
        }
        return 0;
}

void queue_take_turns(Events *events) {
        if (g_sequence_get_length(events->waiting) > 0)
                (void) sd_event_source_set_enabled(events->turn, SD_EVENT_ONESHOT);
}

/* What became durable together is looked at together, whatever came first. */
void queue_add(Event *event) {
        event->place = g_sequence_insert_sorted(event->events->waiting, event, by_urgency, NULL);
        queue_take_turns(event->events);
}

void queue_leave(Event *event) {
        if (event->place)
                g_sequence_remove(event->place);
        event->place = NULL;
        (void) g_ptr_array_remove_fast(event->events->turns, event);
}

int queue_init(Events *events) {
        int r;

        events->waiting = g_sequence_new(NULL);
        events->turns = g_ptr_array_new();
        r = sd_event_add_defer(events->with.event, &events->turn, on_turn, events);
        return r < 0 ? r : sd_event_source_set_enabled(events->turn, SD_EVENT_OFF);
}

void queue_clear(Events *events) {
        events->turn = sd_event_source_disable_unref(events->turn);
        g_sequence_free(events->waiting);
        g_ptr_array_unref(events->turns);
}
