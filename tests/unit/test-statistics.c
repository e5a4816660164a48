/* SPDX-License-Identifier: Apache-2.0 */

/* What a client reads of a plugin's calls as half of them and as 99 % of them, against durations that are known. */

#include <glib.h>
#include <stdint.h>

#include "daemon/plugin/statistics.h"

static void assert_within_an_eighth(uint64_t said, uint64_t exact) {
        g_assert_cmpuint(said, >=, exact);
        g_assert_cmpuint(said, <=, exact + exact / 8);
}

static void test_none(void) {
        Statistics statistics = {};

        g_assert_cmpuint(statistics_percentile(&statistics, 50), ==, 0);
        g_assert_cmpuint(statistics_percentile(&statistics, 99), ==, 0);
}

static void test_percentiles(void) {
        Statistics statistics = {};

        for (uint64_t usec = 1; usec <= 1000; usec++)
                statistics_add_duration(&statistics, usec);
        g_assert_cmpuint(statistics.durations, ==, 1000);
        assert_within_an_eighth(statistics_percentile(&statistics, 50), 500);
        assert_within_an_eighth(statistics_percentile(&statistics, 99), 990);
}

/* One call of a hundred does not move what 99 % of them took; two do. */
static void test_one_that_is_slow(void) {
        Statistics statistics = {};

        for (unsigned i = 0; i < 99; i++)
                statistics_add_duration(&statistics, 5);
        statistics_add_duration(&statistics, 1000000);
        g_assert_cmpuint(statistics_percentile(&statistics, 99), ==, 5);
        statistics_add_duration(&statistics, 1000000);
        g_assert_cmpuint(statistics_percentile(&statistics, 50), ==, 5);
        assert_within_an_eighth(statistics_percentile(&statistics, 99), 1000000);
}

static void test_every_size(void) {
        for (unsigned shift = 0; shift < 42; shift++) {
                uint64_t usec = UINT64_C(1) << shift;
                Statistics statistics = {};

                statistics_add_duration(&statistics, usec);
                assert_within_an_eighth(statistics_percentile(&statistics, 50), usec);
        }
}

/* What is longer than anything counted is in the last bucket. */
static void test_longest(void) {
        Statistics statistics = {};

        statistics_add_duration(&statistics, UINT64_MAX);
        g_assert_cmpuint(statistics.bucket[DURATION_BUCKETS - 1], ==, 1);
        g_assert_cmpuint(statistics_percentile(&statistics, 99), ==, (UINT64_C(1) << 42) - 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/statistics/none", test_none);
        g_test_add_func("/statistics/percentiles", test_percentiles);
        g_test_add_func("/statistics/one-that-is-slow", test_one_that_is_slow);
        g_test_add_func("/statistics/every-size", test_every_size);
        g_test_add_func("/statistics/longest", test_longest);
        return g_test_run();
}
