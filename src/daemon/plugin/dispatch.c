/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/dispatch.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "daemon/answer/reply.h"
#include "util/json.h"

/* What everybody gets of an event whose deadline is nearer than that when it is handed out, or has passed (some clouds
 * announce what has begun): one may have to be started, and says or saves what it can. A deadline that is farther is
 * kept: shares of at least this would add up beyond it. */
#define SHARE_MIN (2 * USEC_PER_SEC)
/* Less is nothing: whoever is asked would be blamed for having had no time. */
#define SHARE_USABLE (100 * USEC_PER_MSEC)

/* One that dies while it is at it is asked again when it is back, if there is time; one that dies twice dies of this.
 */
#define CALLS_MAX 2U

/* One that has taken less is quick, whether it blocks or not, until it takes more than the other. Those that are sent
 * to it side by side count with what lay before them. */
#define QUICK (100 * USEC_PER_MSEC)
#define SLOW USEC_PER_SEC

/* Of two that hang at once the event is the one that is blamed. */
#define PROBE_MARGIN (10 * USEC_PER_SEC)

typedef enum HandlerState {
        HANDLER_WAITS,
        HANDLER_QUEUED, /* its plugin is at another event */
        HANDLER_ASKED,
        HANDLER_DOWN,  /* to be asked as soon as its plugin is up again */
        HANDLER_ENDED, /* but not kept yet, or also that */
} HandlerState;

typedef struct Handler {
        Dispatch *dispatch;
        Plugin *plugin;
        int priority;
        HandlerState state;
        unsigned calls;
        unsigned turn;            /* as its plugin counts them; 0: urgent, or not asked yet */
        uint64_t begun, deadline; /* monotonic */
        uint64_t held;            /* the deadline is put off for what swap_held() has become since then … */
        uint64_t latest;          /* … but not beyond that */
        uint64_t asked;           /* the same: the last time */
        GList link;               /* HANDLER_QUEUED: in its plugin's queue */
        sd_event_source *timer;   /* HANDLER_QUEUED, HANDLER_DOWN: at the deadline */
        char *problem;            /* the same: why */
        gboolean overdue;         /* HANDLER_ENDED while its call is still under way */
} Handler;

struct Dispatch {
        Plugins *plugins;
        DispatchParameters with;
        char **only;
        uint64_t deadline;   /* monotonic; 0: none */
        gboolean late;       /* it had passed, or nearly, when the event was handed out */
        gboolean stopped;    /* nobody else is asked */
        GPtrArray *handlers; /* Handler, by descending priority; owns */
        guint next;          /* the first that was not asked yet */
        unsigned waiting;    /* for handlers, and for what they said to be kept */
        unsigned overdue;    /* handlers whose calls are still under way, though nobody waits for them */
        gboolean over;
        gboolean handled;
        JsonArray *results;
};

static void dispatch_step(Dispatch *dispatch);
static void ask(Handler *handler);
static void next_turn(Plugin *plugin);

static void handler_free(void *data) {
        Handler *handler = data;

        sd_event_source_disable_unref(handler->timer);
        g_free(handler->problem);
        g_free(handler);
}

void dispatch_free(void *data) {
        Dispatch *dispatch = data;

        json_object_unref(dispatch->with.event);
        g_strfreev(dispatch->only);
        g_ptr_array_unref(dispatch->handlers);
        json_array_unref(dispatch->results);
        g_free(dispatch);
}

static void free_if_over(Dispatch *dispatch) {
        if (dispatch->over && dispatch->overdue == 0)
                g_ptr_array_remove_fast(dispatch->plugins->dispatches, dispatch);
}

static void dispatch_over(Dispatch *dispatch) {
        if (dispatch->with.over)
                dispatch->with.over(dispatch->handled, dispatch->results, dispatch->with.userdata);
        dispatch->over = TRUE;
        free_if_over(dispatch);
}

void dispatch_kept(Dispatch *dispatch) {
        if (--dispatch->waiting == 0)
                dispatch_step(dispatch);
}

/* By what a version that takes another's place holds the event back. */
static void put_off_deadline(Handler *handler) {
        uint64_t held = swap_held(handler->plugin);

        handler->deadline += MIN(held - handler->held, usec_sub(handler->latest, handler->deadline));
        handler->held = held;
}

/* The event as everybody gets it, and the time that this handler has. */
static int append_event(sd_bus_message *message, void *userdata) {
        static const char *const hints[] = { "severity", "u", "timestamp", "t", "deadline", "t", "budget", "t", NULL };
        g_autoptr(JsonObject) event = json_object_new();
        Handler *handler = userdata;
        JsonObjectIter iterator;
        const char *member;
        JsonNode *node;

        json_object_iter_init(&iterator, handler->dispatch->with.event);
        while (json_object_iter_next(&iterator, &member, &node))
                json_object_set_member(event, member, json_node_copy(node));
        if (handler->dispatch->with.moved)
                json_object_set_boolean_member(event, "moved", TRUE);
        put_off_deadline(handler);
        json_object_set_int_member(event, "budget", (gint64) usec_sub(handler->deadline, clock_monotonic()));
        return dictionary_append(message, event, hints);
}

/* Takes `result`. */
static void end(Handler *handler, gboolean handled, JsonObject *result, const char *problem, gboolean timed_out) {
        Dispatch *dispatch = handler->dispatch;
        JsonObject *row = json_object_new();

        handler->state = HANDLER_ENDED;
        handler->timer = sd_event_source_disable_unref(handler->timer);
        json_object_set_string_member(row, "plugin", handler->plugin->id);
        json_object_set_boolean_member(row, "handled", handled);
        if (dispatch->with.cancelled)
                json_object_set_boolean_member(row, "cancelled", TRUE);
        if (result)
                json_object_set_object_member(row, "result", result);
        if (problem) {
                g_autofree char *words = plugin_words(problem);

                json_object_set_string_member(row, "error", words);
        }
        if (timed_out)
                json_object_set_boolean_member(row, "timed_out", TRUE);
        json_object_set_int_member(row, "usec", (gint64) usec_sub(clock_monotonic(), handler->begun));
        json_array_add_object_element(dispatch->results, row);
        dispatch->handled |= handled;
        if (dispatch->with.ended)
                dispatch->with.ended(row, dispatch->with.userdata);
        else
                dispatch_kept(dispatch);
}

static void leave_queue(Handler *handler) {
        if (handler->state == HANDLER_QUEUED)
                g_queue_unlink(&handler->plugin->events, &handler->link);
}

static void leave_turn(const Handler *handler) {
        handler->plugin->handling--;
        if (handler->plugin->at_event == handler->turn)
                handler->plugin->at_event = 0;
}

/* What the plugin was not sent yet (it is being started, or replaced) it is sent no more. FALSE: it is at it. */
static gboolean take_back(Handler *handler) {
        if (!plugin_call_cancel(handler->plugin, handler))
                return FALSE;
        handler->calls--;
        leave_turn(handler);
        return TRUE;
}

static int on_out_of_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Handler *handler = userdata;
        g_autofree char *problem = NULL;

        if (!handler->dispatch->stopped) {
                put_off_deadline(handler);
                if (clock_monotonic() < handler->deadline &&
                    sd_event_source_set_time(source, handler->deadline) >= 0 &&
                    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) >= 0)
                        return 0;
        }
        problem = g_steal_pointer(&handler->problem);
        leave_queue(handler);
        if (handler->state == HANDLER_ASKED && !take_back(handler)) {
                handler->overdue = TRUE;
                handler->dispatch->overdue++;
        } else
                next_turn(handler->plugin);
        if (handler->state == HANDLER_ASKED)
                end(handler, FALSE, NULL, "has no more time: the end was brought forward", TRUE);
        else if (handler->dispatch->stopped)
                end(handler, FALSE, NULL,
                    handler->calls > 0 ? "was not asked again: it was called off" : "was not asked: it was called off",
                    FALSE);
        else
                end(handler, FALSE, NULL, problem, TRUE);
        return 0;
}

static int wait_until_deadline(Handler *handler) {
        handler->timer = sd_event_source_disable_unref(handler->timer);
        return sd_event_add_time(handler->plugin->plugins->parameters.event, &handler->timer, CLOCK_MONOTONIC,
                                 handler->deadline, 0, on_out_of_time, handler);
}

/* A restart is due, or under way. */
static gboolean comes_back(const Plugin *plugin) {
        return plugin_may_run(plugin) && ((plugin->state == PLUGIN_FAILED && plugin->timer) || plugin_active(plugin));
}

/* It is gone, as opposed to: it said no. */
static gboolean has_fallen(const Plugin *plugin, const sd_bus_error *error) {
        return sd_bus_error_has_name(error, ERROR_NOT_RUNNING) ||
                (sd_bus_error_has_name(error, ERROR_PLUGIN_FAILED) && plugin->state != PLUGIN_RUNNING);
}

static gboolean wait_for_restart(Handler *handler, const char *problem) {
        if (handler->dispatch->stopped || handler->calls >= CALLS_MAX || clock_monotonic() >= handler->deadline ||
            !comes_back(handler->plugin) || wait_until_deadline(handler) < 0)
                return FALSE;
        handler->state = HANDLER_DOWN;
        g_free(handler->problem);
        handler->problem = g_strdup_printf("was not up again in time: %s", problem);
        return TRUE;
}

static void learn_pace(Plugin *plugin, const Handler *handler) {
        uint64_t taken = usec_sub(clock_monotonic(), handler->asked);

        if (taken < QUICK)
                plugin->quick = TRUE;
        else if (taken > SLOW)
                plugin->quick = FALSE;
}

static void on_handled(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autofree char *problem = NULL;
        JsonObject *result = NULL;
        Handler *handler = userdata;
        gboolean handled = FALSE;

        leave_turn(handler);
        if (handler->turn > 0 && !error)
                learn_pace(plugin, handler);
        if (handler->overdue) {
                if (!error)
                        plugin_keep_state(plugin, TRUE);
                handler->dispatch->overdue--;
                free_if_over(handler->dispatch);
                next_turn(plugin);
                return;
        }
        if (sd_bus_error_has_name(error, ERROR_NOT_RUNNING))
                handler->calls--;
        if (error && has_fallen(plugin, error) && wait_for_restart(handler, error->message)) {
                next_turn(plugin);
                return;
        }
        if (error)
                problem = g_strdup(error->message);
        else if (reply_read_result(reply, &handled, &result, &problem) < 0)
                plugin_note_problem(plugin, problem);
        else
                plugin_keep_state(plugin, TRUE);
        /* Who waits for its turn is asked before whatever this leads to. */
        next_turn(plugin);
        end(handler, handled, result, problem, sd_bus_error_has_name(error, ERROR_TIMED_OUT));
}

static void ask(Handler *handler) {
        uint64_t left;

        leave_queue(handler);
        handler->state = HANDLER_ASKED;
        handler->asked = clock_monotonic();
        put_off_deadline(handler);
        left = usec_sub(handler->deadline, handler->asked);
        if (!handler->dispatch->with.urgent)
                handler->plugin->at_event = handler->turn = ++handler->plugin->turns;
        handler->timer = sd_event_source_disable_unref(handler->timer);
        handler->calls++;
        if (plugin_call(handler->plugin, EVENT_HANDLER_INTERFACE, "HandleEvent", MAX(left, 1), FALSE, append_event,
                        on_handled, handler) < 0)
                return;
        plugin_call_ends_by(handler->plugin, handler, handler->latest);
        handler->plugin->handling++;
        plugin_keep_state_at_work(handler->plugin);
}

static void on_probed(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        plugin->probing = FALSE;
        if (!error && plugin->at_event == GPOINTER_TO_UINT(userdata))
                plugin->at_event = 0;
        /* Without an answer the event that it is at ends some time. */
        if (!error)
                next_turn(plugin);
}

/* Sent behind the event, so that one that blocks answers it after that; it has the event's time. */
static void probe(Plugin *plugin) {
        if (!plugin->probing)
                plugin->probing = plugin_call(plugin, PLUGIN_INTERFACE, "Ping",
                                              usec_add(plugin_timeout(plugin, TIMEOUT_EVENT), PROBE_MARGIN), TRUE,
                                              NULL, on_probed, GUINT_TO_POINTER(plugin->at_event)) >= 0;
}

/* Nobody is to blame who would have had no time, and what was called off is told to nobody. */
static gboolean may_be_asked(Handler *handler) {
        put_off_deadline(handler);
        return !handler->dispatch->stopped && usec_sub(handler->deadline, clock_monotonic()) >= SHARE_USABLE;
}

static void next_turn(Plugin *plugin) {
        for (GList *link = plugin->events.head, *next; link && (plugin->quick || plugin->at_event == 0); link = next) {
                Handler *handler = link->data;

                next = link->next;
                if (may_be_asked(handler))
                        ask(handler);
        }
        if (plugin->events.length > 0)
                probe(plugin);
}

/* Behind those of its rank. */
static void enter_queue(Handler *handler) {
        GQueue *queue = &handler->plugin->events;
        GList *before = queue->head;

        while (before && ((const Handler *) before->data)->dispatch->with.rank >= handler->dispatch->with.rank)
                before = before->next;
        handler->link.data = handler;
        g_queue_insert_before_link(queue, before, &handler->link);
}

static void ask_in_turn(Handler *handler) {
        const Plugin *plugin = handler->plugin;

        if (handler->dispatch->with.urgent || plugin->quick || plugin->at_event == 0 ||
            wait_until_deadline(handler) < 0) {
                ask(handler);
                return;
        }
        handler->state = HANDLER_QUEUED;
        g_free(handler->problem);
        handler->problem = g_strdup_printf("%s was not asked in time: it is busy with another event.",
                                           handler->plugin->id);
        enter_queue(handler);
        probe(handler->plugin);
}

void dispatch_plugin_changed(Plugin *plugin) {
        GPtrArray *dispatches = plugin->plugins->dispatches;

        /* One that failed may be about to be restarted. */
        if (plugin->state == PLUGIN_FAILED || (plugin->state != PLUGIN_RUNNING && plugin_active(plugin)))
                return;
        plugin_keep_state_at_work(plugin);
        for (guint i = 0; i < dispatches->len; i++) {
                const Dispatch *dispatch = g_ptr_array_index(dispatches, i);

                /* Its event was called off, and its end is told in a later iteration of the loop. */
                for (guint j = 0; !dispatch->stopped && j < dispatch->next; j++) {
                        Handler *handler = g_ptr_array_index(dispatch->handlers, j);

                        /* What becomes of it is told in a later iteration of the loop. */
                        if (handler->plugin == plugin && handler->state == HANDLER_DOWN)
                                ask_in_turn(handler);
                }
        }
}

static unsigned steps_left(const Dispatch *dispatch) {
        unsigned n = 0;

        for (guint i = dispatch->next; i < dispatch->handlers->len; i++) {
                const Handler *handler = g_ptr_array_index(dispatch->handlers, i);

                if (i == dispatch->next ||
                    handler->priority != ((const Handler *) g_ptr_array_index(dispatch->handlers, i - 1))->priority)
                        n++;
        }
        return MAX(n, 1U);
}

static uint64_t share(const Dispatch *dispatch, const Plugin *plugin, uint64_t now, unsigned steps) {
        uint64_t longest = plugin_timeout(plugin, TIMEOUT_EVENT), left;

        if (dispatch->deadline == 0)
                return longest;
        left = usec_sub(dispatch->deadline, now);
        /* Next to none is left under way where what handlers said was kept late: nobody is passed over for that. */
        return MIN(dispatch->late || left / steps < SHARE_USABLE ? SHARE_MIN : left / steps, longest);
}

/* How far a deadline may be put off: those behind have their part of what is left, too. */
static uint64_t latest(const Dispatch *dispatch, uint64_t now, unsigned steps) {
        return dispatch->deadline > 0 ? usec_add(now, usec_sub(dispatch->deadline, now) / steps) : USEC_INFINITY;
}

static void dispatch_step(Dispatch *dispatch) {
        guint first = dispatch->next, last = dispatch->handlers->len;
        uint64_t now = clock_monotonic();
        unsigned steps;
        int priority;

        if (first >= last || (dispatch->with.first && dispatch->handled)) {
                dispatch->next = last;
                dispatch_over(dispatch);
                return;
        }
        steps = steps_left(dispatch);
        priority = ((const Handler *) g_ptr_array_index(dispatch->handlers, first))->priority;
        for (; dispatch->next < last; dispatch->next++) {
                Handler *handler = g_ptr_array_index(dispatch->handlers, dispatch->next);

                if (handler->priority != priority)
                        break;
                handler->begun = now;
                handler->held = swap_held(handler->plugin);
                handler->deadline = usec_add(now, share(dispatch, handler->plugin, now, steps));
                handler->latest = latest(dispatch, now, steps);
        }
        dispatch->waiting = dispatch->next - first;
        for (guint i = first, end = dispatch->next; i < end; i++)
                ask_in_turn(g_ptr_array_index(dispatch->handlers, i));
}

static int by_priority(const void *a, const void *b) {
        const Handler *left = *(Handler *const *) a, *right = *(Handler *const *) b;

        if (left->priority != right->priority)
                return left->priority > right->priority ? -1 : 1;
        return strcmp(left->plugin->id, right->plugin->id);
}

static gboolean has_ended(const Dispatch *dispatch, const char *id) {
        for (guint i = 0; i < json_array_get_length(dispatch->results); i++)
                if (g_str_equal(json_get_string(json_array_get_object_element(dispatch->results, i), "plugin", ""),
                                id))
                        return TRUE;
        return FALSE;
}

/* By the manifest, and what the administrator says about it. */
static gboolean handles(const Plugin *plugin, const char *type, gboolean moved, int *ret_priority) {
        const ManifestEvent *event;
        gboolean enabled;

        if (!plugin_may_run(plugin) || !plugin_has_contract(plugin, "EventHandler"))
                return FALSE;
        event = manifest_event(plugin->manifest, type);
        if (!event || (moved && !event->moves))
                return FALSE;
        enabled = event->enabled;
        *ret_priority = event->priority;
        config_event_handler(plugin->plugins->config, plugin->id, type, ret_priority, &enabled);
        return enabled;
}

static void collect_handlers(Dispatch *dispatch, const char *type) {
        for (guint i = 0; i < dispatch->plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(dispatch->plugins->list, i);
                Handler *handler;
                int priority;

                if (!handles(plugin, type, dispatch->with.moved, &priority) || has_ended(dispatch, plugin->id) ||
                    (dispatch->only && !g_strv_contains((const char *const *) dispatch->only, plugin->id)))
                        continue;
                handler = g_new0(Handler, 1);
                *handler = (Handler){ .dispatch = dispatch,
                                      .plugin = plugin,
                                      .priority = dispatch->with.cancelled || dispatch->with.moved ? 0
                                                                                                   : priority };
                g_ptr_array_add(dispatch->handlers, handler);
        }
        g_ptr_array_sort(dispatch->handlers, by_priority);
}

static void run_first_step(void *data) {
        dispatch_step(data);
}

Dispatch *dispatch_new(Plugins *plugins, const DispatchParameters *parameters) {
        uint64_t deadline = (uint64_t) MAX(json_get_int(parameters->event, "deadline", 0), 0), left;
        Dispatch *dispatch = g_new0(Dispatch, 1);

        dispatch->plugins = plugins;
        dispatch->with = *parameters;
        json_object_ref(parameters->event);
        dispatch->only = g_strdupv((char **) parameters->only);
        if (deadline > 0 && !parameters->cancelled) {
                left = usec_sub(deadline, clock_realtime());
                dispatch->deadline = usec_add(clock_monotonic(), left);
                dispatch->late = left < SHARE_MIN;
        }
        dispatch->handlers = g_ptr_array_new_with_free_func(handler_free);
        dispatch->results = parameters->results ? json_array_ref(parameters->results) : json_array_new();
        for (guint i = 0; i < json_array_get_length(dispatch->results); i++)
                dispatch->handled |=
                        json_get_boolean(json_array_get_object_element(dispatch->results, i), "handled", FALSE);
        collect_handlers(dispatch, json_get_string(parameters->event, "type", ""));
        g_ptr_array_add(plugins->dispatches, dispatch);
        plugins_defer(plugins, run_first_step, NULL, dispatch);
        return dispatch;
}

static gboolean waits_unsent(const Handler *handler) {
        return handler->state == HANDLER_ASKED && plugin_call_waits(handler->plugin, handler);
}

/* Whoever fell over it was, too. */
static gboolean was_asked(const Handler *handler) {
        return handler->calls > (waits_unsent(handler) ? 1U : 0U);
}

void dispatch_stop(Dispatch *dispatch) {
        g_ptr_array_set_size(dispatch->handlers, (gint) dispatch->next);
        dispatch->stopped = TRUE;
        for (guint i = 0; i < dispatch->handlers->len; i++) {
                Handler *handler = g_ptr_array_index(dispatch->handlers, i);

                if (waits_unsent(handler) && wait_until_deadline(handler) >= 0 && take_back(handler)) {
                        handler->state = HANDLER_QUEUED;
                        enter_queue(handler);
                }
                /* In a later iteration of the loop. */
                if (handler->state == HANDLER_QUEUED || handler->state == HANDLER_DOWN)
                        (void) sd_event_source_set_time(handler->timer, 0);
        }
}

/* Not waited for any longer than until then; one that is asked may still answer, to nobody. */
static void shorten(Handler *handler, uint64_t deadline) {
        if (handler->deadline <= deadline)
                return;
        handler->deadline = deadline;
        handler->held = swap_held(handler->plugin);
        (void) wait_until_deadline(handler);
}

void dispatch_move(Dispatch *dispatch, uint64_t deadline) {
        uint64_t now = clock_monotonic(), left = usec_sub(deadline, clock_realtime());
        unsigned steps = 1 + (dispatch->next < dispatch->handlers->len ? steps_left(dispatch) : 0);

        dispatch->deadline = usec_add(now, left);
        dispatch->late = left < SHARE_MIN;
        for (guint i = 0; i < dispatch->next; i++) {
                Handler *handler = g_ptr_array_index(dispatch->handlers, i);

                /* One that was called off before its turn has its end coming already. */
                if (handler->state == HANDLER_ENDED || (dispatch->stopped && handler->state != HANDLER_ASKED))
                        continue;
                handler->latest = latest(dispatch, now, steps);
                plugin_call_ends_by(handler->plugin, handler, handler->latest);
                shorten(handler, usec_add(now, share(dispatch, handler->plugin, now, steps)));
        }
}

char **dispatch_asked(const Dispatch *dispatch) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        for (guint i = 0; i < json_array_get_length(dispatch->results); i++)
                g_strv_builder_add(builder,
                                   json_get_string(json_array_get_object_element(dispatch->results, i), "plugin", ""));
        for (guint i = 0; i < dispatch->next; i++) {
                const Handler *handler = g_ptr_array_index(dispatch->handlers, i);

                if (handler->state != HANDLER_ENDED && was_asked(handler))
                        g_strv_builder_add(builder, handler->plugin->id);
        }
        return g_strv_builder_end(builder);
}

void dispatch_abandon(Dispatch *dispatch) {
        dispatch->with.ended = NULL;
        dispatch->with.over = NULL;
        dispatch_stop(dispatch);
}
