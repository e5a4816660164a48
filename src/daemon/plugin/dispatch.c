/* SPDX-License-Identifier: Apache-2.0 */

/* An event on its way through its handlers: those of the highest priority first, equal ones side by side, and each step gets its share
 * of what is left until the deadline, so that a slow first handler cannot eat the time of the last. */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "util/json.h"

typedef struct Dispatch Dispatch;

typedef struct Handler {
        Dispatch *dispatch;
        Plugin *plugin;
        int priority;
        uint64_t begun;
} Handler;

struct Dispatch {
        Plugins *plugins;
        JsonObject *event;
        uint64_t deadline; /* monotonic; 0: none */
        GArray *handlers;  /* Handler, by descending priority */
        guint next;        /* the first that was not asked yet */
        unsigned waiting;
        gboolean handled;
        JsonArray *results;
        PluginsDispatched done;
        void *userdata;
};

static void dispatch_step(Dispatch *dispatch);

void dispatch_free(void *data) {
        Dispatch *dispatch = data;

        json_object_unref(dispatch->event);
        g_array_unref(dispatch->handlers);
        json_array_unref(dispatch->results);
        g_free(dispatch);
}

static void dispatch_over(void *data) {
        Dispatch *dispatch = data;

        if (dispatch->done)
                dispatch->done(dispatch->handled, dispatch->results, dispatch->userdata);
        g_ptr_array_remove_fast(dispatch->plugins->dispatches, dispatch);
}

static int append_event(sd_bus_message *message, void *userdata) {
        static const char *const hints[] = { "severity", "u", "timestamp", "t", "deadline", "t", NULL };
        const Handler *handler = userdata;

        return dictionary_append(message, handler->dispatch->event, hints);
}

/* FALSE with a reason where the reply is not (b, a{sv}) within the limits. */
static gboolean read_result(sd_bus_message *reply, gboolean *ret_handled, JsonObject **ret_result, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int handled;

        if (sd_bus_message_read(reply, "b", &handled) < 0 ||
            dictionary_read(reply, &dictionary_limits_default, ret_result, &error) < 0) {
                *ret_problem = g_strdup(error.message ?: "not (b, a{sv})");
                return FALSE;
        }
        *ret_handled = handled;
        return TRUE;
}

static void on_handled(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        JsonObject *row = json_object_new(), *result = NULL;
        g_autofree char *problem = NULL;
        Handler *handler = userdata;
        Dispatch *dispatch = handler->dispatch;
        gboolean handled = FALSE;

        if (error)
                problem = g_strdup(error->message);
        else if (!read_result(reply, &handled, &result, &problem))
                plugin_set_healthy(plugin, FALSE, problem);

        json_object_set_string_member(row, "plugin", plugin->id);
        json_object_set_boolean_member(row, "handled", handled);
        if (result)
                json_object_set_object_member(row, "result", result);
        if (problem) {
                g_autofree char *words = plugin_words(problem);

                json_object_set_string_member(row, "error", words);
        }
        json_object_set_int_member(row, "usec", (gint64) usec_sub(clock_monotonic(), handler->begun));
        json_array_add_object_element(dispatch->results, row);
        dispatch->handled |= handled;
        if (--dispatch->waiting == 0)
                dispatch_step(dispatch);
}

static unsigned steps_left(const Dispatch *dispatch) {
        unsigned n = 0;

        for (guint i = dispatch->next; i < dispatch->handlers->len; i++)
                if (i == dispatch->next ||
                    g_array_index(dispatch->handlers, Handler, i).priority !=
                            g_array_index(dispatch->handlers, Handler, i - 1).priority)
                        n++;
        return n;
}

/* 0: as the manifest says. A deadline that has passed leaves a millisecond: handlers learn of the event even so. */
static uint64_t share(const Dispatch *dispatch, const Plugin *plugin, uint64_t now) {
        uint64_t left;

        if (dispatch->deadline == 0)
                return 0;
        left = usec_sub(dispatch->deadline, now) / MAX(steps_left(dispatch), 1U);
        left = MAX(left, USEC_PER_MSEC);
        return plugin->manifest ? MIN(left, plugin->manifest->timeouts[TIMEOUT_EVENT]) : left;
}

static void dispatch_step(Dispatch *dispatch) {
        uint64_t now = clock_monotonic();
        guint first = dispatch->next, end = first;
        int priority;

        if (first >= dispatch->handlers->len) {
                dispatch_over(dispatch);
                return;
        }
        priority = g_array_index(dispatch->handlers, Handler, first).priority;
        while (end < dispatch->handlers->len && g_array_index(dispatch->handlers, Handler, end).priority == priority)
                end++;
        dispatch->waiting = end - first;
        for (guint i = first; i < end; i++) {
                Handler *handler = &g_array_index(dispatch->handlers, Handler, i);

                handler->begun = now;
                (void) plugin_call(handler->plugin, EVENT_HANDLER_INTERFACE, "HandleEvent",
                                   share(dispatch, handler->plugin, now), FALSE, append_event, on_handled, handler);
        }
        dispatch->next = end;
}

static int by_priority(const void *a, const void *b) {
        const Handler *left = a, *right = b;

        if (left->priority != right->priority)
                return left->priority > right->priority ? -1 : 1;
        return strcmp(left->plugin->id, right->plugin->id);
}

static void collect_handlers(Dispatch *dispatch, const char *type) {
        for (guint i = 0; i < dispatch->plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(dispatch->plugins->list, i);
                const ManifestEvent *event = plugin_may_run(plugin) && plugin_has_contract(plugin, "EventHandler")
                        ? manifest_event(plugin->manifest, type)
                        : NULL;
                Handler handler = { .dispatch = dispatch, .plugin = plugin };

                if (!event || !event->enabled)
                        continue;
                handler.priority = event->priority;
                g_array_append_val(dispatch->handlers, handler);
        }
        g_array_sort(dispatch->handlers, by_priority);
}

static void run_step(void *data) {
        dispatch_step(data);
}

void plugins_dispatch(Plugins *plugins, JsonObject *event, PluginsDispatched done, void *userdata) {
        uint64_t deadline = (uint64_t) MAX(json_get_int(event, "deadline", 0), 0);
        Dispatch *dispatch = g_new0(Dispatch, 1);

        dispatch->plugins = plugins;
        dispatch->event = json_object_ref(event);
        if (deadline > 0)
                dispatch->deadline = usec_add(clock_monotonic(), usec_sub(deadline, clock_realtime()));
        dispatch->handlers = g_array_new(FALSE, FALSE, sizeof(Handler));
        dispatch->results = json_array_new();
        dispatch->done = done;
        dispatch->userdata = userdata;
        collect_handlers(dispatch, json_get_string(event, "type", ""));
        g_ptr_array_add(plugins->dispatches, dispatch);
        plugins_defer(plugins, run_step, NULL, dispatch);
}
