/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/poll.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"

struct CloudPoll {
        uint64_t interval, pause_max;
        uint64_t begun;
        unsigned failures;
        CloudPollAsk ask;
        void *userdata;
        sd_event_source *timer;
};

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        CloudPoll *poll = userdata;

        poll->begun = clock_monotonic();
        poll->ask(poll->userdata);
        return 0;
}

int cloud_poll_new(sd_event *event, uint64_t interval, uint64_t pause_max, CloudPollAsk ask, void *userdata,
                   CloudPoll **ret) {
        CloudPoll *poll;
        int r;

        if (interval < USEC_PER_MSEC)
                return -EINVAL;
        poll = calloc(1, sizeof(CloudPoll));
        if (!poll)
                return -ENOMEM;
        *poll = (CloudPoll) { .interval = interval,
                              .pause_max = pause_max > 0 ? pause_max : CLOUD_POLL_PAUSE_MAX,
                              .ask = ask,
                              .userdata = userdata };
        r = sd_event_add_time(event, &poll->timer, CLOCK_MONOTONIC, clock_monotonic(), USEC_PER_MSEC, on_time, poll);
        if (r < 0) {
                free(poll);
                return r;
        }
        *ret = poll;
        return 0;
}

CloudPoll *cloud_poll_free(CloudPoll *poll) {
        if (!poll)
                return NULL;
        sd_event_source_disable_unref(poll->timer);
        free(poll);
        return NULL;
}

/* A host's machines lost the service together, and need not all come back in the same moment. */
static uint64_t jitter(uint64_t pause) {
        uint32_t random = 0;

        (void) getrandom(&random, sizeof(random), GRND_NONBLOCK);
        return pause - (uint64_t) ((double) random / UINT32_MAX * (double) (pause / 4));
}

static uint64_t pause_of(const CloudPoll *poll) {
        uint64_t pause = poll->interval, most = poll->interval > poll->pause_max ? poll->interval : poll->pause_max;

        /* The first failure is an everyday case: only what goes on failing is asked less often. */
        for (unsigned i = 1; i < poll->failures && pause < most; i++)
                pause *= 2;
        return poll->interval + clock_pause(jitter((pause < most ? pause : most) - poll->interval));
}

void cloud_poll_answered(CloudPoll *poll, bool ok) {
        uint64_t next;

        poll->failures = ok ? 0 : poll->failures + 1;
        next = usec_add(poll->begun, pause_of(poll));
        (void) sd_event_source_set_time(poll->timer, next);
        (void) sd_event_source_set_enabled(poll->timer, SD_EVENT_ONESHOT);
}

unsigned cloud_poll_failures(const CloudPoll *poll) {
        return poll->failures;
}
