/* SPDX-License-Identifier: Apache-2.0 */

/* An event as others get it: handlers as an object, the journal and history as text, the bus as a dictionary. Always
 * the same seven fields in the same order, and `cancelled` where it is. Thousands may come at once, and each is
 * written and signalled before anything else is done about it: so both are made from the fields themselves, and the
 * object when somebody needs one. */

#include "bus/dictionary.h"
#include "daemon/event/event-private.h"
#include "util/json.h"

void event_make_id(char id[static EVENT_MADE_ID_LENGTH + 1]) {
        static const char digits[] = "0123456789abcdef", form[] = "xxxxxxxx-xxxx-4xxx-Vxxx-xxxxxxxxxxxx";
        guint32 bits = 0;

        G_STATIC_ASSERT(sizeof(form) == EVENT_MADE_ID_LENGTH + 1);
        for (unsigned i = 0; i < EVENT_MADE_ID_LENGTH; i++, bits >>= 4) {
                if (i % 8 == 0)
                        bits = g_random_int();
                id[i] = form[i];
                if (form[i] == 'x')
                        id[i] = digits[bits & 0xf];
                else if (form[i] == 'V')
                        id[i] = digits[0x8 | (bits & 0x3)];
        }
        id[EVENT_MADE_ID_LENGTH] = '\0';
}

JsonObject *event_object(Event *event) {
        if (event->object)
                return event->object;
        event->object = json_object_new();
        json_object_set_string_member(event->object, "id", event->id);
        json_object_set_string_member(event->object, "type", event->type);
        json_object_set_string_member(event->object, "source", event->source);
        json_object_set_int_member(event->object, "timestamp", event->timestamp);
        json_object_set_int_member(event->object, "severity", event->severity);
        json_object_set_int_member(event->object, "deadline", (gint64) event->deadline);
        json_object_set_object_member(event->object, "data", json_object_ref(event->data));
        return event->object;
}

static void append_string_member(GString *text, const char *member, const char *value) {
        g_string_append(text, member);
        json_append_string(text, value);
}

static void append_int_member(GString *text, const char *member, gint64 value) {
        g_string_append(text, member);
        json_append_int(text, value);
}

static void append_fields(GString *text, const Event *event) {
        append_string_member(text, "{\"id\":", event->id);
        append_string_member(text, ",\"type\":", event->type);
        append_string_member(text, ",\"source\":", event->source);
        append_int_member(text, ",\"timestamp\":", event->timestamp);
        append_int_member(text, ",\"severity\":", event->severity);
        append_int_member(text, ",\"deadline\":", (gint64) event->deadline);
        g_string_append(text, ",\"data\":");
        json_append_object(text, event->data);
        g_string_append_c(text, '}');
}

char *event_text(Event *event) {
        g_autoptr(GString) text = NULL;

        if (event->text)
                return event->text;
        text = g_string_sized_new(512);
        /* One that was read, or cancelled, may have more than its fields. */
        if (event->object)
                json_append_object(text, event->object);
        else
                append_fields(text, event);
        event->text = g_ref_string_new_len(text->str, (gssize) text->len);
        return event->text;
}

static int open_entry(sd_bus_message *message, const char *key, const char *type) {
        int r;

        r = sd_bus_message_open_container(message, 'e', "sv");
        if (r >= 0)
                r = sd_bus_message_append_basic(message, 's', key);
        return r < 0 ? r : sd_bus_message_open_container(message, 'v', type);
}

static int close_entry(sd_bus_message *message) {
        int r;

        r = sd_bus_message_close_container(message);
        return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_entry(sd_bus_message *message, const char *key, const char *type, const void *value) {
        int r;

        r = open_entry(message, key, type);
        if (r >= 0)
                r = sd_bus_message_append_basic(message, *type, value);
        return r < 0 ? r : close_entry(message);
}

static int append_data(sd_bus_message *message, JsonObject *data) {
        int r;

        r = open_entry(message, "data", "a{sv}");
        if (r >= 0)
                r = dictionary_append(message, data, NULL);
        return r < 0 ? r : close_entry(message);
}

int event_append(sd_bus_message *message, const Event *event) {
        uint64_t timestamp = (uint64_t) event->timestamp;
        uint32_t severity = event->severity;
        int r;

        r = sd_bus_message_open_container(message, 'a', "{sv}");
        if (r >= 0)
                r = append_entry(message, "id", "s", event->id);
        if (r >= 0)
                r = append_entry(message, "type", "s", event->type);
        if (r >= 0)
                r = append_entry(message, "source", "s", event->source);
        if (r >= 0)
                r = append_entry(message, "timestamp", "t", &timestamp);
        if (r >= 0)
                r = append_entry(message, "severity", "u", &severity);
        if (r >= 0)
                r = append_entry(message, "deadline", "t", &event->deadline);
        if (r >= 0)
                r = append_data(message, event->data);
        if (r >= 0 && event->cancelled)
                r = append_entry(message, "cancelled", "b", &(int){ true });
        return r < 0 ? r : sd_bus_message_close_container(message);
}
