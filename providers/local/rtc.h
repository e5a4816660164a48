/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The alarm of the real-time clock, which switches the machine on again or wakes it: /sys/class/rtc/rtc0/wakealarm
 * (Documentation/ABI/testing/ sysfs-class-rtc of the kernel). It counts on the clock's own time, which need not be
 * UTC. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTC_PATH "/sys/class/rtc/rtc0"

typedef struct RtcAlarm {
        bool set;
        int64_t before; /* what was set there, on the clock's time; 0: nothing */
} RtcAlarm;

/* 0 where an alarm can be set; -ENOENT: there is no clock that wakes; another negative errno: not for this user. root:
 * "", or the folder that stands for / . */
int rtc_check(const char *root);

/* Sets it to a moment of the wall clock, µs, in place of another, which is kept. A negative errno, and nothing has
 * changed: as rtc_check(); ERANGE, EINVAL: the clock cannot be set so far ahead; EIO: it was set, and says otherwise.
 */
int rtc_set(const char *root, uint64_t moment, RtcAlarm *ret);

/* As it was before. */
void rtc_restore(const char *root, RtcAlarm *alarm);
