/* SPDX-License-Identifier: Apache-2.0 */

#include "week.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

/* More than any hour can have gathered: 52 weeks of half-life, 3,600 s a week. */
#define SECONDS_MAX 1e6

void week_learn(Week *week, uint64_t now, uint64_t half_life, unsigned hour, double seconds, bool used) {
        /* A clock that was put back makes nothing fade, and nothing grow. */
        double fading = week->faded > 0 ? exp2(-(double) usec_sub(now, week->faded) / (double) half_life) : 1;

        for (unsigned i = 0; i < WEEK_HOURS; i++) {
                week->seen[i] *= fading;
                week->used[i] *= fading;
        }
        week->faded = now;
        week->seen[hour] = fmin(week->seen[hour] + seconds, SECONDS_MAX);
        if (used)
                week->used[hour] = fmin(week->used[hour] + seconds, week->seen[hour]);
}

double week_share(const Week *week, unsigned hour) {
        return week->seen[hour] < WEEK_SEEN_MIN ? -1 : week->used[hour] / week->seen[hour];
}

unsigned week_hour(uint64_t now) {
        time_t seconds = (time_t) (now / USEC_PER_SEC);
        struct tm local;

        localtime_r(&seconds, &local);
        return (unsigned) ((local.tm_wday + 6) % 7 * 24 + local.tm_hour);
}

void week_hour_name(unsigned hour, char *name, size_t size) {
        static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

        snprintf(name, size, "%s %02u:00", days[hour / 24 % 7], hour % 24);
}

size_t week_export(const Week *week, char text[WEEK_TEXT_SIZE]) {
        size_t n;

        n = (size_t) snprintf(text, WEEK_TEXT_SIZE, "%" PRIu64 "\n", week->faded);
        for (unsigned i = 0; i < WEEK_HOURS; i++)
                n += (size_t) snprintf(text + n, WEEK_TEXT_SIZE - n, "%.3f %.3f\n", week->seen[i], week->used[i]);
        return n + 1;
}

/* As week_export() writes one, and what has to stand behind it: strtod() and strtoull() pass over blanks, and know
 * signs, hexadecimal digits and infinity. */
static int read_number(const char **position, const char *digits, char behind, const char **ret_number) {
        size_t length = strspn(*position, digits);

        if (length == 0 || (*position)[0] == '.' || (*position)[length] != behind)
                return -EBADMSG;
        *ret_number = *position;
        *position += length + 1;
        return 0;
}

static int read_seconds(const char **position, char behind, double *ret) {
        const char *number;
        char *end;
        int r = read_number(position, ".0123456789", behind, &number);

        if (r < 0)
                return r;
        *ret = strtod(number, &end);
        return *end == behind ? 0 : -EBADMSG;
}

static int read_hour(const char **position, double *ret_seen, double *ret_used) {
        int r = read_seconds(position, ' ', ret_seen);

        if (r >= 0)
                r = read_seconds(position, '\n', ret_used);
        if (r < 0)
                return r;
        return *ret_seen >= 0 && *ret_seen <= SECONDS_MAX && *ret_used >= 0 && *ret_used <= *ret_seen ? 0 : -EBADMSG;
}

int week_import(Week *week, const void *data, size_t size) {
        const char *position = data, *number;
        Week read = { .faded = 0 };
        int r;

        /* One NUL, at the end: no parser runs beyond it. */
        if (size == 0 || size > WEEK_TEXT_SIZE || memchr(data, 0, size) != position + size - 1)
                return -EBADMSG;
        r = read_number(&position, "0123456789", '\n', &number);
        if (r < 0)
                return r;
        errno = 0;
        read.faded = strtoull(number, NULL, 10);
        if (errno != 0)
                return -EBADMSG;
        for (unsigned i = 0; i < WEEK_HOURS; i++) {
                r = read_hour(&position, &read.seen[i], &read.used[i]);
                if (r < 0)
                        return r;
        }
        if (*position)
                return -EBADMSG;
        *week = read;
        return 0;
}
