/* SPDX-License-Identifier: Apache-2.0 */

/* Plugins that announce events. Each is kept running and watched: after its start, after a restart, after another
 * version replaced it, after a restart of the daemon. It tells everything that it still has each time; what has been
 * there is known by its id, and told again that it was taken care of. What finds no room is left with the source,
 * which is watched once more when half of the room is free: nothing is lost, and nothing piles up here. All that it
 * has comes again then, so that this is not done for every place, nor while the last time still goes on. */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/answer/announcement.h"
#include "daemon/event/event-private.h"

#define RETRY_FIRST USEC_PER_SEC
#define RETRY_MAX (5 * USEC_PER_MINUTE)
/* One that leaves by itself as soon as it was started is not started again at once. */
#define START_INTERVAL (10 * USEC_PER_SEC)
#define ACKNOWLEDGE_ATTEMPTS_MAX 12U
/* Of one source: acknowledgements that wait. Each may keep its event in memory. */
#define ACKNOWLEDGEMENTS_MAX 256U
/* With so many of them, the events of one that tells the same again are taken no faster than it hears of their ends:
 * what it never hears of it goes on telling, longer than its id is remembered. One that takes no acknowledgement is
 * not waited for. */
#define ACKNOWLEDGEMENTS_BEHIND (ACKNOWLEDGEMENTS_MAX - EVENTS_PER_SOURCE_MAX)
#define ACKNOWLEDGE_PATIENCE (5 * USEC_PER_SEC)
/* Of what it has to tell again after a Watch: known already, or without room once more. */
#define REPEATED_MAX 16384U
/* Told everything again, it is quiet for so long. */
#define REPEATED_QUIET (50 * USEC_PER_MSEC)
/* Announcements of which nothing came, within so long: more is no source that does not know better, but a flood. */
#define VAIN_MAX 2048U
#define VAIN_WINDOW (10 * USEC_PER_SEC)

typedef struct Acknowledgement {
        char *id;
        unsigned attempts;
} Acknowledgement;

typedef struct Source {
        Sources *sources;
        Plugin *plugin;
        char *id;
        gboolean watched, watching;  /* Watch was answered; is under way */
        gboolean again;              /* it changed while it was asked */
        gboolean crowded;            /* something found no room: to be watched again when there is some */
        gboolean repeat;             /* there is: it is asked again what it has */
        unsigned repeated;           /* since it was last asked */
        uint64_t last_repeated;
        sd_event_source *quiet;
        uint64_t started;            /* when it was last asked to run */
        unsigned failures;           /* of Watch and Acknowledge, in a row */
        sd_event_source *retry;
        GQueue due;                  /* Acknowledgement, in order; the first is under way where `acknowledging` */
        gboolean acknowledging;
        uint64_t acknowledge_asked;
        uint64_t window;
        unsigned vain;               /* in it */
} Source;

struct Sources {
        Events *events;
        GHashTable *by_id; /* owns Source */
        gboolean begun;
};

static void work(Source *source);
static void look_for_room(Source *source);

static void acknowledgement_free(void *data) {
        Acknowledgement *one = data;

        g_free(one->id);
        g_free(one);
}

static void source_free(void *data) {
        Source *source = data;

        sd_event_source_disable_unref(source->retry);
        sd_event_source_disable_unref(source->quiet);
        g_queue_clear_full(&source->due, acknowledgement_free);
        g_free(source->id);
        g_free(source);
}

Sources *sources_new(Events *events) {
        Sources *sources = g_new0(Sources, 1);

        sources->events = events;
        sources->by_id = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, source_free);
        return sources;
}

Sources *sources_free(Sources *sources) {
        if (!sources)
                return NULL;
        g_hash_table_unref(sources->by_id);
        g_free(sources);
        return NULL;
}

static gboolean is_wanted(const Source *source) {
        return source->sources->begun && !source->sources->events->freeing && plugin_enabled(source->plugin) &&
                plugin_has_contract(source->plugin, "EventSource");
}

static int on_retry(sd_event_source *timer, uint64_t usec, void *userdata) {
        Source *source = userdata;

        source->retry = sd_event_source_disable_unref(source->retry);
        work(source);
        return 0;
}

static void retry_after(Source *source, uint64_t delay) {
        source->retry = sd_event_source_disable_unref(source->retry);
        (void) sd_event_add_time_relative(source->sources->events->with.event, &source->retry, CLOCK_MONOTONIC, delay,
                                          delay / 8, on_retry, source);
}

static void back_off(Source *source) {
        retry_after(source, MIN(RETRY_FIRST << MIN(source->failures, 16U), RETRY_MAX));
        source->failures++;
}

/* Its process is not there, or hangs: it is asked again. Its own word is final. */
static gboolean is_passing(const sd_bus_error *error) {
        return sd_bus_error_has_name(error, ERROR_NOT_RUNNING) || sd_bus_error_has_name(error, ERROR_TIMED_OUT) ||
               sd_bus_error_has_name(error, ERROR_PLUGIN_FAILED) ||
               sd_bus_error_has_name(error, ERROR_LIMITS_EXCEEDED) || sd_bus_error_has_name(error, ERROR_THROTTLED) ||
               sd_bus_error_has_name(error, ERROR_BUSY);
}

static void acknowledged(Source *source, const char *id) {
        Event *event = event_find(source->sources->events, source->id, id);

        if (!event || event->acknowledged)
                return;
        event->acknowledged = TRUE;
        event_keep(event, NULL, NULL);
        event_retire(event);
}

/* Announced again by a later Watch, it comes back here. */
static gboolean give_up(const Source *source, Acknowledgement *one, const sd_bus_error *error) {
        if (is_passing(error) && ++one->attempts < ACKNOWLEDGE_ATTEMPTS_MAX)
                return FALSE;
        log_warning("Event %s of %s was taken care of, and its source cannot be told: %s", one->id, source->id,
                    error->message);
        return TRUE;
}

static void on_acknowledged(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Source *source = userdata;
        Acknowledgement *one = g_queue_peek_head(&source->due);

        source->acknowledging = FALSE;
        if (error && !give_up(source, one, error)) {
                back_off(source);
                look_for_room(source);
                return;
        }
        if (!error)
                source->failures = 0;
        (void) g_queue_pop_head(&source->due);
        acknowledged(source, one->id);
        acknowledgement_free(one);
        work(source);
        look_for_room(source);
}

static int append_id(sd_bus_message *message, void *userdata) {
        const Source *source = userdata;
        const Acknowledgement *one = g_queue_peek_head((GQueue *) &source->due);

        return sd_bus_message_append(message, "s", one->id);
}

static void on_watched(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Source *source = userdata;

        source->watching = FALSE;
        if (error) {
                log_warning("%s cannot be watched for events: %s", source->id, error->message);
                source->repeat = source->watched;
                back_off(source);
                return;
        }
        source->watched = !source->again;
        source->again = FALSE;
        source->failures = 0;
        work(source);
        look_for_room(source);
}

static void start(Source *source) {
        uint64_t now = clock_monotonic();

        if (source->started > 0 && usec_sub(now, source->started) < START_INTERVAL) {
                retry_after(source, usec_sub(source->started + START_INTERVAL, now));
                return;
        }
        source->started = now;
        plugin_load(source->plugin, NULL, NULL);
}

static void work(Source *source) {
        if (!is_wanted(source) || source->retry)
                return;
        if (plugin_state(source->plugin) == PLUGIN_DISCOVERED || plugin_state(source->plugin) == PLUGIN_STOPPED)
                start(source);
        if (plugin_state(source->plugin) != PLUGIN_RUNNING)
                return;
        if ((!source->watched || source->repeat) && !source->watching) {
                source->watching = TRUE;
                source->repeat = source->crowded = FALSE;
                source->repeated = 0;
                plugin_watch(source->plugin, on_watched, source);
        }
        if (source->watched && !source->acknowledging && !g_queue_is_empty(&source->due)) {
                source->acknowledging = TRUE;
                source->acknowledge_asked = clock_monotonic();
                (void) plugin_call(source->plugin, EVENT_SOURCE_INTERFACE, "Acknowledge", 0, FALSE, append_id,
                                   on_acknowledged, source);
        }
}

static Source *find(Sources *sources, const char *id) {
        return g_hash_table_lookup(sources->by_id, id);
}

static Source *find_or_add(Sources *sources, Plugin *plugin) {
        Source *source = find(sources, plugin_id(plugin));

        if (source)
                return source;
        source = g_new0(Source, 1);
        source->sources = sources;
        source->plugin = plugin;
        source->id = g_strdup(plugin_id(plugin));
        g_queue_init(&source->due);
        g_hash_table_insert(sources->by_id, source->id, source);
        return source;
}

/* Whatever changed, it is another process, or none, or perhaps the same: one Watch too many does no harm. */
void sources_plugin_changed(Sources *sources, Plugin *plugin) {
        Source *source;

        if (!plugin_has_contract(plugin, "EventSource") && !find(sources, plugin_id(plugin)))
                return;
        source = find_or_add(sources, plugin);
        source->plugin = plugin;
        source->watched = FALSE;
        source->again = source->watching;
        if (plugin_state(plugin) == PLUGIN_RUNNING) {
                source->retry = sd_event_source_disable_unref(source->retry);
                source->failures = 0;
        }
        work(source);
}

/* A source that is disabled, or gone, announces nothing. */
static void lapse_without_source(Sources *sources) {
        GPtrArray *list = sources->events->list;

        for (guint i = list->len; i-- > 0;) {
                Event *event = g_ptr_array_index(list, i);
                const Source *source = event->awaited > 0 ? find(sources, event->source) : NULL;

                if (event->awaited > 0 && (!source || !is_wanted(source)))
                        event_lapse(event);
        }
}

void sources_begin(Sources *sources) {
        GPtrArray *list = plugins_list(sources->events->with.plugins);
        GHashTableIter iterator;
        gpointer source;

        sources->begun = TRUE;
        for (guint i = 0; i < list->len; i++)
                if (plugin_has_contract(g_ptr_array_index(list, i), "EventSource"))
                        (void) find_or_add(sources, g_ptr_array_index(list, i));
        lapse_without_source(sources);
        g_hash_table_iter_init(&iterator, sources->by_id);
        while (g_hash_table_iter_next(&iterator, NULL, &source))
                work(source);
}

static gboolean is_due(const Source *source, const char *id) {
        for (const GList *link = source->due.head; link; link = link->next)
                if (g_str_equal(((const Acknowledgement *) link->data)->id, id))
                        return TRUE;
        return FALSE;
}

void sources_acknowledge(Sources *sources, const char *id, const char *event_id) {
        Plugin *plugin = plugins_find(sources->events->with.plugins, id);
        Source *source = plugin ? find_or_add(sources, plugin) : NULL;
        Acknowledgement *one;

        /* Without a source nobody waits for it; one that comes back announces it again. */
        if (!source || is_due(source, event_id))
                return;
        /* One that takes no answer is not remembered for ever: announced again by a later Watch, it comes back here.
         */
        if (g_queue_get_length(&source->due) >= ACKNOWLEDGEMENTS_MAX) {
                acknowledged(source, event_id);
                return;
        }
        one = g_new0(Acknowledgement, 1);
        one->id = g_strdup(event_id);
        g_queue_push_tail(&source->due, one);
        work(source);
}

static gboolean is_behind(const Source *source) {
        uint64_t now = clock_monotonic();

        if (g_queue_get_length((GQueue *) &source->due) < ACKNOWLEDGEMENTS_BEHIND || source->failures > 0)
                return FALSE;
        return now < usec_add(source->last_repeated, ACKNOWLEDGE_PATIENCE) &&
               (!source->acknowledging || now < usec_add(source->acknowledge_asked, ACKNOWLEDGE_PATIENCE));
}

static gboolean has_room(const Source *source) {
        return event_has_room(source->sources->events, EVENT_ORIGIN_PLUGIN, source->id) && !is_behind(source);
}

static gboolean has_half_its_room(const Source *source) {
        GHashTable *pending = source->sources->events->pending[EVENT_ORIGIN_PLUGIN].of_source;

        return has_room(source) &&
               GPOINTER_TO_UINT(g_hash_table_lookup(pending, source->id)) <= EVENTS_PER_SOURCE_MAX / 2;
}

static int on_quiet(sd_event_source *timer, uint64_t usec, void *userdata) {
        Source *source = userdata;

        source->quiet = sd_event_source_disable_unref(source->quiet);
        look_for_room(source);
        return 0;
}

/* Two times at once of all that it has would be more and more of them. */
static void look_for_room(Source *source) {
        uint64_t quiet = usec_add(source->last_repeated, REPEATED_QUIET);

        if (!source->crowded || source->watching || source->quiet || !has_half_its_room(source))
                return;
        if (clock_monotonic() < quiet) {
                (void) sd_event_add_time(source->sources->events->with.event, &source->quiet, CLOCK_MONOTONIC, quiet,
                                         USEC_PER_MSEC, on_quiet, source);
                return;
        }
        source->repeat = TRUE;
        work(source);
}

void sources_room(Sources *sources) {
        GHashTableIter iterator;
        gpointer source;

        g_hash_table_iter_init(&iterator, sources->by_id);
        while (g_hash_table_iter_next(&iterator, NULL, &source))
                look_for_room(source);
}

/* FALSE: too many of these. */
static gboolean in_vain(Source *source) {
        uint64_t now = clock_monotonic();

        if (usec_sub(now, source->window) > VAIN_WINDOW) {
                source->window = now;
                source->vain = 0;
        }
        return ++source->vain < VAIN_MAX;
}

/* We asked for it, or it could not know. */
static gboolean in_vain_once_more(Source *source) {
        source->last_repeated = clock_monotonic();
        return ++source->repeated <= REPEATED_MAX || in_vain(source);
}

/* Known already. One that is over and announced again was not heard to be acknowledged; it is not over while somebody
 * is told that it moved. */
static gboolean repeated(Source *source, const char *id) {
        Events *events = source->sources->events;
        const Event *event = event_find(events, source->id, id);
        gboolean over = event ? event->state == EVENT_OVER && event->kept && !event->to_move
                              : memory_has(events->memory, source->id, id);

        if (over)
                sources_acknowledge(source->sources, source->id, id);
        return in_vain_once_more(source);
}

static gboolean take_event(Source *source, sd_bus_message *signal, char **ret_problem) {
        Events *events = source->sources->events;
        g_autoptr(JsonObject) object = NULL;
        gboolean timed, moved;
        uint64_t deadline;
        const char *id;
        Event *known;

        if (announcement_read(signal, source->id, plugin_has_contract(source->plugin, "CloudProvider"),
                              clock_realtime(), &object, &timed, ret_problem) < 0)
                return FALSE;
        id = json_object_get_string_member(object, "id");
        deadline = (uint64_t) json_object_get_int_member(object, "deadline");
        known = event_find(events, source->id, id);
        moved = known && timed && event_move(known, deadline);
        if (known && known->awaited > 0) {
                event_go_on(known);
                return TRUE;
        }
        if (moved)
                return in_vain(source);
        if (known || memory_has(events->memory, source->id, id))
                return repeated(source, id);
        if (!has_room(source)) {
                source->crowded = TRUE;
                return in_vain_once_more(source);
        }
        event_begin(event_new_from(events, EVENT_ORIGIN_PLUGIN, id, source->id, object));
        return TRUE;
}

static gboolean take_cancellation(Source *source, sd_bus_message *signal, char **ret_problem) {
        const char *id;
        Event *event;

        if (announcement_read_cancelled(signal, &id, ret_problem) < 0)
                return FALSE;
        event = event_find(source->sources->events, source->id, id);
        if (!event || event->cancelled)
                return in_vain(source);
        event_cancel(event);
        return TRUE;
}

gboolean sources_announced(Sources *sources, Plugin *plugin, sd_bus_message *signal) {
        Source *source = find(sources, plugin_id(plugin));
        g_autofree char *problem = NULL;
        gboolean good = FALSE;

        /* Before Watch nobody listens, and what is pending is told after it. */
        if (!source || !is_wanted(source) || (!source->watched && !source->watching))
                return FALSE;
        if (sd_bus_message_is_signal(signal, EVENT_SOURCE_INTERFACE, "Event"))
                good = take_event(source, signal, &problem);
        else if (sd_bus_message_is_signal(signal, EVENT_SOURCE_INTERFACE, "EventCancelled"))
                good = take_cancellation(source, signal, &problem);
        if (problem) {
                log_warning("%s %s", source->id, problem);
                plugin_note_problem(plugin, problem);
        }
        return good;
}
