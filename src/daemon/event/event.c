/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/event/event.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/dictionary.h"

const EventType event_types[] = {
        { "cloud.spot.interrupt", SEVERITY_CRITICAL, 2 * USEC_PER_MINUTE },
        { "cloud.spot.rebalance", SEVERITY_WARNING, 10 * USEC_PER_MINUTE },
        { "cloud.instance.termination", SEVERITY_CRITICAL, 2 * USEC_PER_MINUTE },
        { "cloud.instance.maintenance", SEVERITY_URGENT, 15 * USEC_PER_MINUTE },
        { "cloud.autoscaling.scale", SEVERITY_WARNING, 5 * USEC_PER_MINUTE },
        { "system.disk.low", SEVERITY_WARNING, 5 * USEC_PER_MINUTE },
        { "system.cpu.high", SEVERITY_INFO, 5 * USEC_PER_MINUTE },
        { "system.memory.pressure", SEVERITY_WARNING, USEC_PER_MINUTE },
        { "system.network.down", SEVERITY_WARNING, 5 * USEC_PER_MINUTE },
        { EVENT_STOP_PENDING, SEVERITY_URGENT, USEC_PER_MINUTE },
        { EVENT_NOTICE, SEVERITY_WARNING, USEC_PER_MINUTE },
        { "custom", SEVERITY_INFO, 5 * USEC_PER_MINUTE },
        { NULL },
};

typedef struct Event {
        Events *events;
        char *id;
        char *type;
        char *source;
        JsonObject *object;
        EventFinished done;
        void *userdata;
} Event;

struct Events {
        sd_bus *bus;
        Store *store;
        Plugins *plugins;
        GPtrArray *pending; /* owns each Event */
        char *last_id;
};

const EventType *event_type_find(const char *type) {
        size_t length = strlen(type);
        const char *name = type;

        if (g_str_has_prefix(type, "custom.")) {
                if (length > EVENT_TYPE_MAX || length == strlen("custom.") || type[length - 1] == '.' ||
                    strstr(type, ".."))
                        return NULL;
                if (strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789.-") != length)
                        return NULL;
                name = "custom";
        }
        for (const EventType *t = event_types; t->name; t++)
                if (strcmp(t->name, name) == 0)
                        return t;
        return NULL;
}

static void event_free(void *data) {
        Event *event = data;

        g_free(event->id);
        g_free(event->type);
        g_free(event->source);
        json_object_unref(event->object);
        g_free(event);
}

int events_new(const EventsParameters *parameters, Events **ret) {
        Events *events = g_new0(Events, 1);

        events->bus = sd_bus_ref(parameters->bus);
        events->store = parameters->store;
        events->plugins = parameters->plugins;
        events->pending = g_ptr_array_new_with_free_func(event_free);
        *ret = events;
        return 0;
}

Events *events_free(Events *events) {
        if (!events)
                return NULL;
        g_ptr_array_unref(events->pending);
        sd_bus_unref(events->bus);
        g_free(events->last_id);
        g_free(events);
        return NULL;
}

void events_forget(Events *events, void *userdata) {
        for (guint i = 0; i < events->pending->len; i++) {
                Event *event = g_ptr_array_index(events->pending, i);

                if (event->userdata == userdata) {
                        event->done = NULL;
                        event->userdata = NULL;
                }
        }
}

/* Signals are news, not promises: whoever must not miss an event reads ListEvents. */
static void signal_received(Event *event) {
        _cleanup_bus_message_ sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(event->events->bus, &signal, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE,
                                      "EventReceived");
        if (r >= 0)
                r = sd_bus_message_append(signal, "ss", event->id, event->type);
        if (r >= 0)
                r = dictionary_append(signal, event->object, (const char *[]) { "severity", "u", NULL });
        if (r >= 0)
                r = sd_bus_send(event->events->bus, signal, NULL);
        if (r < 0)
                log_warning("Event %s could not be signalled: %s", event->id, strerror(-r));
}

static void signal_finished(Event *event, gboolean handled, JsonArray *results) {
        _cleanup_bus_message_ sd_bus_message *signal = NULL;
        int r;

        r = sd_bus_message_new_signal(event->events->bus, &signal, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE,
                                      "EventFinished");
        if (r >= 0)
                r = sd_bus_message_append(signal, "sb", event->id, handled);
        if (r >= 0)
                r = sd_bus_message_open_container(signal, SD_BUS_TYPE_ARRAY, "a{sv}");
        for (guint i = 0; r >= 0 && i < json_array_get_length(results); i++)
                r = dictionary_append(signal, json_array_get_object_element(results, i), NULL);
        if (r >= 0)
                r = sd_bus_message_close_container(signal);
        if (r >= 0)
                r = sd_bus_send(event->events->bus, signal, NULL);
        if (r < 0)
                log_warning("The end of event %s could not be signalled: %s", event->id, strerror(-r));
}

static void event_dispatched(gboolean handled, JsonArray *results, void *userdata) {
        Event *event = userdata;
        Events *events = event->events;
        g_autoptr(JsonObject) row = json_object_new();

        signal_finished(event, handled, results);
        json_object_set_string_member(row, "id", event->id);
        json_object_set_string_member(row, "type", event->type);
        json_object_set_boolean_member(row, "finished", TRUE);
        json_object_set_boolean_member(row, "handled", handled);
        json_object_set_array_member(row, "results", json_array_ref(results));
        (void) store_append(events->store, clock_realtime(), HISTORY_EVENT, row, NULL, NULL);

        if (event->done)
                event->done(handled, results, event->userdata);
        g_ptr_array_remove(events->pending, event);
}

static void event_kept(const GError *error, void *userdata) {
        Event *event = userdata;

        /* An event that could not be written is handed out all the same: a handler that saves work matters more than
         * its record. */
        if (error)
                log_warning("Event %s could not be written down: %s", event->id, error->message);
        signal_received(event);
        plugins_dispatch(event->events->plugins, event->object, event_dispatched, event);
}

static gboolean has_room(const Events *events, const char *source) {
        unsigned own = 0, others = 0;

        if (strcmp(source, EVENT_SOURCE_OWN) == 0)
                return TRUE;
        for (guint i = 0; i < events->pending->len; i++) {
                const Event *event = g_ptr_array_index(events->pending, i);

                own += strcmp(event->source, source) == 0;
                others += strcmp(event->source, EVENT_SOURCE_OWN) != 0;
        }
        return own < EVENTS_PER_SOURCE_MAX && others < EVENTS_PENDING_MAX;
}

int events_emit(Events *events, const char *type, const char *source, unsigned severity, uint64_t deadline,
                JsonObject *data, EventFinished done, void *userdata, const char **ret_id) {
        const EventType *known = event_type_find(type);
        uint64_t now = clock_realtime();
        Event *event;
        int r;

        if (!known || severity > SEVERITY_CRITICAL)
                return -EINVAL;
        if (!has_room(events, source))
                return -EDQUOT;

        event = g_new0(Event, 1);
        event->events = events;
        event->id = g_uuid_string_random();
        event->type = g_strdup(type);
        event->source = g_strdup(source);
        event->done = done;
        event->userdata = userdata;
        event->object = json_object_new();
        json_object_set_string_member(event->object, "id", event->id);
        json_object_set_string_member(event->object, "type", type);
        json_object_set_string_member(event->object, "source", source);
        json_object_set_int_member(event->object, "timestamp", (gint64) now);
        json_object_set_int_member(event->object, "severity", severity);
        json_object_set_int_member(event->object, "deadline", (gint64) (deadline ? deadline : now + known->deadline));
        json_object_set_object_member(event->object, "data", data ? json_object_ref(data) : json_object_new());
        g_ptr_array_add(events->pending, event);
        g_free(events->last_id);
        events->last_id = g_strdup(event->id);
        if (ret_id)
                *ret_id = events->last_id;

        r = store_append(events->store, now, HISTORY_EVENT, event->object, event_kept, event);
        if (r < 0) {
                g_autoptr(GError) error = g_error_new(G_FILE_ERROR, G_FILE_ERROR_AGAIN, "%s", strerror(-r));

                event_kept(error, event);
        }
        return 0;
}
