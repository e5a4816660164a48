/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/event/event-private.h"
#include "util/duration.h"
#include "util/json.h"

/* Of one source: events that are over and whose deadline lies ahead, so that a cancellation still finds its handlers.
 */
#define LINGERING_MAX 256U
/* For its source to be started, to find out where it is, and to announce what it finds: on boot time, since a clock
 * that is set meanwhile says nothing about that. */
#define AWAIT_PATIENCE (5 * USEC_PER_MINUTE)

void events_changed(Events *events) {
        if (events->with.changed && !events->freeing)
                events->with.changed(events->with.userdata);
}

Event *event_new(Events *events, EventOrigin origin, const EventFields *fields) {
        Event *event = g_new0(Event, 1);

        event->events = events;
        event->origin = origin;
        event->references = 1;
        event->id = g_strdup(fields->id);
        event->type = g_strdup(fields->type);
        event->source = g_strdup(fields->source);
        event->timestamp = fields->timestamp;
        event->severity = fields->severity;
        event->deadline = fields->deadline;
        event->data = fields->data ? json_object_ref(fields->data) : json_object_new();
        event->time = clock_realtime();
        event->number = events->counter++;
        event->results = json_array_new();
        event->acknowledged = origin != EVENT_ORIGIN_PLUGIN;
        return event;
}

Event *event_new_from(Events *events, EventOrigin origin, const char *id, const char *source, JsonObject *object) {
        Event *event = event_new(events, origin,
                                 &(EventFields){ .id = id,
                                                 .type = json_get_string(object, "type", ""),
                                                 .source = source,
                                                 .timestamp = json_get_int(object, "timestamp", 0),
                                                 .severity = (unsigned) json_get_int(object, "severity", 0),
                                                 .deadline = (uint64_t) MAX(json_get_int(object, "deadline", 0), 0),
                                                 .data = json_get_object(object, "data") });

        event->object = json_object_ref(object);
        return event;
}

Event *event_ref(Event *event) {
        event->references++;
        return event;
}

void event_unref(Event *event) {
        if (--event->references > 0)
                return;
        g_free(event->id);
        g_free(event->type);
        g_free(event->source);
        g_clear_pointer(&event->text, g_ref_string_release);
        json_object_unref(event->data);
        g_clear_pointer(&event->object, json_object_unref);
        json_array_unref(event->results);
        g_clear_pointer(&event->told, json_array_unref);
        g_strfreev(event->to_tell);
        g_strfreev(event->to_move);
        sd_event_source_disable_unref(event->move_timer);
        g_free(event);
}

static void release(void *event) {
        event_unref(event);
}

/* Counted, not gone through: whoever floods us has as many under way as he may, and asks with each more. */
static void count_pending(const Event *event, int change) {
        Pending *pending = &event->events->pending[event->origin];
        int count = GPOINTER_TO_INT(g_hash_table_lookup(pending->of_source, event->source)) + change;

        pending->all += (unsigned) change;
        if (count > 0)
                g_hash_table_replace(pending->of_source, g_strdup(event->source), GINT_TO_POINTER(count));
        else
                (void) g_hash_table_remove(pending->of_source, event->source);
}

void event_add(Event *event) {
        g_ptr_array_add(event->events->list, event);
        if (event->state != EVENT_OVER)
                count_pending(event, 1);
}

Event *event_find(Events *events, const char *source, const char *id) {
        for (guint i = 0; i < events->list->len; i++) {
                Event *event = g_ptr_array_index(events->list, i);

                if (g_str_equal(event->id, id) && g_str_equal(event->source, source))
                        return event;
        }
        return NULL;
}

gboolean event_has_room(const Events *events, EventOrigin origin, const char *source) {
        const Pending *pending = &events->pending[origin];

        return origin == EVENT_ORIGIN_OWN ||
                (pending->all < EVENTS_PENDING_MAX &&
                 GPOINTER_TO_UINT(g_hash_table_lookup(pending->of_source, source)) < EVENTS_PER_SOURCE_MAX);
}

/* What the cloud does about the machine, whatever we do. */
gboolean event_is_termination(const Event *event) {
        static const char *const keys[] = { "target_lifecycle_state", "target-lifecycle-state", "lifecycle_state",
                                            "state" };

        if (g_str_equal(event->type, "cloud.spot.interrupt") || g_str_equal(event->type, "cloud.instance.termination"))
                return TRUE;
        if (!g_str_equal(event->type, "cloud.autoscaling.scale"))
                return FALSE;
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (g_str_equal(json_get_string(event->data, keys[i], ""), "Terminated"))
                        return TRUE;
        return FALSE;
}

static uint64_t expires(const Event *event) {
        return event_is_termination(event) ? usec_add(event->deadline, TERMINATION_PATIENCE) : event->deadline;
}

static unsigned lingering(const Event *event) {
        GPtrArray *list = event->events->list;
        unsigned n = 0;

        for (guint i = 0; i < list->len; i++) {
                const Event *other = g_ptr_array_index(list, i);

                n += other->state == EVENT_OVER && other != event && g_str_equal(other->source, event->source);
        }
        return n;
}

/* Something of this machine that lasts until it is over. */
static gboolean is_standing(const Event *event) {
        return event->origin == EVENT_ORIGIN_OWN && !event->cancelled &&
               g_str_has_prefix(event->source, EVENT_SOURCE_PART);
}

/* It may still be cancelled, or happen. */
static gboolean lives_on(const Event *event, uint64_t now) {
        gboolean ahead = now < expires(event) && (event->origin == EVENT_ORIGIN_PLUGIN || event_is_termination(event));

        return !event->cancelled && (ahead || is_standing(event)) && lingering(event) < LINGERING_MAX;
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata);

static void arm_expiry(Events *events) {
        uint64_t now = clock_realtime(), boottime = clock_boottime(), left = USEC_INFINITY;

        for (guint i = 0; i < events->list->len; i++) {
                const Event *event = g_ptr_array_index(events->list, i);

                if (event->state == EVENT_OVER && event->kept && event->acknowledged && !event->untold &&
                    !event->to_move && !is_standing(event))
                        left = MIN(left, usec_sub(expires(event), now));
                else if (event->awaited > 0)
                        left = MIN(left, usec_sub(event->awaited, boottime));
        }
        events->expiry = sd_event_source_disable_unref(events->expiry);
        if (left == USEC_INFINITY || events->freeing)
                return;
        /* Far ahead is looked at again: the wall clock may be set. */
        (void) sd_event_add_time_relative(events->with.event, &events->expiry, CLOCK_BOOTTIME,
                                          MIN(left + USEC_PER_SEC, USEC_PER_HOUR), 5 * USEC_PER_SEC, on_expiry,
                                          events);
}

static gboolean can_retire(const Event *event, uint64_t now) {
        return event->state == EVENT_OVER && event->kept && event->acknowledged && !event->untold &&
                !event->to_move && (event->gone || !lives_on(event, now));
}

static void leave_list(Event *event) {
        if (event->origin == EVENT_ORIGIN_PLUGIN && !event->forgotten)
                journal_remember(event->events, event->source, event->id);
        (void) g_ptr_array_remove(event->events->list, event);
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata) {
        Events *events = userdata;
        uint64_t now = clock_realtime(), boottime = clock_boottime();

        for (guint i = events->list->len; i-- > 0;) {
                Event *event = g_ptr_array_index(events->list, i);

                if (event->awaited > 0 && event->awaited <= boottime)
                        event_lapse(event);
                else if (can_retire(event, now)) {
                        event->gone = TRUE;
                        event_keep(event, NULL, NULL);
                        leave_list(event);
                }
        }
        arm_expiry(events);
        events_changed(events);
        return 0;
}

void event_retire(Event *event) {
        Events *events = event->events;

        if (can_retire(event, clock_realtime())) {
                if (!event->gone) {
                        event->gone = TRUE;
                        event_keep(event, NULL, NULL);
                }
                leave_list(event);
                return;
        }
        arm_expiry(events);
}

/* Its source may be told, and it may go. */
static void on_end_kept(Event *event, const GError *error) {
        if (error)
                log_warning("The end of event %s could not be written down: %s", event->id, error->message);
        event->kept = TRUE;
        if (!event->acknowledged)
                sources_acknowledge(event->events->sources, event->source, event->id);
        event_retire(event);
}

void event_finish(Event *event) {
        Events *events = event->events;

        count_pending(event, -1);
        event->state = EVENT_OVER;
        /* Where nobody has to hear of it any more, its end is one write. */
        event->gone = event->acknowledged && !event->untold && !event->to_move &&
                (event->forgotten || !lives_on(event, clock_realtime()));
        event_keep(event_ref(event), journal_row_ended(event), on_end_kept);
        event_signal_finished(event);
        if (event->done)
                event->done(event->handled, event->results, event->userdata);
        event_unref(event);
        queue_take_turns(events);
        sources_room(events->sources);
}

/* What its source is told depends on it: that handlers had their time must be true. And it alone knows whether this is
 * still to come: somebody who stops services for what was called off, or happened, days ago does harm. */
void event_await(Event *event) {
        log_notice("Event %s (%s): its deadline passed while no daemon ran; it goes on if %s still announces it.",
                   event->id, event->type, event->source);
        event->state = EVENT_WAITING;
        event->awaited = usec_add(clock_boottime(), AWAIT_PATIENCE);
        arm_expiry(event->events);
}

void event_lapse(Event *event) {
        log_notice("Event %s (%s) ends: its deadline passed while no daemon ran, and %s announces it no more.",
                   event->id, event->type, event->source);
        event->awaited = 0;
        event->forgotten = event->acknowledged = TRUE;
        event_finish(event);
}

void event_finish_if_done(Event *event) {
        if (event->state == EVENT_DISPATCHED && !event->dispatch && !event->untold && !event->to_move) {
                queue_leave(event);
                event_finish(event);
        }
}

static void on_result_kept(Event *event, const GError *error) {
        if (event->dispatch)
                dispatch_kept(event->dispatch);
}

static void on_handler_ended(JsonObject *row, void *userdata) {
        event_keep(userdata, NULL, on_result_kept);
}

static void on_handlers_over(gboolean handled, JsonArray *results, void *userdata) {
        Event *event = userdata;

        event->dispatch = NULL;
        event->handled = handled;
        event_finish_if_done(event);
}

/* As in queue.c: the daemon's own never wait, and users' come behind others'. */
gboolean event_is_urgent(const Event *event) {
        return event->severity >= SEVERITY_URGENT || event->origin == EVENT_ORIGIN_OWN;
}

unsigned event_rank(const Event *event) {
        return 2 * event->severity + (event->origin != EVENT_ORIGIN_USER);
}

void event_hand_out(Event *event) {
        event->state = EVENT_DISPATCHED;
        event->dispatch =
                dispatch_new(event->events->with.plugins,
                             &(DispatchParameters){ .event = event_object(event),
                                                    .first = config_event_first(event->events->config, event->type),
                                                    .urgent = event_is_urgent(event),
                                                    .rank = event_rank(event),
                                                    .results = event->results,
                                                    .ended = on_handler_ended,
                                                    .over = on_handlers_over,
                                                    .userdata = event });
}

/* Cancelled: those who were asked hear of it. */
static void on_told_kept(Event *event, const GError *error) {
        if (event->telling)
                dispatch_kept(event->telling);
}

static void on_told(JsonObject *row, void *userdata) {
        event_keep(userdata, NULL, on_told_kept);
}

static void on_telling_kept(Event *event, const GError *error) {
        event_retire(event);
}

static void on_all_told(gboolean handled, JsonArray *results, void *userdata) {
        Event *event = userdata;

        event->telling = NULL;
        event->untold = FALSE;
        if (event->state == EVENT_DISPATCHED)
                event_finish_if_done(event);
        else
                event_keep(event, journal_row_ended(event), on_telling_kept);
}

void event_tell_cancelled(Event *event) {
        event->untold = TRUE;
        event->telling = dispatch_new(event->events->with.plugins,
                                      &(DispatchParameters){ .event = event_object(event),
                                                             .cancelled = TRUE,
                                                             .urgent = event_is_urgent(event),
                                                             .rank = event_rank(event),
                                                             .only = (const char *const *) event->to_tell,
                                                             .results = event->told,
                                                             .ended = on_told,
                                                             .over = on_all_told,
                                                             .userdata = event });
}

static void on_cancelled_kept(Event *event, const GError *error) {
        if (event->untold && !event->telling)
                event_tell_cancelled(event);
        else if (event->state == EVENT_OVER && !event->gone)
                event_retire(event);
}

static char **handlers_that_ended(const Event *event) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (guint i = 0; i < json_array_get_length(event->results); i++)
                g_strv_builder_add(builder,
                                   json_get_string(json_array_get_object_element(event->results, i), "plugin", ""));
        return g_strv_builder_end(builder);
}

char **event_asked(const Event *event) {
        return event->dispatch ? dispatch_asked(event->dispatch) : handlers_that_ended(event);
}

void event_cancel(Event *event) {
        if (event->cancelled || event->gone)
                return;
        event_stop_telling_moved(event);
        event->cancelled = TRUE;
        event->told = json_array_new();
        json_object_set_boolean_member(event_object(event), "cancelled", TRUE);
        g_clear_pointer(&event->text, g_ref_string_release);
        if (event->dispatch)
                dispatch_stop(event->dispatch);
        event->to_tell = event_asked(event);
        event->untold = g_strv_length(event->to_tell) > 0;
        event_signal_cancelled(event);
        if (event->state == EVENT_WAITING) {
                queue_leave(event);
                event->awaited = 0;
                event->state = EVENT_DISPATCHED;
        }
        event_keep(event, journal_row_cancelled(event), on_cancelled_kept);
        event_finish_if_done(event);
        events_changed(event->events);
}

void events_cancel(Events *events, const char *source, const char *id) {
        Event *event = event_find(events, source, id);

        if (event)
                event_cancel(event);
}

void events_each_standing(Events *events, EventsStanding keep, void *userdata) {
        g_autoptr(GPtrArray) standing = g_ptr_array_new_with_free_func(release);

        for (guint i = 0; i < events->list->len; i++)
                if (is_standing(g_ptr_array_index(events->list, i)))
                        g_ptr_array_add(standing, event_ref(g_ptr_array_index(events->list, i)));
        for (guint i = 0; i < standing->len; i++) {
                Event *event = g_ptr_array_index(standing, i);

                if (!keep(event->source, event->id, event->type, event->data, userdata))
                        event_cancel(event);
        }
}

void event_go_on(Event *event) {
        if (event->cancelled) {
                event->state = EVENT_DISPATCHED;
                if (event->to_tell && *event->to_tell)
                        event_tell_cancelled(event);
                else
                        event_finish_if_done(event);
                return;
        }
        event->awaited = 0;
        event->state = EVENT_WAITING;
        queue_add(event);
}

static void on_begun(Event *event, const GError *error) {
        if (error)
                log_warning("Event %s could not be written down: %s", event->id, error->message);
        event_signal_received(event);
        event_go_on(event);
}

void event_begin(Event *event) {
        event->state = EVENT_WRITING;
        event_add(event);
        event_keep(event, NULL, on_begun);
        if (event_is_termination(event))
                events_changed(event->events);
}

static int emit(Events *events, EventOrigin origin, const char *type, const char *source, unsigned severity,
                uint64_t deadline, JsonObject *data, Event **ret) {
        const EventType *known = event_type_find(type);
        uint64_t now = clock_realtime();
        char id[EVENT_MADE_ID_LENGTH + 1];

        if (!known || (severity > SEVERITY_CRITICAL && severity != EVENT_SEVERITY_DEFAULT))
                return -EINVAL;
        if (!event_has_room(events, origin, source))
                return -EDQUOT;
        event_make_id(id);
        *ret = event_new(events, origin,
                         &(EventFields){ .id = id,
                                         .type = type,
                                         .source = source,
                                         .timestamp = (gint64) now,
                                         .severity = severity == EVENT_SEVERITY_DEFAULT ? known->severity : severity,
                                         .deadline = deadline ? deadline : now + known->deadline,
                                         .data = data });
        g_free(events->last_id);
        events->last_id = g_strdup(id);
        return 0;
}

int events_emit(Events *events, const char *type, const char *source, unsigned severity, uint64_t deadline,
                JsonObject *data, EventFinished done, void *userdata, const char **ret_id) {
        Event *event;
        int r;

        r = emit(events, EVENT_ORIGIN_OWN, type, source, severity, deadline, data, &event);
        if (r < 0)
                return r;
        event->done = done;
        event->userdata = userdata;
        if (ret_id)
                *ret_id = events->last_id;
        event_begin(event);
        return 0;
}

int events_emit_by_user(Events *events, const char *type, const char *user, unsigned severity, uint64_t deadline,
                        JsonObject *data, const char **ret_id) {
        Event *event;
        int r;

        r = emit(events, EVENT_ORIGIN_USER, type, user, severity, deadline, data, &event);
        if (r < 0)
                return r;
        if (ret_id)
                *ret_id = events->last_id;
        event_begin(event);
        return 0;
}

void events_forget(Events *events, void *userdata) {
        for (guint i = 0; i < events->list->len; i++) {
                Event *event = g_ptr_array_index(events->list, i);

                if (event->userdata == userdata) {
                        event->done = NULL;
                        event->userdata = NULL;
                }
        }
}

const char *events_termination(Events *events) {
        uint64_t now = clock_realtime();
        const Event *soonest = NULL;
        g_autofree char *when = NULL;

        for (guint i = 0; i < events->list->len; i++) {
                const Event *event = g_ptr_array_index(events->list, i);

                if (!event->cancelled && event_is_termination(event) && now < expires(event) &&
                    event->deadline < usec_add(now, TERMINATION_AHEAD) &&
                    (!soonest || event->deadline < soonest->deadline))
                        soonest = event;
        }
        g_clear_pointer(&events->termination, g_free);
        if (!soonest)
                return NULL;
        when = moment_format(soonest->deadline, now, FALSE);
        events->termination = g_strdup_printf("%s announced by %s for %s", soonest->type, soonest->source, when);
        return events->termination;
}

void events_set_config(Events *events, Config *config) {
        config_ref(config);
        config_unref(events->config);
        events->config = config;
}

void events_plugin_changed(Events *events, Plugin *plugin) {
        sources_plugin_changed(events->sources, plugin);
}

gboolean events_announced(Events *events, Plugin *plugin, sd_bus_message *signal) {
        return sources_announced(events->sources, plugin, signal);
}

int events_new(const EventsParameters *parameters, Events **ret) {
        Events *events = g_new0(Events, 1);
        int r;

        events->with = *parameters;
        sd_bus_ref(events->with.bus);
        sd_event_ref(events->with.event);
        events->config = config_ref(parameters->config);
        events->list = g_ptr_array_new_with_free_func(release);
        for (size_t i = 0; i < G_N_ELEMENTS(events->pending); i++)
                events->pending[i].of_source = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        events->memory = memory_new();
        events->sources = sources_new(events);
        r = queue_init(events);
        if (r < 0) {
                events_free(events);
                return r;
        }
        *ret = events;
        return 0;
}

void events_end(Events *events) {
        events->freeing = TRUE;
}

Events *events_free(Events *events) {
        if (!events)
                return NULL;
        events_end(events);
        for (guint i = 0; i < events->list->len; i++) {
                const Event *event = g_ptr_array_index(events->list, i);

                if (event->dispatch)
                        dispatch_abandon(event->dispatch);
                if (event->telling)
                        dispatch_abandon(event->telling);
                if (event->moving)
                        dispatch_abandon(event->moving);
        }
        sources_free(events->sources);
        queue_clear(events);
        sd_event_source_disable_unref(events->expiry);
        sd_event_source_disable_unref(events->disk_watch);
        g_ptr_array_unref(events->list);
        for (size_t i = 0; i < G_N_ELEMENTS(events->pending); i++)
                g_hash_table_unref(events->pending[i].of_source);
        memory_free(events->memory);
        config_unref(events->config);
        sd_event_unref(events->with.event);
        sd_bus_unref(events->with.bus);
        g_free(events->last_id);
        g_free(events->termination);
        g_free(events);
        return NULL;
}
