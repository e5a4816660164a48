/* SPDX-License-Identifier: Apache-2.0 */

#include "usage.h"

#define START (1000 * USEC_PER_SEC)

/* One look at one process that has used so many seconds of CPU. */
static double look(Usage *usage, unsigned second, uint64_t started, double cpu) {
        usage_begin(usage, START + second * USEC_PER_SEC);
        usage_add(usage, 7, started, (uint64_t) (cpu * (double) USEC_PER_SEC));
        return usage_end(usage);
}

static void test_what_it_did_before_does_not_count(void) {
        Usage *usage = usage_new(60 * USEC_PER_SEC);

        g_assert_cmpfloat(look(usage, 0, 1, 5000), <, 0);
        g_assert_cmpfloat(look(usage, 2, 1, 5000), <, 0); /* too short a time to tell */
        g_assert_cmpfloat(look(usage, 10, 1, 5005), ==, 50);
        usage_free(usage);
}

static void test_a_window_moves_on(void) {
        Usage *usage = usage_new(60 * USEC_PER_SEC);

        look(usage, 0, 1, 0);
        g_assert_cmpfloat(look(usage, 60, 1, 60), ==, 100);
        g_assert_cmpfloat(look(usage, 90, 1, 60), >, 0); /* half of it */
        g_assert_cmpfloat(look(usage, 150, 1, 60), ==, 0);
        usage_free(usage);
}

static void test_one_that_began_since_counts_whole(void) {
        Usage *usage = usage_new(60 * USEC_PER_SEC);

        look(usage, 0, 1, 100);
        /* The same number, another process. */
        g_assert_cmpfloat(look(usage, 60, START + 30 * USEC_PER_SEC, 15), ==, 25);
        usage_free(usage);
}

static void test_several_add_up(void) {
        Usage *usage = usage_new(60 * USEC_PER_SEC);

        for (unsigned second = 0; second <= 60; second += 60) {
                usage_begin(usage, START + second * USEC_PER_SEC);
                for (pid_t pid = 1; pid <= 4; pid++)
                        usage_add(usage, pid, 1, second * USEC_PER_SEC / 2);
        }
        g_assert_cmpfloat(usage_end(usage), ==, 200);
        usage_free(usage);
}

static void test_asked_ten_times_a_second(void) {
        Usage *usage = usage_new(60 * USEC_PER_SEC);
        double percent = 0;

        for (unsigned i = 0; i < 6000; i++) {
                usage_begin(usage, START + i * 100 * USEC_PER_MSEC);
                usage_add(usage, 7, 1, i * 10 * USEC_PER_MSEC);
                percent = usage_end(usage);
        }
        g_assert_cmpfloat_with_epsilon(percent, 10, 0.01);
        usage_free(usage);
}

static void test_a_counter_that_runs_back(void) {
        Usage *usage = usage_new(60 * USEC_PER_SEC);

        look(usage, 0, 1, 100);
        g_assert_cmpfloat(look(usage, 60, 1, 50), ==, 0);
        usage_free(usage);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/processes/usage/what-it-did-before-does-not-count", test_what_it_did_before_does_not_count);
        g_test_add_func("/processes/usage/a-window-moves-on", test_a_window_moves_on);
        g_test_add_func("/processes/usage/one-that-began-since-counts-whole", test_one_that_began_since_counts_whole);
        g_test_add_func("/processes/usage/several-add-up", test_several_add_up);
        g_test_add_func("/processes/usage/asked-ten-times-a-second", test_asked_ten_times_a_second);
        g_test_add_func("/processes/usage/a-counter-that-runs-back", test_a_counter_that_runs_back);
        return g_test_run();
}
