/* SPDX-License-Identifier: Apache-2.0 */

/* How often a metadata service is asked that fails and goes on failing. */

#include <stdlib.h>

#include <glib.h>

#include "base/clock.h"
#include "cloud/poll.h"

#define INTERVAL (10 * USEC_PER_MSEC)
#define FAILURES 14U /* unbounded, the last pauses alone would be more than a minute */
#define LONG_ENOUGH (20 * USEC_PER_SEC)

typedef struct Fixture {
        sd_event *event;
        CloudPoll *poll;
        unsigned asked, wanted;
        uint64_t begun;
} Fixture;

static void ask(void *userdata) {
        Fixture *f = userdata;

        if (++f->asked >= f->wanted)
                (void) sd_event_exit(f->event, 0);
        cloud_poll_answered(f->poll, false);
        g_assert_cmpuint(cloud_poll_failures(f->poll), ==, f->asked);
}

/* How long that many failures take; given up when it is long enough. */
static uint64_t failing(uint64_t pause_max, unsigned wanted) {
        Fixture f = { .wanted = wanted, .begun = clock_monotonic() };

        g_assert_cmpint(sd_event_new(&f.event), >=, 0);
        g_assert_cmpint(cloud_poll_new(f.event, INTERVAL, pause_max, ask, &f, &f.poll), >=, 0);
        g_assert_cmpint(sd_event_add_time_relative(f.event, NULL, CLOCK_MONOTONIC, LONG_ENOUGH, 0, NULL, NULL), >=, 0);
        g_assert_cmpint(sd_event_loop(f.event), >=, 0);
        f.poll = cloud_poll_free(f.poll);
        sd_event_unref(f.event);
        return usec_sub(clock_monotonic(), f.begun);
}

static void test_never_less_often_than_its_bound(void) {
        g_assert_cmpuint(failing(4 * INTERVAL, FAILURES), <, LONG_ENOUGH);
}

/* 1, 2, 4 and 8 intervals, of which at most a quarter is left out, but for the first. */
static void test_but_less_and_less_often(void) {
        g_assert_cmpuint(failing(0, 5), >=, 12 * INTERVAL);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        (void) unsetenv("SNOOZE_HASTE");
        g_test_add_func("/poll/bound", test_never_less_often_than_its_bound);
        g_test_add_func("/poll/less-often", test_but_less_and_less_often);
        return g_test_run();
}
