/* SPDX-License-Identifier: Apache-2.0 */

#include "rtc.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

static int open_attribute(const char *root, const char *name, int flags) {
        char path[PATH_MAX];
        int fd;

        if (snprintf(path, sizeof(path), "%s" RTC_PATH "/%s", root, name) >= (int) sizeof(path))
                return -ENAMETOOLONG;
        fd = open(path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

/* Empty, as an alarm is that is not set, is 0. */
static int read_number(const char *root, const char *name, int64_t *ret) {
        _cleanup_close_ int fd = open_attribute(root, name, O_RDONLY);
        char text[32], *end;
        ssize_t n;

        if (fd < 0)
                return fd;
        n = read(fd, text, sizeof(text) - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        errno = 0;
        *ret = strtoll(text, &end, 10);
        return errno != 0 || *ret < 0 || end[strspn(end, "\n")] ? -EIO : 0;
}

/* One write is one number. */
static int write_alarm(const char *root, int64_t seconds) {
        _cleanup_close_ int fd = open_attribute(root, "wakealarm", O_WRONLY | O_TRUNC);
        char text[32];
        int length;

        if (fd < 0)
                return fd;
        length = snprintf(text, sizeof(text), "%" PRId64 "\n", seconds);
        return write(fd, text, (size_t) length) == length ? 0 : -errno;
}

int rtc_check(const char *root) {
        _cleanup_close_ int fd = open_attribute(root, "wakealarm", O_WRONLY);
        int64_t now;

        return fd < 0 ? fd : read_number(root, "since_epoch", &now);
}

static int set_alarm(const char *root, int64_t seconds) {
        int64_t set;
        int r;

        r = write_alarm(root, seconds);
        if (r >= 0)
                r = read_number(root, "wakealarm", &set);
        return r < 0 ? r : set == seconds ? 0 : -EIO;
}

int rtc_set(const char *root, uint64_t moment, RtcAlarm *ret) {
        int64_t now, ahead = (int64_t) ((usec_sub(moment, clock_realtime()) + USEC_PER_SEC - 1) / USEC_PER_SEC);
        RtcAlarm alarm = { .set = true };
        int r;

        r = read_number(root, "since_epoch", &now);
        if (r >= 0)
                r = read_number(root, "wakealarm", &alarm.before);
        /* One that is set has to be taken away first: the kernel replaces none (EBUSY). */
        if (r >= 0)
                r = write_alarm(root, 0);
        if (r < 0)
                return r;
        r = set_alarm(root, now + ahead);
        if (r < 0)
                rtc_restore(root, &alarm);
        else
                *ret = alarm;
        return r;
}

void rtc_restore(const char *root, RtcAlarm *alarm) {
        if (!alarm->set)
                return;
        alarm->set = false;
        (void) write_alarm(root, 0);
        if (alarm->before > 0)
                (void) write_alarm(root, alarm->before);
}
