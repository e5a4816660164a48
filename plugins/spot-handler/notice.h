/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an event says about the end of this machine, and how much time there is before it. Events come from clouds,
 * from people and from other plugins: none is believed further than its cloud's own rules go. Pure: no clock, no
 * process. */

#include <stdbool.h>
#include <stdint.h>

#include <snooze/dictionary.h>

/* Of what is left so much is kept for the rest of the machine: unmounting, other services, the network going away. */
#define NOTICE_RESERVE_SECONDS 15

/* Of a handler's share at most so much is kept for ending what is at work (SIGTERM, and SIGKILL after five seconds)
 * and for the answer. */
#define NOTICE_ENDING_SECONDS 6

/* For so long after its deadline a notice is still the same one; a machine that runs on by then, or again, was spared.
 */
#define NOTICE_GRACE_SECONDS 60

typedef struct Notice {
        uint64_t deadline;  /* wall clock µs: when the machine goes */
        uint64_t remaining; /* µs until then; 0: it has passed */
        uint64_t share;     /* µs for which the daemon waits for this handler; UINT64_MAX: nobody said */
        bool cancelled;     /* it will not happen */
} Notice;

/* now: wall clock µs. Without a deadline the seconds of data.time_remaining (also timeRemaining) count from the
 * event's timestamp, without either it is two minutes. */
Notice notice_read(const SnoozePluginDictionary *event, uint64_t now);

/* µs that there are for work: what is left without the reserve, at most timeout_seconds, and less than the share, so
 * that the answer comes in time; 0: there is no time for it. */
uint64_t notice_budget(const Notice *notice, int64_t reserve_seconds, int64_t timeout_seconds);

/* Is it the end that was handled, until that moment (notice_handled_until())? One that comes clearly earlier is
 * another: a far end, or one that somebody made up, must not hide a near one. */
bool notice_is_handled(const Notice *notice, uint64_t handled_until, uint64_t now);

/* Wall clock µs until which whatever announces this end, or one behind it, announces what was handled. */
uint64_t notice_handled_until(const Notice *notice);

/* µs of the share that are kept for ending what is at work, and for the answer: a quarter, at most the reserve or
 * NOTICE_ENDING_SECONDS. */
uint64_t notice_margin(const Notice *notice, int64_t reserve_seconds);
