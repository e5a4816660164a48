/* SPDX-License-Identifier: Apache-2.0 */

/* What the bus hears of events. Signals are news, not promises: whoever must not miss an event reads ListEvents. */

#include <string.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/event/event-private.h"

static int new_signal(const Event *event, const char *member, sd_bus_message **ret) {
        return sd_bus_message_new_signal(event->events->with.bus, ret, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, member);
}

static void send_signal(const Event *event, const char *member, sd_bus_message *signal, int r) {
        if (r >= 0)
                r = sd_bus_send(event->events->with.bus, signal, NULL);
        if (r < 0)
                log_warning("%s of %s could not be signalled: %s", member, event->id, strerror(-r));
}

void event_signal_received(Event *event) {
        _cleanup_bus_message_ sd_bus_message *signal = NULL;
        int r;

        r = new_signal(event, "EventReceived", &signal);
        if (r >= 0)
                r = sd_bus_message_append_basic(signal, 's', event->id);
        if (r >= 0)
                r = sd_bus_message_append_basic(signal, 's', event->type);
        if (r >= 0)
                r = event_append(signal, event);
        send_signal(event, "EventReceived", signal, r);
}

void event_signal_finished(Event *event) {
        g_autoptr(JsonArray) results = event_results_without_output(event->results);
        _cleanup_bus_message_ sd_bus_message *signal = NULL;
        int r;

        r = new_signal(event, "EventFinished", &signal);
        if (r >= 0)
                r = sd_bus_message_append(signal, "sb", event->id, event->handled);
        if (r >= 0)
                r = sd_bus_message_open_container(signal, SD_BUS_TYPE_ARRAY, "a{sv}");
        for (guint i = 0; r >= 0 && i < json_array_get_length(results); i++)
                r = dictionary_append(signal, json_array_get_object_element(results, i), NULL);
        if (r >= 0)
                r = sd_bus_message_close_container(signal);
        send_signal(event, "EventFinished", signal, r);
}

void event_signal_moved(Event *event) {
        _cleanup_bus_message_ sd_bus_message *signal = NULL;
        int r;

        r = new_signal(event, "EventMoved", &signal);
        if (r >= 0)
                r = sd_bus_message_append(signal, "sst", event->id, event->source, event->deadline);
        send_signal(event, "EventMoved", signal, r);
}

void event_signal_cancelled(Event *event) {
        _cleanup_bus_message_ sd_bus_message *signal = NULL;
        int r;

        r = new_signal(event, "EventCancelled", &signal);
        if (r >= 0)
                r = sd_bus_message_append(signal, "ss", event->id, event->source);
        send_signal(event, "EventCancelled", signal, r);
}
