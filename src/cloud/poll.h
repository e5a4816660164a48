/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Asking a metadata service again and again: one question at a time, the next an interval after the last one began,
 * longer where it fails over and over, so that a service that is gone is not hammered. */

#include <stdbool.h>
#include <stdint.h>

#include <systemd/sd-event.h>

typedef struct CloudPoll CloudPoll;

/* Ask now; cloud_poll_answered() says when that is over. */
typedef void (*CloudPollAsk)(void *userdata);

/* interval: µs, at least a millisecond; pause_max: what it is stretched to, 0: CLOUD_POLL_PAUSE_MAX. Begins at once. 0
 * or a negative errno. */
int cloud_poll_new(sd_event *event, uint64_t interval, uint64_t pause_max, CloudPollAsk ask, void *userdata,
                   CloudPoll **ret);
CloudPoll *cloud_poll_free(CloudPoll *poll);

/* The question is over. After failures the pause doubles with each, up to pause_max (or the interval where that is
 * longer), less up to a quarter of what it was stretched by. */
void cloud_poll_answered(CloudPoll *poll, bool ok);

/* How many questions in a row have failed: 1 tells that it is news. */
unsigned cloud_poll_failures(const CloudPoll *poll);

#define CLOUD_POLL_PAUSE_MAX UINT64_C(30000000)
