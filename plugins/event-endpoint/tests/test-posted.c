/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "base/clock.h"
#include "known.h"
#include "posted.h"
#include "rate.h"

#define NOW (UINT64_C(1700000000) * USEC_PER_SEC) /* 2023-11-14T22:13:20Z */

static char *problem_of(const char *body) {
        g_auto(PostedEvent) event = { .id = NULL };
        g_autoptr(GError) error = NULL;
        gboolean taken = posted_event_read(body, strlen(body), NOW, &event, &error);

        g_assert_true(taken == (error == NULL));
        return g_strdup(error ? error->message : "");
}

static void test_all_fields(void) {
        static const char body[] =
                "{\"id\":\"job-7/"
                "x\",\"type\":\"custom.job.done\",\"severity\":1,\"deadline\":\"2023-11-14T23:13:20+00:30\","
                "\"data\":{\"n\":7,\"x\":-1.5,\"on\":true,\"s\":\"a\",\"l\":[\"p\",\"q\"],\"d\":{\"e\":\"f\"},\"o\":[{"
                "\"a\":1}]}}";
        g_auto(PostedEvent) event = { .id = NULL };
        g_autoptr(GError) error = NULL;
        const SnoozePluginDictionary *data;

        g_assert_true(posted_event_read(body, strlen(body), NOW, &event, &error));
        g_assert_no_error(error);
        g_assert_cmpstr(event.id, ==, "job-7/x");
        g_assert_cmpstr(event.type, ==, "custom.job.done");
        g_assert_cmpuint(event.severity, ==, 1);
        g_assert_cmpuint(event.deadline, ==, NOW + 30 * USEC_PER_MINUTE);
        data = event.data;
        g_assert_cmpint(snooze_plugin_dictionary_get_int(data, "n", 0), ==, 7);
        g_assert_cmpfloat(snooze_plugin_dictionary_get_double(data, "x", 0), ==, -1.5);
        g_assert_true(snooze_plugin_dictionary_get_bool(data, "on", false));
        g_assert_cmpstr(snooze_plugin_dictionary_get_strv(data, "l", NULL)[1], ==, "q");
        g_assert_cmpstr(
                snooze_plugin_dictionary_get_string(snooze_plugin_dictionary_get_dictionary(data, "d"), "e", ""), ==,
                "f");
}

static void test_the_least(void) {
        g_auto(PostedEvent) event = { .id = NULL };

        g_assert_true(posted_event_read("{\"type\":\"custom\"}", 17, NOW, &event, NULL));
        g_assert_null(event.id);
        g_assert_null(event.data);
        g_assert_cmpuint(event.severity, ==, 0);
        g_assert_cmpuint(event.deadline, ==, 0);
}

static void test_what_was_wrong(void) {
        static const struct {
                const char *body, *problem;
        } rows[] = {
                { "", "the body" },
                { "[]", "the body: expected an object" },
                { "\"custom\"", "the body: expected an object" },
                { "{}", "type: expected custom" },
                { "{\"type\":\"custom\"} {}", "the body" },
                { "{\"type\":\"custom\",\"type\":\"custom\"}", "the body" },
                { "{\"type\":\"custom\",\"kind\":1}", "unknown field kind: expected id, type" },
                { "{\"type\":\"custom\",\"source\":\"aws\"}", "unknown field source" },
                { "{\"type\":\"cloud.spot.interrupt\"}", "type: expected custom" },
                { "{\"type\":\"snooze.stop.pending\"}", "type: expected custom" },
                { "{\"type\":\"system.disk.low\"}", "type: expected custom" },
                { "{\"type\":\"customary\"}", "type: expected custom" },
                { "{\"type\":\"custom.\"}", "type: expected custom" },
                { "{\"type\":\"custom.A\"}", "type: expected custom" },
                { "{\"type\":\"custom.a..b\"}", "type: expected custom" },
                { "{\"type\":\"custom.a\\u0000b\"}", "" /* something about it */ },
                { "{\"type\":1}", "type: expected custom" },
                { "{\"type\":null}", "type: expected custom" },
                { "{\"type\":\"custom\",\"severity\":2}", "severity: expected 0" },
                { "{\"type\":\"custom\",\"severity\":-1}", "severity: expected 0" },
                { "{\"type\":\"custom\",\"severity\":\"1\"}", "severity: expected 0" },
                { "{\"type\":\"custom\",\"severity\":1.0}", "severity: expected 0" },
                { "{\"type\":\"custom\",\"id\":\"\"}", "id: expected" },
                { "{\"type\":\"custom\",\"id\":\"a b\"}", "id: expected" },
                { "{\"type\":\"custom\",\"id\":\"\\u202e\"}", "id: expected" },
                { "{\"type\":\"custom\",\"id\":7}", "id: expected" },
                { "{\"type\":\"custom\",\"deadline\":1700000001}", "deadline: expected a moment with its zone" },
                { "{\"type\":\"custom\",\"deadline\":\"2023-11-14T22:20:00\"}",
                  "deadline: expected a moment with its zone" },
                { "{\"type\":\"custom\",\"deadline\":\"2023-11-14T22:13:20Z\"}",
                  "deadline: expected a moment of the next" },
                { "{\"type\":\"custom\",\"deadline\":\"2023-11-15T22:13:21Z\"}",
                  "deadline: expected a moment of the next" },
                { "{\"type\":\"custom\",\"deadline\":\"9999-12-31T23:59:59Z\"}",
                  "deadline: expected a moment of the next" },
                { "{\"type\":\"custom\",\"data\":[]}", "data: expected an object" },
                { "{\"type\":\"custom\",\"data\":{\"a\":null}}", "data: a is null" },
                { "{\"type\":\"custom\",\"data\":{\"a\":[1]}}", "data: a: expected a list" },
                { "{\"type\":\"custom\",\"data\":{\"a\":[\"x\",{}]}}", "data: a: expected a list" },
                { "{\"type\":\"custom\",\"data\":{\"\":1}}", "data: expected names" },
                { "{\"type\":\"custom\",\"data\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}}}",
                  "data: expected at most 6 levels" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(rows); i++) {
                g_autofree char *problem = problem_of(rows[i].body);

                g_test_message("%s: %s", rows[i].body, problem);
                g_assert_cmpstr(problem, !=, "");
                g_assert_true(g_str_has_prefix(problem, rows[i].problem));
        }
}

static void test_bounds(void) {
        g_autofree char *blanks = g_strnfill(POSTED_BODY_MAX + 1, ' '), *text = g_strnfill(POSTED_DATA_MAX, 'x'),
                        *id = g_strnfill(129, 'i');
        g_autofree char *deep = g_strnfill(5000, '['), *name = g_strnfill(129, 'n');
        GString *many = g_string_new("{\"type\":\"custom\",\"data\":{\"a\":0");
        g_autofree char *large = g_strdup_printf("{\"type\":\"custom\",\"data\":{\"a\":\"%s\"}}", text);
        g_autofree char *long_id = g_strdup_printf("{\"type\":\"custom\",\"id\":\"%s\"}", id);
        g_autofree char *long_name = g_strdup_printf("{\"type\":\"custom\",\"data\":{\"%s\":1}}", name);
        g_autofree char *odd_name = g_strdup_printf("{\"%s%s\":1}", name, text);

        for (guint i = 0; i < POSTED_ENTRIES_MAX; i++)
                g_string_append_printf(many, ",\"%u\":1", i);
        g_string_append(many, "}}");
        for (const char *const *body =
                     (const char *const[]){ blanks, deep, large, long_id, long_name, odd_name, many->str, NULL };
             *body; body++) {
                g_autofree char *problem = problem_of(*body);

                g_assert_cmpstr(problem, !=, "");
                /* It does not answer with what it was sent. */
                g_assert_cmpuint(strlen(problem), <, 300);
        }
        g_string_free(many, TRUE);
}

static void test_turns(void) {
        Rate *rate = rate_new();
        uint64_t now = 1000 * USEC_PER_SEC;

        rate_set(rate, 6, 10);
        for (guint i = 0; i < 6; i++)
                g_assert_cmpuint(rate_take(rate, "user 1", now), ==, 0);
        g_assert_cmpuint(rate_take(rate, "user 1", now), ==, 11);
        /* Another one, as long as there is room for all; what was refused took nothing. */
        for (guint i = 0; i < 4; i++)
                g_assert_cmpuint(rate_take(rate, "user 2", now), ==, 0);
        g_assert_cmpuint(rate_take(rate, "user 2", now), >, 0);
        g_assert_cmpuint(rate_take(rate, "user 3", now), >, 0);
        now += 11 * USEC_PER_SEC;
        g_assert_cmpuint(rate_take(rate, "user 1", now), ==, 0);
        g_assert_cmpuint(rate_take(rate, "user 1", now), >, 0);
        rate_free(rate);
}

/* However many come, memory is bounded, and those that are known keep their turns. */
static void test_many_clients(void) {
        Rate *rate = rate_new();
        uint64_t now = 1000 * USEC_PER_SEC;
        guint taken = 0;

        rate_set(rate, 1, 60000);
        for (guint i = 0; i < 10000; i++) {
                g_autofree char *client = g_strdup_printf("address %u", i);

                taken += rate_take(rate, client, now) == 0;
        }
        g_assert_cmpuint(taken, ==, 257);
        now += USEC_PER_MINUTE;
        g_assert_cmpuint(rate_take(rate, "somebody", now), ==, 0);
        rate_free(rate);
}

/* Whatever else is posted meanwhile, what was signed is known as long as its signature counts; then as long as any
 * other. */
static void test_signed_ones_stay_known(void) {
        const uint64_t until = NOW + 300 * USEC_PER_SEC;
        Known *known = known_new();

        known_add(known, "signed", "content", until);
        known_take(known, "signed");
        for (guint i = 0; i < 3 * KNOWN_MAX; i++) {
                g_autofree char *id = g_strdup_printf("other-%u", i);

                known_add(known, id, "other", 0);
                known_take(known, id);
        }
        g_assert_cmpint(known_find(known, "signed", "content"), ==, KNOWN_TAKEN);
        g_assert_cmpint(known_find(known, "signed", "another"), ==, KNOWN_OTHER);
        g_assert_cmpint(known_find(known, "other-0", "other"), ==, KNOWN_NOT);
        g_assert_cmpint(known_find(known, "other-3071", "other"), ==, KNOWN_TAKEN);
        known_free(known);
}

/* Nobody makes room for a replay by signing many. */
static void test_signed_ones_are_bounded(void) {
        const uint64_t until = NOW + 300 * USEC_PER_SEC;
        Known *known = known_new();

        known_add(known, "first", "content", until);
        for (guint i = 1; i < KNOWN_SIGNED_MAX; i++) {
                g_autofree char *id = g_strdup_printf("other-%u", i);

                g_assert_true(known_has_room(known, NOW));
                known_add(known, id, "other", until);
                known_take(known, id);
        }
        g_assert_false(known_has_room(known, NOW));
        g_assert_false(known_has_room(known, until));
        g_assert_cmpint(known_find(known, "first", "content"), ==, KNOWN_PENDING);
        /* Their time is over: the latest are known as others are, and what is under way is. */
        g_assert_true(known_has_room(known, until + 1));
        g_assert_cmpint(known_find(known, "first", "content"), ==, KNOWN_PENDING);
        known_take(known, "first");
        g_assert_cmpint(known_find(known, "first", "content"), ==, KNOWN_TAKEN);
        for (guint i = 0; i < KNOWN_MAX; i++) {
                g_autofree char *id = g_strdup_printf("later-%u", i);

                known_add(known, id, "later", 0);
                known_take(known, id);
        }
        g_assert_cmpint(known_find(known, "first", "content"), ==, KNOWN_NOT);
        known_free(known);
}

/* Posted by its token first, then with a signature: from then on it can be replayed. */
static void test_signed_afterwards(void) {
        Known *known = known_new();

        known_add(known, "id", "content", 0);
        known_take(known, "id");
        known_add(known, "id", "content", NOW + USEC_PER_SEC);
        for (guint i = 0; i <= KNOWN_MAX; i++) {
                g_autofree char *id = g_strdup_printf("other-%u", i);

                known_add(known, id, "other", 0);
                known_take(known, id);
        }
        g_assert_cmpint(known_find(known, "id", "content"), ==, KNOWN_TAKEN);
        /* Nobody announced it. */
        known_take(known, "unknown");
        g_assert_cmpint(known_find(known, "unknown", "content"), ==, KNOWN_NOT);
        known_free(known);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/event-endpoint/posted/all-fields", test_all_fields);
        g_test_add_func("/event-endpoint/posted/the-least", test_the_least);
        g_test_add_func("/event-endpoint/posted/what-was-wrong", test_what_was_wrong);
        g_test_add_func("/event-endpoint/posted/bounds", test_bounds);
        g_test_add_func("/event-endpoint/rate/turns", test_turns);
        g_test_add_func("/event-endpoint/rate/many-clients", test_many_clients);
        g_test_add_func("/event-endpoint/known/signed-ones-stay-known", test_signed_ones_stay_known);
        g_test_add_func("/event-endpoint/known/signed-ones-are-bounded", test_signed_ones_are_bounded);
        g_test_add_func("/event-endpoint/known/signed-afterwards", test_signed_afterwards);
        return g_test_run();
}
