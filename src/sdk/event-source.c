/* SPDX-License-Identifier: Apache-2.0 */

/* .EventSource: what the plugin announces. Events are kept here until somebody took care of them, because the daemon
 * may not watch yet, or not any more: each Watch is told all that is pending, and the daemon knows by the id what it
 * has seen. They go out on the connection on which Watch came. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/event-types.h"
#include "base/journal.h"
#include "base/names.h"
#include "sdk/contract.h"
#include "sdk/text.h"

#define EVENTS_MAX 64U

struct PluginEvent {
        char *id;
        char *type;
        unsigned severity;
        uint64_t timestamp;
        uint64_t deadline;
        SnoozePluginDictionary *data; /* NULL: empty */
        bool cancelled;               /* while nobody watched: told at the next Watch */
};

static void event_clear(PluginEvent *event) {
        free(event->id);
        free(event->type);
        dictionary_free(event->data);
        *event = (PluginEvent) { .id = NULL };
}

void events_clear(SnoozePluginInstance *instance) {
        for (unsigned i = 0; i < instance->n_events; i++)
                event_clear(&instance->events[i]);
        free(instance->events);
        instance->events = NULL;
        instance->n_events = 0;
        instance->watcher = sd_bus_unref(instance->watcher);
}

void events_unheard(SnoozePluginInstance *instance) {
        if (instance->watcher == instance->bus)
                instance->watcher = sd_bus_unref(instance->watcher);
}

static PluginEvent *event_find(const SnoozePluginInstance *instance, const char *id) {
        for (unsigned i = 0; i < instance->n_events; i++)
                if (strcmp(instance->events[i].id, id) == 0)
                        return &instance->events[i];
        return NULL;
}

static void event_remove(SnoozePluginInstance *instance, PluginEvent *event) {
        event_clear(event);
        instance->n_events--;
        memmove(event, event + 1, (size_t) (instance->events + instance->n_events - event) * sizeof(PluginEvent));
}

static int append_data(sd_bus_message *m, const SnoozePluginDictionary *data) {
        int r;

        if (!data)
                return sd_bus_message_append(m, "{sv}", "data", "a{sv}", 0);
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r < 0)
                return r;
        r = sd_bus_message_append_basic(m, 's', "data");
        if (r < 0)
                return r;
        r = sd_bus_message_open_container(m, 'v', "a{sv}");
        if (r < 0)
                return r;
        r = dictionary_append(m, data);
        if (r < 0)
                return r;
        r = sd_bus_message_close_container(m);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_event(sd_bus_message *m, const SnoozePluginInstance *instance, const PluginEvent *event) {
        int r;

        r = sd_bus_message_open_container(m, 'a', "{sv}");
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}{sv}{sv}",
                                  "id", "s", event->id,
                                  "type", "s", event->type,
                                  "source", "s", instance->plugin.id,
                                  "timestamp", "t", event->timestamp,
                                  "severity", "u", event->severity,
                                  "deadline", "t", event->deadline);
        if (r < 0)
                return r;
        r = append_data(m, event->data);
        return r < 0 ? r : sd_bus_message_close_container(m);
}

static int signal_new(const SnoozePluginInstance *instance, const char *member, sd_bus_message **ret) {
        return sd_bus_message_new_signal(instance->watcher, ret, PLUGIN_PATH, EVENT_SOURCE_INTERFACE, member);
}

static int signal_event(const SnoozePluginInstance *instance, const PluginEvent *event) {
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        int r;

        r = signal_new(instance, event->cancelled ? "EventCancelled" : "Event", &m);
        if (r < 0)
                return r;
        r = event->cancelled ? sd_bus_message_append_basic(m, 's', event->id) : append_event(m, instance, event);
        if (r < 0)
                return r;
        return sd_bus_send(instance->watcher, m, NULL);
}

/* false: nobody heard it. */
static bool tell(SnoozePluginInstance *instance, const PluginEvent *event) {
        int r;

        /* One that leaves speaks for nobody: its successor is watched anew. */
        if (!instance->watcher || instance->leaving)
                return false;
        r = signal_event(instance, event);
        if (r >= 0)
                return true;
        log_debug("Nobody was told of event %s: %s", event->id, strerror(-r));
        /* A connection that ended; its successor watches anew. */
        instance->watcher = sd_bus_unref(instance->watcher);
        return false;
}

/* The file has one that no process is to tell any more. */
static void untold_less(SnoozePluginInstance *instance) {
        if (!instance->untold_down)
                return;
        instance->untold_new = true;
        state_keep_untold(instance);
}

static void watched(SnoozePluginCall *call) {
        SnoozePluginInstance *instance = call_get_instance(call);

        sd_bus_unref(instance->watcher);
        instance->watcher = sd_bus_ref(call_get_bus(call));
        for (unsigned i = 0; i < instance->n_events;)
                if (tell(instance, &instance->events[i]) && instance->events[i].cancelled)
                        event_remove(instance, &instance->events[i]);
                else
                        i++;
        untold_less(instance);
}

static bool event_fits(const char *id, const char *type, unsigned severity, const SnoozePluginDictionary *data) {
        if (!id || !*id || strlen(id) > EVENT_ID_MAX || !text_is_valid(id))
                return false;
        /* What the daemon says itself is not a plugin's to announce. */
        if (!type || !event_type_find(type) || strncmp(type, "snooze.", strlen("snooze.")) == 0)
                return false;
        return severity <= SEVERITY_CRITICAL && (!data || dictionary_failure(data) >= 0);
}

/* What happens is worth more than what does not: of the cancellations that nobody heard the oldest is forgotten.
 * False: there is none. */
static bool make_room(SnoozePluginInstance *instance) {
        for (PluginEvent *event = instance->events; event < instance->events + instance->n_events; event++)
                if (event->cancelled) {
                        log_notice("Nobody is going to be told that event %s was called off: %u others are pending",
                                   event->id, EVENTS_MAX - 1);
                        event_remove(instance, event);
                        return true;
                }
        return false;
}

/* -> 0, 1 where a cancellation made room for it, or a negative errno. */
static int event_add(SnoozePluginInstance *instance, PluginEvent **ret) {
        PluginEvent *larger;
        bool made_room = false;

        if (instance->n_events >= EVENTS_MAX) {
                made_room = make_room(instance);
                if (!made_room)
                        return -ENOBUFS;
        }
        larger = reallocarray(instance->events, instance->n_events + 1, sizeof(PluginEvent));
        if (!larger)
                return -ENOMEM;
        instance->events = larger;
        *ret = &larger[instance->n_events++];
        return made_room;
}

int snooze_plugin_instance_emit_event(SnoozePluginInstance *instance, const char *id, const char *type,
                                      unsigned severity, uint64_t deadline, SnoozePluginDictionary *data) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *owned = data;
        _cleanup_free_ char *id_copy = NULL, *type_copy = NULL;
        bool less = false;
        PluginEvent *event;
        int r;

        if (!instance->plugin.watch || !event_fits(id, type, severity, data))
                return -EINVAL;
        id_copy = strdup(id);
        type_copy = strdup(type);
        if (!id_copy || !type_copy)
                return -ENOMEM;
        event = event_find(instance, id);
        if (event) {
                less = event->cancelled;
                event_clear(event);
        } else {
                r = event_add(instance, &event);
                if (r < 0)
                        return r;
                less = r > 0;
        }
        *event = (PluginEvent) {
                .id = steal(id_copy),
                .type = steal(type_copy),
                .severity = severity,
                .timestamp = clock_realtime(),
                .deadline = deadline,
                .data = steal(owned),
        };
        (void) tell(instance, event);
        state_changed(instance);
        /* A process after this one is not to call off what happens after all. */
        if (less)
                untold_less(instance);
        return 0;
}

/* Acknowledged already, or announced by a run before this one. */
static int cancel_later(SnoozePluginInstance *instance, const char *id) {
        _cleanup_free_ char *copy = strdup(id);
        PluginEvent *event;
        int r;

        if (!copy)
                return -ENOMEM;
        r = event_add(instance, &event);
        if (r < 0)
                return r;
        *event = (PluginEvent) { .id = steal(copy), .cancelled = true };
        instance->untold_new = true;
        return 0;
}

int events_add_untold(SnoozePluginInstance *instance, const char *id) {
        if (!instance->plugin.watch || !event_fits(id, "custom", 0, NULL) || event_find(instance, id))
                return -EINVAL;
        return cancel_later(instance, id);
}

int events_untold(const SnoozePluginInstance *instance, char **ret, size_t *ret_size) {
        size_t size = 0;
        char *ids;

        for (unsigned i = 0; i < instance->n_events; i++)
                if (instance->events[i].cancelled)
                        size += strlen(instance->events[i].id) + 1;
        ids = malloc(size > 0 ? size : 1);
        if (!ids)
                return -ENOMEM;
        *ret = ids;
        *ret_size = size;
        for (unsigned i = 0; i < instance->n_events; i++)
                if (instance->events[i].cancelled)
                        ids = stpcpy(ids, instance->events[i].id) + 1;
        return 0;
}

int snooze_plugin_instance_cancel_event(SnoozePluginInstance *instance, const char *id) {
        PluginEvent passing = { .id = (char *) id, .cancelled = true }, *event;

        if (!instance->plugin.watch || !event_fits(id, "custom", 0, NULL))
                return -EINVAL;
        event = event_find(instance, id);
        state_changed(instance);
        if (!event)
                return tell(instance, &passing) ? 0 : cancel_later(instance, id);
        event->cancelled = true;
        if (tell(instance, event))
                event_remove(instance, event);
        else
                instance->untold_new = true;
        return 0;
}

static int method_watch(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        int r;

        r = contract_begin(instance, m, 0, &call, error);
        if (r < 0)
                return r;
        call_on_success(call, watched);
        return call_return(call, instance->plugin.watch(call, instance->plugin.userdata));
}

static int method_acknowledge(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        PluginEvent *event;
        const char *id;
        int r;

        r = sd_bus_message_read_basic(m, 's', &id);
        if (r < 0)
                return r;
        r = contract_begin(instance, m, 0, &call, error);
        if (r < 0)
                return r;
        event = event_find(instance, id);
        if (event) {
                bool cancelled = event->cancelled;

                event_remove(instance, event);
                if (cancelled)
                        untold_less(instance);
        }
        return call_return(call, instance->plugin.acknowledge(call, id, instance->plugin.userdata));
}

const sd_bus_vtable event_source_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Watch", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_watch, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Acknowledge", SD_BUS_ARGS("s", id), SD_BUS_NO_RESULT, method_acknowledge,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Event", SD_BUS_ARGS("a{sv}", event), 0),
        SD_BUS_SIGNAL_WITH_ARGS("EventCancelled", SD_BUS_ARGS("s", id), 0),
        SD_BUS_VTABLE_END,
};
