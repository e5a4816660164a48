/* SPDX-License-Identifier: Apache-2.0 */

/* A moment is told as the same time of day each time, however long the daemon loses the processor between two readings
 * of the clocks. The clocks here are this program's own. */

#include "daemon/wall-clock.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define MONOTONIC (10 * USEC_PER_HOUR)
#define REALTIME (UINT64_C(1700000000) * USEC_PER_SEC)
#define MOMENT (9 * USEC_PER_HOUR)

static struct {
        gboolean ours;
        uint64_t since; /* both clocks have gone on by this */
        int64_t set;    /* the wall clock was, by this */
        uint64_t lost;  /* behind each reading that is counted */
        unsigned losses;
} clocks;

int clock_gettime(clockid_t clock, struct timespec *ret) {
        uint64_t now;

        if (!clocks.ours || (clock != CLOCK_MONOTONIC && clock != CLOCK_REALTIME))
                return (int) syscall(SYS_clock_gettime, clock, ret);
        now = clocks.since + (clock == CLOCK_MONOTONIC ? MONOTONIC : REALTIME + (uint64_t) clocks.set);
        *ret = (struct timespec) { .tv_sec = (time_t) (now / USEC_PER_SEC),
                                   .tv_nsec = (long) (now % USEC_PER_SEC * NSEC_PER_USEC) };
        clocks.since++;
        if (clocks.losses > 0) {
                clocks.losses--;
                clocks.since += clocks.lost;
        }
        return 0;
}

static uint64_t tell(Manager *manager) {
        uint64_t told;

        clocks.ours = TRUE;
        told = manager_realtime(manager, MOMENT);
        clocks.ours = FALSE;
        return told;
}

static void lose(uint64_t usec, unsigned times) {
        clocks.lost = usec;
        clocks.losses = times;
}

static void begin(void) {
        clocks.since = 0;
        clocks.set = 0;
        clocks.losses = 0;
}

static void assert_near(uint64_t told, uint64_t expected) {
        g_assert_cmpuint(told, >=, expected - USEC_PER_MSEC);
        g_assert_cmpuint(told, <=, expected + USEC_PER_MSEC);
}

static void test_what_is_lost_between_two_readings(void) {
        Manager manager = {};
        uint64_t first;

        begin();
        first = tell(&manager);
        assert_near(first, REALTIME - USEC_PER_HOUR);
        for (unsigned times = 1; times <= 100; times++) {
                lose(USEC_PER_SEC, times);
                g_assert_cmpuint(tell(&manager), ==, first);
                clocks.losses = 0;
                g_assert_cmpuint(tell(&manager), ==, first);
        }
}

static void test_lost_at_the_first_time(void) {
        Manager manager = {};

        begin();
        lose(USEC_PER_SEC, 1);
        assert_near(tell(&manager), REALTIME - USEC_PER_HOUR);
}

/* Better than the time of another year. */
static void test_always_lost_at_the_first_time(void) {
        Manager manager = {};

        begin();
        lose(USEC_PER_SEC, 1000);
        g_assert_cmpuint(tell(&manager), >=, REALTIME - USEC_PER_HOUR);
}

static void test_set(void) {
        Manager manager = {};
        uint64_t first, second;

        begin();
        first = tell(&manager);
        clocks.set = -(int64_t) USEC_PER_DAY;
        second = tell(&manager);
        assert_near(second, first - USEC_PER_DAY);
        clocks.set += 50 * USEC_PER_MSEC;
        g_assert_cmpuint(tell(&manager), ==, second);
        /* Seen at once, though the processor was lost. */
        clocks.set = 0;
        lose(USEC_PER_SEC, 1);
        assert_near(tell(&manager), first);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/wall-clock/lost-between-readings", test_what_is_lost_between_two_readings);
        g_test_add_func("/wall-clock/lost-at-first", test_lost_at_the_first_time);
        g_test_add_func("/wall-clock/always-lost-at-first", test_always_lost_at_the_first_time);
        g_test_add_func("/wall-clock/set", test_set);
        return g_test_run();
}
