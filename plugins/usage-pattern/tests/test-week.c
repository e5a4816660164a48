/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#include "base/clock.h"
#include "week.h"

#define WEEK (7 * USEC_PER_DAY)
#define START (UINT64_C(2000) * WEEK)

static void learn_weeks(Week *week, unsigned first, unsigned n, unsigned hour, bool used) {
        for (unsigned i = first; i < first + n; i++)
                week_learn(week, START + i * WEEK, 4 * WEEK, hour, 3600, used);
}

static void test_an_hour_is_learnt(void) {
        Week week = { .faded = 0 };

        g_assert_cmpfloat(week_share(&week, 38), <, 0);
        week_learn(&week, START, 4 * WEEK, 38, 1200, true);
        g_assert_cmpfloat(week_share(&week, 38), <, 0); /* twenty minutes are too few */
        week_learn(&week, START, 4 * WEEK, 38, 1200, false);
        g_assert_cmpfloat(week_share(&week, 38), ==, 0.5);
        g_assert_cmpfloat(week_share(&week, 39), <, 0);
}

static void test_a_new_habit_outweighs_the_old(void) {
        Week week = { .faded = 0 };

        learn_weeks(&week, 0, 20, 9, true);
        g_assert_cmpfloat(week_share(&week, 9), ==, 1);
        learn_weeks(&week, 20, 3, 9, false);
        g_assert_cmpfloat(week_share(&week, 9), >, 0.5);
        learn_weeks(&week, 23, 3, 9, false);
        g_assert_cmpfloat(week_share(&week, 9), <, 0.5);
}

static void test_time_alone_changes_no_share(void) {
        Week week = { .faded = 0 };

        learn_weeks(&week, 0, 10, 9, true);
        learn_weeks(&week, 10, 2, 9, false);
        double before = week_share(&week, 9);
        week_learn(&week, START + 15 * WEEK, 4 * WEEK, 50, 60, false);
        g_assert_cmpfloat_with_epsilon(week_share(&week, 9), before, 1e-9);
        /* But it is forgotten in the end. */
        week_learn(&week, START + 60 * WEEK, 4 * WEEK, 50, 60, false);
        g_assert_cmpfloat(week_share(&week, 9), <, 0);
}

static void test_a_clock_that_is_put_back(void) {
        Week week = { .faded = 0 };

        learn_weeks(&week, 10, 1, 9, true);
        week_learn(&week, START, 4 * WEEK, 9, 3600, true);
        g_assert_cmpfloat(week.seen[9], ==, 7200);
}

static void test_hours_have_names(void) {
        char name[16];

        /* Thursday, 1 January 1970. */
        g_assert_cmpuint(week_hour(14 * USEC_PER_HOUR), ==, 3 * 24 + 14);
        week_hour_name(3 * 24 + 14, name, sizeof(name));
        g_assert_cmpstr(name, ==, "Thu 14:00");
        week_hour_name(WEEK_HOURS - 1, name, sizeof(name));
        g_assert_cmpstr(name, ==, "Sun 23:00");
}

static void test_out_and_in_again(void) {
        Week week = { .faded = 0 }, again = { .faded = 0 };
        char text[WEEK_TEXT_SIZE], second[WEEK_TEXT_SIZE];
        size_t n;

        for (unsigned hour = 0; hour < WEEK_HOURS; hour++)
                for (unsigned i = 0; i < 300; i++)
                        week_learn(&week, START + hour, WEEK, hour, 3600, hour % 3 == 0);
        n = week_export(&week, text);
        g_assert_cmpint(week_import(&again, text, n), ==, 0);
        g_assert_cmpuint(week_export(&again, second), ==, n);
        g_assert_cmpstr(text, ==, second);
        g_assert_cmpfloat(week_share(&again, 3), ==, 1);
        g_assert_cmpfloat(week_share(&again, 4), ==, 0);
}

static void test_what_is_no_week_changes_nothing(void) {
        static const char *const texts[] = { "", "5", "-5\n", "x\n", "5\n1 1\n" };
        Week week = { .faded = 7 }, good = { .faded = 9 };
        char text[WEEK_TEXT_SIZE];
        size_t n;

        for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
                g_assert_cmpint(week_import(&week, texts[i], strlen(texts[i]) + 1), ==, -EBADMSG);
        n = week_export(&good, text);
        g_assert_cmpint(week_import(&week, text, n - 1), ==, -EBADMSG); /* without its end */
        g_assert_cmpint(week_import(&week, text, 0), ==, -EBADMSG);
        good.seen[5] = 1;
        good.used[5] = 2; /* more than there was */
        n = week_export(&good, text);
        g_assert_cmpint(week_import(&week, text, n), ==, -EBADMSG);
        g_assert_cmpuint(week.faded, ==, 7);
}

/* One number otherwise than it is written. */
static void test_numbers_are_strict(void) {
        static const char *const times[] = { " 9",  "\t9", "+9",  "-9", " -9",
                                             "0x9", "9 ",  "9.0", "",   "18446744073709551616" };
        static const char *const hours[] = { " 1.000 0.500", "+1.000 0.500", "-1.000 0.500", "1.000  0.500",
                                             "1.000 +0.500", "1.000 -0.500", "1.000 0.500 ", "0x1 0x0",
                                             "inf 0",        "nan nan",      "1e0 0",        "1 ",
                                             "1",            "1..0 0",       ". 0",          ".5 0" };
        Week good = { .faded = 9 }, week = { .faded = 7 };
        g_autofree char *rest = NULL;
        char text[WEEK_TEXT_SIZE];
        const char *second;

        (void) week_export(&good, text);
        second = strchr(strchr(text, '\n') + 1, '\n') + 1;
        for (gsize i = 0; i < G_N_ELEMENTS(times); i++) {
                g_autofree char *wrong = g_strconcat(times[i], strchr(text, '\n'), NULL);

                g_assert_cmpint(week_import(&week, wrong, strlen(wrong) + 1), ==, -EBADMSG);
        }
        for (gsize i = 0; i < G_N_ELEMENTS(hours); i++) {
                g_autofree char *wrong = g_strconcat("9\n", hours[i], "\n", second, NULL);

                g_assert_cmpint(week_import(&week, wrong, strlen(wrong) + 1), ==, -EBADMSG);
        }
        g_assert_cmpuint(week.faded, ==, 7);
        rest = g_strconcat("9\n1.000 0.500\n", second, NULL);
        g_assert_cmpint(week_import(&week, rest, strlen(rest) + 1), ==, 0);
        g_assert_cmpuint(week.faded, ==, 9);
        g_assert_cmpfloat(week.used[0], ==, 0.5);
}

static void test_garbled_weeks(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(11);
        Week good = { .faded = 9 }, week = { .faded = 0 };
        char text[WEEK_TEXT_SIZE];
        size_t n = week_export(&good, text);

        for (unsigned i = 0; i < 5000; i++) {
                g_autofree char *copy = g_memdup2(text, n);

                for (unsigned k = 0; k < 3; k++)
                        copy[g_rand_int_range(random, 0, (gint32) n)] = (char) g_rand_int_range(random, 0, 256);
                if (week_import(&week, copy, n) == 0)
                        for (unsigned hour = 0; hour < WEEK_HOURS; hour++)
                                g_assert_true(week_share(&week, hour) <= 1);
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        setenv("TZ", "UTC0", 1);
        tzset();
        g_test_add_func("/usage-pattern/week/an-hour-is-learnt", test_an_hour_is_learnt);
        g_test_add_func("/usage-pattern/week/a-new-habit-outweighs-the-old", test_a_new_habit_outweighs_the_old);
        g_test_add_func("/usage-pattern/week/time-alone-changes-no-share", test_time_alone_changes_no_share);
        g_test_add_func("/usage-pattern/week/a-clock-that-is-put-back", test_a_clock_that_is_put_back);
        g_test_add_func("/usage-pattern/week/hours-have-names", test_hours_have_names);
        g_test_add_func("/usage-pattern/week/out-and-in-again", test_out_and_in_again);
        g_test_add_func("/usage-pattern/week/what-is-no-week-changes-nothing", test_what_is_no_week_changes_nothing);
        g_test_add_func("/usage-pattern/week/numbers-are-strict", test_numbers_are_strict);
        g_test_add_func("/usage-pattern/week/garbled-weeks", test_garbled_weeks);
        return g_test_run();
}
