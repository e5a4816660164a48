/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what a source announces. It is refused with a sentence, or is an event as handlers get it: of a known
 * type that is not the daemon's own, with a name, a severity and a deadline. */

#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/answer/announcement.h"
#include "daemon/event/event-private.h"
#include "message.h"
#include "util/json.h"
#include "util/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW (50 * 365 * 24 * USEC_PER_HOUR)

static void assert_line(const char *text) {
        g_assert_nonnull(text);
        g_assert_true(g_utf8_validate(text, -1, NULL));
        for (const char *p = text; *p; p = g_utf8_next_char(p))
                g_assert_false(character_steers(g_utf8_get_char(p)));
}

static void assert_event(JsonObject *event, gboolean of_cloud) {
        const char *id = json_get_string(event, "id", ""), *type = json_get_string(event, "type", "");

        assert_line(id);
        g_assert_cmpuint(strlen(id), >, 0);
        g_assert_cmpuint(strlen(id), <=, EVENT_ID_MAX);
        g_assert_nonnull(event_type_find(type));
        g_assert_false(g_str_has_prefix(type, "snooze."));
        g_assert_true(of_cloud || g_str_equal(type, "custom") || g_str_has_prefix(type, "custom."));
        g_assert_cmpstr(json_get_string(event, "source", ""), ==, "p");
        g_assert_cmpint(json_get_int(event, "severity", -1), >=, 0);
        g_assert_cmpint(json_get_int(event, "severity", -1), <=, SEVERITY_CRITICAL);
        g_assert_cmpint(json_get_int(event, "timestamp", 0), >, 0);
        g_assert_cmpint(json_get_int(event, "timestamp", 0), <=, (gint64) NOW);
        g_assert_cmpint(json_get_int(event, "deadline", 0), >, 0);
        g_assert_nonnull(json_get_object(event, "data"));
        g_assert_true(event_data_fits(json_get_object(event, "data")));
        g_assert_cmpuint(json_object_get_size(event), ==, 7);
}

static void read_as(sd_bus_message *m, gboolean of_cloud) {
        g_autoptr(JsonObject) event = NULL;
        g_autofree char *problem = NULL;
        gboolean timed;

        if (announcement_read(m, "p", of_cloud, NOW, &event, &timed, &problem) < 0)
                assert_line(problem);
        else
                assert_event(event, of_cloud);
}

static void read_event(Input *input) {
        _cleanup_bus_message_ sd_bus_message *m = message_from_input("a{sv}", input);

        if (!m)
                return;
        read_as(m, TRUE);
        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
        read_as(m, FALSE);
}

static void read_cancelled(Input *input) {
        _cleanup_bus_message_ sd_bus_message *m = message_from_input("s", input);
        g_autofree char *problem = NULL;
        const char *id;

        if (!m)
                return;
        if (announcement_read_cancelled(m, &id, &problem) < 0)
                assert_line(problem);
        else
                assert_line(id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const words[] = { "id",
                                             "type",
                                             "source",
                                             "severity",
                                             "timestamp",
                                             "deadline",
                                             "data",
                                             "custom",
                                             "custom.x",
                                             "cloud.spot.interrupt",
                                             "snooze.stop.pending",
                                             NULL };
        Input input = { data, size, words };

        if (input_take(&input) % 4 == 0)
                read_cancelled(&input);
        else
                read_event(&input);
        return 0;
}
