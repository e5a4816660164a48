/* SPDX-License-Identifier: Apache-2.0 */

/* The kernel repeats the timer of the samples: sd-event's would be set anew with each. Where a sample brings no news,
 * which at rest nearly all do, no step of the decision follows it, and not even the loop is turned for it: see
 * on_rest(). */

#include "daemon/tick.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/manager-announce.h"
#include "daemon/manager-state.h"

/* At rest the answers of plugins are read with the next sample, which saves waking up for each. In a stage, and where
 * samples are rare, they are wanted when they come. */
#define LEISURE_MAX (10 * USEC_PER_SEC)

static uint64_t sample_interval(const Manager *manager) {
        return MAX(usec_from_seconds(manager->config->sample_interval_seconds), 1);
}

static void choose_leisure(Manager *manager) {
        uint64_t interval = sample_interval(manager);
        gboolean wanted = manager_in_stage(manager) || interval > LEISURE_MAX;

        plugins_set_leisure(manager->plugins, wanted ? 0 : interval);
}

/* The questions come last: who is asked runs at once where there is but one CPU. */
static void check(Manager *manager) {
        g_autoptr(JsonObject) metrics = manager_metrics(manager);

        manager_keep_history(manager, metrics);
        manager_save(manager);
        choose_leisure(manager);
        if (manager->monitors)
                monitors_check(manager->monitors);
        plugins_check(manager->plugins, metrics, FALSE, manager_round_done, manager);
}

/* Nothing that a step would conclude, or that waits to be told. */
static gboolean is_calm(const Manager *manager, uint64_t now) {
        return !decision_has_news(manager->decision, now) && manager_all_told(manager) && !manager->warning_told_off;
}

/* TRUE: it brought no news. */
static gboolean take_calm_sample(Manager *manager, uint64_t now) {
        manager_take_quick_sample(manager);
        if (!is_calm(manager, now))
                return FALSE;
        /* The state is what it was; the words for it tell of times. */
        outcome_clear(&manager->outcome);
        return TRUE;
}

/* TRUE: after it there is nothing to do but to take the next sample. */
static gboolean beat(Manager *manager, uint64_t now) {
        gboolean heard = plugins_hear(manager->plugins);

        if (now < manager->next_check) {
                gboolean told = manager->monitors && monitors_look(manager->monitors),
                         calm = take_calm_sample(manager, now) && !told;

                if (heard || !calm) {
                        manager_step(manager);
                        calm = is_calm(manager, now) && !told;
                }
                return calm;
        }
        manager->next_check = usec_add(now, usec_sub(usec_from_seconds(manager->config->check_interval_seconds),
                                                     sample_interval(manager) / 2));
        manager_take_sample(manager);
        manager_step(manager);
        check(manager);
        return FALSE;
}

/* Behind by more than one interval (a paused machine), samples are not made up for: however often it elapsed, it is
 * read once. */
static int on_tick(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Manager *manager = userdata;
        uint64_t elapsed;

        /* Set anew since it elapsed. */
        if (read(fd, &elapsed, sizeof(elapsed)) < 0)
                return 0;
        if (beat(manager, clock_monotonic()))
                (void) sd_event_source_set_enabled(manager->rest, SD_EVENT_ONESHOT);
        return 0;
}

static int set_timer(Manager *manager, uint64_t first, uint64_t interval) {
        const struct itimerspec times = {
                .it_value = { (time_t) (first / USEC_PER_SEC), (long) (first % USEC_PER_SEC * 1000) },
                .it_interval = { (time_t) (interval / USEC_PER_SEC), (long) (interval % USEC_PER_SEC * 1000) },
        };

        return timerfd_settime(sd_event_source_get_io_fd(manager->tick), 0, &times, NULL) < 0 ? -errno : 0;
}

/* µs; 0: it has elapsed. */
static uint64_t time_left(Manager *manager) {
        struct itimerspec times;
        struct pollfd fd = { .fd = sd_event_source_get_io_fd(manager->tick), .events = POLLIN };

        if (poll(&fd, 1, 0) != 0 || timerfd_gettime(fd.fd, &times) < 0)
                return 0;
        return (uint64_t) times.it_value.tv_sec * USEC_PER_SEC + (uint64_t) times.it_value.tv_nsec / 1000;
}

typedef enum Rest {
        REST_OVER,      /* the next sample is due */
        REST_DISTURBED, /* the loop has something to attend to */
        REST_TOLD,      /* a monitor has told something */
} Rest;

/* Late by less than a millisecond, of which nothing adds up. */
static Rest sleep_until(Manager *manager, uint64_t until) {
        struct pollfd loop = { .fd = sd_event_get_fd(manager->event), .events = POLLIN };

        for (uint64_t now = clock_monotonic(); now < until; now = clock_monotonic()) {
                int left = (int) MIN((until - now) / USEC_PER_MSEC + 1, (uint64_t) INT_MAX);
                gboolean readable;

                if (!manager->monitors)
                        readable = poll(&loop, 1, left) != 0;
                else if (monitors_wait(manager->monitors, loop.fd, left, &readable))
                        return REST_TOLD;
                if (readable)
                        return REST_DISTURBED;
        }
        return REST_OVER;
}

/* Samples without news, waited for behind the loop on its own descriptor. That is sound as long as
 *
 *   - nothing else is pending when it begins: it has the lowest priority of all;
 *   - whatever the loop has to attend to shows on the descriptor, its timers, signals and the watchdog among it, and
 *     shows again when the loop looks. What forgets its readiness once somebody has seen it (a PSI trigger) must be no
 *     source of this loop, and is waited for beside it: monitors_wait();
 *   - nothing in here counts from sd_event_now(), which stands still meanwhile: checks, and steps that have something
 * to conclude, are left to the loop. */
static int on_rest(sd_event_source *source, void *userdata) {
        Manager *manager = userdata;
        uint64_t now = clock_monotonic(), interval = sample_interval(manager), left = time_left(manager),
                 next = usec_add(now, left);
        Rest rest = REST_OVER;

        if (left == 0)
                return 0;
        (void) set_timer(manager, 0, 0);
        while (next < manager->next_check && (rest = sleep_until(manager, next)) == REST_OVER) {
                now = clock_monotonic();
                next = MAX(usec_add(next, interval), now + 1);
                if (!take_calm_sample(manager, now)) {
                        manager_step_soon(manager);
                        break;
                }
        }
        if (rest == REST_TOLD)
                manager_step_soon(manager);
        now = clock_monotonic();
        (void) set_timer(manager, next > now ? next - now : 1, interval);
        return 0;
}

int tick_set(Manager *manager, uint64_t first) {
        return set_timer(manager, first, sample_interval(manager));
}

static int add_rest(Manager *manager) {
        int r;

        r = sd_event_add_defer(manager->event, &manager->rest, on_rest, manager);
        if (r >= 0)
                r = sd_event_source_set_enabled(manager->rest, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_source_set_priority(manager->rest, SD_EVENT_PRIORITY_IDLE + 1);
        return r;
}

int tick_begin(Manager *manager) {
        _cleanup_close_ int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        int r;

        if (fd < 0)
                return -errno;
        r = sd_event_add_io(manager->event, &manager->tick, fd, EPOLLIN, on_tick, manager);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(manager->tick, true);
        if (r < 0)
                return r;
        (void) steal_fd(&fd);
        r = add_rest(manager);
        return r < 0 ? r : tick_set(manager, 1);
}

void tick_end(Manager *manager) {
        manager->tick = sd_event_source_disable_unref(manager->tick);
        manager->rest = sd_event_source_disable_unref(manager->rest);
}
