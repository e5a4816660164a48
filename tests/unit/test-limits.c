/* SPDX-License-Identifier: Apache-2.0 */

/* The bucket of each sender: a burst at once, then so many a second, and never more memory than the cap. */

#include <glib.h>

#include "base/clock.h"
#include "bus/limits.h"

G_DEFINE_AUTOPTR_CLEANUP_FUNC(SenderLimits, sender_limits_free)

#define START (100 * USEC_PER_SEC)

static unsigned take_all(SenderLimits *limits, const char *sender, uint64_t now) {
        unsigned n = 0;

        while (sender_limits_take(limits, sender, now))
                n++;
        return n;
}

static void test_burst_and_rate(void) {
        g_autoptr(SenderLimits) limits = sender_limits_new(50, 200);

        g_assert_cmpuint(take_all(limits, ":1.1", START), ==, 200);
        g_assert_cmpuint(take_all(limits, ":1.1", START + 19 * USEC_PER_MSEC), ==, 0);
        g_assert_cmpuint(take_all(limits, ":1.1", START + 20 * USEC_PER_MSEC), ==, 1);
        g_assert_cmpuint(take_all(limits, ":1.1", START + USEC_PER_SEC + 20 * USEC_PER_MSEC), ==, 50);
        g_assert_cmpuint(take_all(limits, ":1.1", START + USEC_PER_HOUR), ==, 200);
}

static void test_no_fraction_is_lost(void) {
        g_autoptr(SenderLimits) limits = sender_limits_new(3, 1);
        unsigned n = 0;

        g_assert_cmpuint(take_all(limits, ":1.1", START), ==, 1);
        for (uint64_t t = 1; t <= 10 * USEC_PER_SEC; t += 999)
                n += (unsigned) sender_limits_take(limits, ":1.1", START + t);
        g_assert_cmpuint(n, >=, 29);
        g_assert_cmpuint(n, <=, 30);
}

static void test_senders_do_not_share(void) {
        g_autoptr(SenderLimits) limits = sender_limits_new(1, 5);

        g_assert_cmpuint(take_all(limits, ":1.1", START), ==, 5);
        g_assert_cmpuint(take_all(limits, ":1.2", START), ==, 5);
        g_assert_cmpuint(take_all(limits, ":1.1", START), ==, 0);
}

static void test_time_that_goes_backwards(void) {
        g_autoptr(SenderLimits) limits = sender_limits_new(1, 5);

        g_assert_cmpuint(take_all(limits, ":1.1", START), ==, 5);
        g_assert_cmpuint(take_all(limits, ":1.1", 0), ==, 0);
        g_assert_cmpuint(take_all(limits, ":1.1", START + USEC_PER_SEC), ==, 1);
}

/* Whoever comes with a thousand names, and empties each of their buckets, has nobody else refused. */
static void test_cap(void) {
        g_autoptr(SenderLimits) limits = sender_limits_new(50, 200);

        for (unsigned i = 0; i < 2 * LIMIT_SENDERS_MAX; i++) {
                g_autofree char *sender = g_strdup_printf(":1.%u", i);

                g_assert_cmpuint(take_all(limits, sender, START), ==, 200);
        }
        g_assert_cmpuint(take_all(limits, ":3.1", START), ==, 200);
        g_assert_cmpuint(take_all(limits, ":3.1", START), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/limits/burst-and-rate", test_burst_and_rate);
        g_test_add_func("/limits/no-fraction-is-lost", test_no_fraction_is_lost);
        g_test_add_func("/limits/senders-do-not-share", test_senders_do_not_share);
        g_test_add_func("/limits/time-that-goes-backwards", test_time_that_goes_backwards);
        g_test_add_func("/limits/cap", test_cap);
        return g_test_run();
}
