/* SPDX-License-Identifier: Apache-2.0 */

/* For how long a script may run, by what an event says and by what its cloud does. */

#include <glib.h>

#include "base/clock.h"
#include "notice.h"

#define NOW (UINT64_C(1700000000) * USEC_PER_SEC)

typedef struct Case {
        const char *type, *source;
        int64_t timestamp, deadline; /* s from NOW; INT64_MIN: none */
        int64_t expected;            /* s */
} Case;

#define NONE INT64_MIN
#define SPOT "cloud.spot.interrupt"
#define TERMINATION "cloud.instance.termination"

static SnoozePluginDictionary *event_of(const Case *c) {
        SnoozePluginDictionary *event = snooze_plugin_dictionary_new();

        snooze_plugin_dictionary_set_string(event, "type", c->type);
        snooze_plugin_dictionary_set_string(event, "source", c->source);
        if (c->timestamp != NONE)
                snooze_plugin_dictionary_set_uint(event, "timestamp",
                                                  NOW + (uint64_t) (c->timestamp * (int64_t) USEC_PER_SEC));
        if (c->deadline != NONE)
                snooze_plugin_dictionary_set_uint(event, "deadline",
                                                  NOW + (uint64_t) (c->deadline * (int64_t) USEC_PER_SEC));
        return event;
}

static void test_deadline(void) {
        static const Case cases[] = {
                { SPOT, "aws", 0, 100, 100 },
                { SPOT, "aws", -20, 90, 90 },
                { SPOT, "gcp", 0, 25, 25 },
                { SPOT, "alice", 0, 600, 600 },
                { SPOT, "alice", NONE, NONE, 120 },
                { SPOT, "alice", -30, NONE, 90 },
                { SPOT, "alice", 0, -5, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                SnoozePluginDictionary *event = event_of(&cases[i]);

                g_assert_cmpint((gint64) (notice_read(event, NOW).remaining / USEC_PER_SEC), ==, cases[i].expected);
                snooze_plugin_dictionary_free(event);
        }
}

/* Whatever deadline an event names, its cloud will not wait for it. */
static void test_no_cloud_gives_more_than_it_gives(void) {
        static const Case cases[] = {
                { SPOT, "aws", 0, 600, 120 },
                { SPOT, "aws.spot-fleet", 0, 600, 120 },
                { SPOT, "aws", -100, 600, 20 },
                { SPOT, "aws", -1000, 600, 0 },
                { SPOT, "gcp", 0, 120, 30 },
                { SPOT, "azure", 0, 120, 30 },
                { SPOT, "azure", 5000, 120, 30 }, /* of the future */
                { SPOT, "azures", 0, 120, 120 },
                { TERMINATION, "azure", 0, 600, 600 },
                { TERMINATION, "aws", 0, 3600, 3600 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                SnoozePluginDictionary *event = event_of(&cases[i]);

                g_assert_cmpint((gint64) (notice_read(event, NOW).remaining / USEC_PER_SEC), ==, cases[i].expected);
                snooze_plugin_dictionary_free(event);
        }
}

static void test_provider_in_the_data(void) {
        const Case c = { SPOT, "event-endpoint", 0, 600, 0 };
        SnoozePluginDictionary *event = event_of(&c);

        snooze_plugin_dictionary_set_string(snooze_plugin_dictionary_add_dictionary(event, "data"), "provider", "gcp");
        g_assert_cmpuint(notice_read(event, NOW).remaining, ==, 30 * USEC_PER_SEC);
        snooze_plugin_dictionary_free(event);
}

static void expect_seconds(const char *key, int64_t seconds, uint64_t expected) {
        const Case c = { SPOT, "alice", 0, NONE, 0 };
        SnoozePluginDictionary *event = event_of(&c);

        snooze_plugin_dictionary_set_int(snooze_plugin_dictionary_add_dictionary(event, "data"), key, seconds);
        g_assert_cmpuint(notice_read(event, NOW).remaining, ==, expected * USEC_PER_SEC);
        snooze_plugin_dictionary_free(event);
}

static void test_seconds_in_the_data(void) {
        expect_seconds("time_remaining", 42, 42);
        expect_seconds("timeRemaining", 42, 42);
        expect_seconds("timeRemaining", 0, 0);
        expect_seconds("timeRemaining", -1, 120);
        expect_seconds("timeRemaining", G_MININT64, 120);
        expect_seconds("timeRemaining", G_MAXINT64, 86400);
}

static void test_extremes_do_not_wrap(void) {
        SnoozePluginDictionary *event = snooze_plugin_dictionary_new();
        Notice notice;

        snooze_plugin_dictionary_set_string(event, "type", SPOT);
        snooze_plugin_dictionary_set_uint(event, "deadline", UINT64_MAX);
        snooze_plugin_dictionary_set_uint(event, "timestamp", UINT64_MAX);
        notice = notice_read(event, NOW);
        g_assert_cmpuint(notice.deadline, ==, UINT64_MAX);
        g_assert_cmpuint(notice_budget(&notice, NOTICE_RESERVE_SECONDS, 3600), ==, 3600 * USEC_PER_SEC);
        snooze_plugin_dictionary_free(event);
}

/* The next handlers are asked when the share of this one is over, whatever time the machine has. */
static void test_no_more_than_its_share(void) {
        static const struct {
                uint64_t share, remaining, timeout, expected; /* s */
        } cases[] = {
                { 4, 100, 90, 3 }, /* a quarter is kept … */
                { 20, 100, 90, 15 },
                { 30, 100, 90, 24 },    /* … and no more than it takes to end a script and to answer */
                { 100, 1000, 100, 94 },
                { 100, 30, 90, 15 },
                { 120, 120, 90, 90 }, /* alone with all the time that AWS gives */
                { 100, 1000, 10, 10 },
                { 0, 100, 90, 0 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const Case c = { TERMINATION, "aws", 0, (int64_t) cases[i].remaining, 0 };
                SnoozePluginDictionary *event = event_of(&c);
                Notice notice;

                g_assert_cmpuint(notice_read(event, NOW).share, ==, UINT64_MAX);
                snooze_plugin_dictionary_set_uint(event, "budget", cases[i].share * USEC_PER_SEC);
                notice = notice_read(event, NOW);
                g_assert_cmpuint(notice_budget(&notice, NOTICE_RESERVE_SECONDS, (int64_t) cases[i].timeout), ==,
                                 cases[i].expected * USEC_PER_SEC);
                snooze_plugin_dictionary_free(event);
        }
}

static void expect_budget(uint64_t remaining, int64_t timeout, uint64_t expected) {
        const Notice notice = { .remaining = remaining * USEC_PER_SEC, .share = UINT64_MAX };

        g_assert_cmpuint(notice_budget(&notice, NOTICE_RESERVE_SECONDS, timeout), ==, expected * USEC_PER_SEC);
}

static void test_budget(void) {
        expect_budget(120, 90, 90);
        expect_budget(100, 90, 85);
        expect_budget(30, 90, 15);
        expect_budget(16, 90, 1);
        expect_budget(15, 90, 0);
        expect_budget(0, 90, 0);
}

static void test_cancelled(void) {
        const Case c = { SPOT, "azure", 0, 20, 0 };
        SnoozePluginDictionary *event = event_of(&c);

        g_assert_false(notice_read(event, NOW).cancelled);
        snooze_plugin_dictionary_set_bool(event, "cancelled", true);
        g_assert_true(notice_read(event, NOW).cancelled);
        snooze_plugin_dictionary_set_bool(event, "cancelled", false);
        snooze_plugin_dictionary_set_bool(snooze_plugin_dictionary_add_dictionary(event, "data"), "cancelled", true);
        g_assert_true(notice_read(event, NOW).cancelled);
        snooze_plugin_dictionary_free(event);
}

/* Who announces an end of next year, or none that will ever come, does not hide the one that comes in two minutes. */
static void test_a_far_end_hides_no_near_one(void) {
        static const Case cases[] = {
                { TERMINATION, "gcp", 0, 3600, 3600 },
                { SPOT, "gcp", 0, 30, 30 },
                { SPOT, "alice", 0, 85, 85 },
        };
        Notice notices[G_N_ELEMENTS(cases)];

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                SnoozePluginDictionary *event = event_of(&cases[i]);

                notices[i] = notice_read(event, NOW);
                snooze_plugin_dictionary_free(event);
        }
        g_assert_false(notice_is_handled(&notices[1], notice_handled_until(&notices[0]), NOW));
        g_assert_false(notice_is_handled(&notices[1], UINT64_MAX, NOW));
        g_assert_true(notice_is_handled(&notices[0], notice_handled_until(&notices[0]), NOW));
        g_assert_true(notice_is_handled(&notices[0], notice_handled_until(&notices[1]), NOW));
        /* The same one, by who counts in another way. */
        g_assert_true(notice_is_handled(&notices[1], notice_handled_until(&notices[2]), NOW));
        g_assert_false(notice_is_handled(&notices[1], notice_handled_until(&notices[1]), NOW + 90 * USEC_PER_SEC));
        g_assert_false(notice_is_handled(&notices[1], 0, NOW));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/notice/share", test_no_more_than_its_share);
        g_test_add_func("/spot-handler/deadline", test_deadline);
        g_test_add_func("/spot-handler/no-cloud-gives-more-than-it-gives", test_no_cloud_gives_more_than_it_gives);
        g_test_add_func("/spot-handler/provider-in-the-data", test_provider_in_the_data);
        g_test_add_func("/spot-handler/seconds-in-the-data", test_seconds_in_the_data);
        g_test_add_func("/spot-handler/extremes-do-not-wrap", test_extremes_do_not_wrap);
        g_test_add_func("/spot-handler/budget", test_budget);
        g_test_add_func("/spot-handler/cancelled", test_cancelled);
        g_test_add_func("/spot-handler/far-and-near", test_a_far_end_hides_no_near_one);
        return g_test_run();
}
