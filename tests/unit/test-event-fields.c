/* SPDX-License-Identifier: Apache-2.0 */

/* An event is the same to all who get it, although what is written and signalled is not made from the object that
 * handlers get. */

#include <string.h>

#include "base/cleanup.h"
#include "bus/dictionary.h"
#include "daemon/event/event-private.h"
#include "loose-bus.h"

typedef struct Fixture {
        Events events;
        sd_bus *bus;
        int peer;
        Event *event;
} Fixture;

static void set_up(Fixture *f, gconstpointer data) {
        f->bus = loose_bus(&f->peer);
}

static void tear_down(Fixture *f, gconstpointer data) {
        event_unref(f->event);
        sd_bus_close_unref(f->bus);
        safe_close(f->peer);
}

static void make_event(Fixture *f, const char *data) {
        g_autoptr(JsonNode) node = data ? json_text_parse("data", data, -1, NULL) : NULL;

        f->event = event_new(&f->events, EVENT_ORIGIN_USER,
                             &(EventFields){ .id = "a\\b \"c\"",
                                             .type = "custom.Zürich",
                                             .source = "user\nwith a line break",
                                             .timestamp = 1700000000000001,
                                             .severity = 3,
                                             .deadline = INT64_MAX,
                                             .data = node ? json_node_get_object(node) : NULL });
}

static char *read_back(sd_bus_message *message) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) object = NULL;

        g_assert_cmpint(sd_bus_message_seal(message, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(message, 1), >=, 0);
        g_assert_cmpstr(sd_bus_message_get_signature(message, 1), ==, "a{sv}");
        g_assert_cmpint(dictionary_read(message, &dictionary_limits_default, &object, &error), ==, 0);
        return json_object_text(object);
}

static char *signalled(Fixture *f, gboolean by_object) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;

        g_assert_cmpint(sd_bus_message_new_signal(f->bus, &message, "/x", "x.y", "Z"), >=, 0);
        g_assert_cmpint(by_object ? dictionary_append(message, event_object(f->event), NULL)
                                  : event_append(message, f->event),
                        >=, 0);
        return read_back(message);
}

/* What was made first, without an object, is what the object says. */
static void assert_one(Fixture *f) {
        g_autofree char *text = g_strdup(event_text(f->event)), *sent = signalled(f, FALSE),
                        *of_object = json_object_text(event_object(f->event)), *sent_of_object = signalled(f, TRUE);

        g_assert_cmpstr(text, ==, of_object);
        g_assert_cmpstr(sent, ==, sent_of_object);
}

static void test_whole(Fixture *f, gconstpointer data) {
        make_event(f, "{\"words\":[\"a\",\"b\"],\"deep\":{\"n\":-1,\"x\":0.5},\"nothing\":null,\"yes\":true}");
        assert_one(f);
        g_assert_cmpstr(event_text(f->event), ==,
                        "{\"id\":\"a\\\\b \\\"c\\\"\",\"type\":\"custom.Zürich\",\"source\":\"user\\nwith a line "
                        "break\",\"timestamp\":1700000000000001,\"severity\":3,\"deadline\":9223372036854775807,"
                        "\"data\":{\"words\":[\"a\",\"b\"],\"deep\":{\"n\":-1,\"x\":0.5},\"nothing\":null,"
                        "\"yes\":true}}");
}

static void test_without_data(Fixture *f, gconstpointer data) {
        make_event(f, NULL);
        assert_one(f);
        g_assert_true(g_str_has_suffix(event_text(f->event), ",\"data\":{}}"));
}

/* The severity is the only number that is no t. */
static void test_types(Fixture *f, gconstpointer data) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        const char *key, *id, *type, *source;
        uint64_t timestamp, deadline;
        uint32_t severity;

        make_event(f, NULL);
        g_assert_cmpint(sd_bus_message_new_signal(f->bus, &message, "/x", "x.y", "Z"), >=, 0);
        g_assert_cmpint(event_append(message, f->event), >=, 0);
        g_assert_cmpint(sd_bus_message_seal(message, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(message, 1), >=, 0);
        g_assert_cmpint(sd_bus_message_read(message, "a{sv}", 7, &key, "s", &id, &key, "s", &type, &key, "s", &source,
                                            &key, "t", &timestamp, &key, "u", &severity, &key, "t", &deadline, &key,
                                            "a{sv}", 0),
                        >, 0);
        g_assert_cmpuint(severity, ==, 3);
        g_assert_cmpuint(deadline, ==, INT64_MAX);
}

/* Of what an earlier daemon wrote nothing is left out. */
static void test_from_object(Fixture *f, gconstpointer data) {
        const char *text = "{\"id\":\"i\",\"type\":\"custom\",\"source\":\"s\",\"timestamp\":1,\"severity\":2,"
                           "\"deadline\":3,\"data\":{\"a\":1},\"cancelled\":true,\"more\":\"of a later one\"}";
        g_autoptr(JsonNode) node = json_text_parse("event", text, -1, NULL);

        f->event = event_new_from(&f->events, EVENT_ORIGIN_PLUGIN, "i", "s", json_node_get_object(node));
        g_assert_cmpstr(event_text(f->event), ==, text);
        g_assert_cmpstr(f->event->type, ==, "custom");
        g_assert_cmpuint(f->event->severity, ==, 2);
        g_assert_cmpuint(f->event->deadline, ==, 3);
        g_assert_cmpint(json_get_int(f->event->data, "a", 0), ==, 1);
}

static void test_ids(void) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        for (unsigned i = 0; i < 10000; i++) {
                char id[EVENT_MADE_ID_LENGTH + 1];

                event_make_id(id);
                g_assert_true(g_uuid_string_is_valid(id));
                g_assert_cmpint(id[14], ==, '4');
                g_assert_nonnull(strchr("89ab", id[19]));
                g_assert_true(g_hash_table_add(seen, g_strdup(id)));
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
#define ADD(path, function) g_test_add("/event-fields/" path, Fixture, NULL, set_up, function, tear_down)
        ADD("whole", test_whole);
        ADD("without-data", test_without_data);
        ADD("types", test_types);
        ADD("from-object", test_from_object);
        g_test_add_func("/event-fields/ids", test_ids);
        return g_test_run();
}
