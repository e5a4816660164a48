/* SPDX-License-Identifier: Apache-2.0 */

#include <math.h>
#include <string.h>

#include <glib.h>

#include "statistics.h"

static Statistics of(const char *text) {
        Statistics statistics = { .count = 0 };

        statistics_feed(&statistics, text, strlen(text));
        statistics_finish(&statistics);
        return statistics;
}

static void test_a_few_numbers(void) {
        Statistics s = of("2 4,4;4\n5 5\t7\r\n9e0\n");

        g_assert_cmpuint(s.count, ==, 8);
        g_assert_cmpuint(s.rejected, ==, 0);
        g_assert_cmpfloat(s.minimum, ==, 2);
        g_assert_cmpfloat(s.maximum, ==, 9);
        g_assert_cmpfloat_with_epsilon(s.mean, 5, 1e-12);
        g_assert_cmpfloat_with_epsilon(statistics_deviation(&s), sqrt(32.0 / 7), 1e-12);
}

static void test_what_is_no_number_is_counted(void) {
        Statistics s = of("1 x 0x10 inf nan 1e999 -1e101 1.5.2 -3");
        g_autofree char *ones = g_strnfill(STATISTICS_WORD_MAX, '1'), *more = g_strnfill(STATISTICS_WORD_MAX + 1, '1'),
                        *many = g_strnfill(100000, '1');

        g_assert_cmpuint(s.count, ==, 2);
        g_assert_cmpuint(s.rejected, ==, 7);
        g_assert_cmpfloat(s.mean, ==, -1);
        g_assert_cmpuint(of(ones).count, ==, 1);
        g_assert_cmpuint(of(more).rejected, ==, 1);
        g_assert_cmpuint(of(many).rejected, ==, 1);
}

static void test_bytes_that_are_no_text(void) {
        static const char text[] = "1\0002 3\xff 4";
        Statistics s = { .count = 0 };

        statistics_feed(&s, text, sizeof(text) - 1);
        statistics_finish(&s);
        g_assert_cmpuint(s.rejected, ==, 2);
        g_assert_cmpuint(s.count, ==, 1);
}

static void test_pieces_may_end_anywhere(void) {
        const char *text = "12.5 -7 300 x 1e3";
        Statistics whole = of(text), pieces = { .count = 0 };

        for (const char *p = text; *p; p++)
                statistics_feed(&pieces, p, 1);
        statistics_finish(&pieces);
        g_assert_cmpuint(pieces.count, ==, whole.count);
        g_assert_cmpuint(pieces.rejected, ==, whole.rejected);
        g_assert_cmpfloat(pieces.mean, ==, whole.mean);
        g_assert_cmpfloat(pieces.squares, ==, whole.squares);
}

static void test_two_are_as_one(void) {
        Statistics a = of("1 2 x 3"), b = of("10 -20"), nothing = of(""), both = of("1 2 x 3 10 -20");

        statistics_merge(&a, &b);
        statistics_merge(&a, &nothing);
        statistics_merge(&nothing, &a);
        g_assert_cmpuint(nothing.count, ==, both.count);
        g_assert_cmpuint(nothing.rejected, ==, 1);
        g_assert_cmpfloat(nothing.minimum, ==, -20);
        g_assert_cmpfloat(nothing.maximum, ==, 10);
        g_assert_cmpfloat_with_epsilon(nothing.mean, both.mean, 1e-12);
        g_assert_cmpfloat_with_epsilon(statistics_deviation(&nothing), statistics_deviation(&both), 1e-12);
}

static void test_large_numbers_with_small_differences(void) {
        Statistics s = of("1000000000001 1000000000002 1000000000003");

        g_assert_cmpfloat_with_epsilon(statistics_deviation(&s), 1, 1e-3);
}

static void test_nothing(void) {
        Statistics s = of(" \n ");

        g_assert_cmpuint(s.count, ==, 0);
        g_assert_cmpfloat(statistics_deviation(&s), ==, 0);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/analytics/statistics/a-few-numbers", test_a_few_numbers);
        g_test_add_func("/analytics/statistics/what-is-no-number-is-counted", test_what_is_no_number_is_counted);
        g_test_add_func("/analytics/statistics/bytes-that-are-no-text", test_bytes_that_are_no_text);
        g_test_add_func("/analytics/statistics/pieces-may-end-anywhere", test_pieces_may_end_anywhere);
        g_test_add_func("/analytics/statistics/two-are-as-one", test_two_are_as_one);
        g_test_add_func("/analytics/statistics/large-numbers-with-small-differences",
                        test_large_numbers_with_small_differences);
        g_test_add_func("/analytics/statistics/nothing", test_nothing);
        return g_test_run();
}
