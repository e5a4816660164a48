/* SPDX-License-Identifier: Apache-2.0 */

/* What a recorder learns from the clocks between two looks. */

#include "cli/record-clock.h"

#define SECONDS (gint64) G_USEC_PER_SEC

/* awake and asleep since the look before, in seconds. */
static const char *event_after(gint64 awake, gint64 asleep, guint64 interval) {
        const RecordClock before = { .monotonic = 1000 * SECONDS, .boottime = 5000 * SECONDS };
        const RecordClock now = { .monotonic = before.monotonic + awake * SECONDS,
                                  .boottime = before.boottime + (awake + asleep) * SECONDS };

        return record_clock_event(&before, &now, interval * G_USEC_PER_SEC);
}

static void test_the_next_look_is_no_event(void) {
        g_assert_null(event_after(5, 0, 5));
        g_assert_null(event_after(60, 0, 5));
        g_assert_null(event_after(5, 2, 5));
}

static void test_sleep(void) {
        g_assert_cmpstr(event_after(5, 3, 5), ==, "resume");
        /* What is left of a night is not a gap as well. */
        g_assert_cmpstr(event_after(90, 28800, 5), ==, "resume");
}

static void test_standing_still(void) {
        g_assert_cmpstr(event_after(61, 0, 5), ==, "gap");
}

static void test_somebody_who_looks_seldom_misses_nothing(void) {
        g_assert_null(event_after(900, 0, 600));
        g_assert_cmpstr(event_after(1900, 0, 600), ==, "gap");
        g_assert_null(event_after(1900, 0, G_MAXUINT64 / G_USEC_PER_SEC));
}

static void test_the_clocks_run(void) {
        const RecordClock before = record_clock_now(), now = record_clock_now();

        g_assert_cmpint(now.monotonic, >=, before.monotonic);
        g_assert_cmpint(now.boottime, >=, now.monotonic);
        g_assert_null(record_clock_event(&before, &now, 5 * G_USEC_PER_SEC));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/record-clock/the-next-look-is-no-event", test_the_next_look_is_no_event);
        g_test_add_func("/record-clock/sleep", test_sleep);
        g_test_add_func("/record-clock/standing-still", test_standing_still);
        g_test_add_func("/record-clock/somebody-who-looks-seldom-misses-nothing",
                        test_somebody_who_looks_seldom_misses_nothing);
        g_test_add_func("/record-clock/the-clocks-run", test_the_clocks_run);
        return g_test_run();
}
