/* SPDX-License-Identifier: Apache-2.0 */

#include "base/process-stat.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
        FIELD_PARENT = 4,
        FIELD_GROUP = 5,
        FIELD_TERMINAL = 7,
        FIELD_FOREGROUND = 8,
        FIELD_MAJOR_FAULTS = 12,
        FIELD_USER_TIME = 14,
        FIELD_SYSTEM_TIME = 15,
        FIELD_CHILDREN_USER_TIME = 16,
        FIELD_CHILDREN_SYSTEM_TIME = 17,
        FIELD_THREADS = 20,
        FIELD_START = 22,
        FIELD_BLOCKED = 42,
        FIELD_COUNT = 43,
};

/* Those that are of use and are never less than nothing. No counter of a real kernel comes near the bound; sums have
 * to fit. */
static const int counters[] = { FIELD_PARENT,      FIELD_MAJOR_FAULTS,       FIELD_USER_TIME,
                                FIELD_SYSTEM_TIME, FIELD_CHILDREN_USER_TIME, FIELD_CHILDREN_SYSTEM_TIME,
                                FIELD_THREADS,     FIELD_START };

static int read_fields(const char *p, long long *fields) {
        char *end;

        for (int i = FIELD_PARENT; i < FIELD_COUNT; i++) {
                errno = 0;
                fields[i] = strtoll(p, &end, 10);
                /* Older kernels end earlier, but not before the start time; some behind it have no sign and fill 64
                 * bits. */
                if (i <= FIELD_START && (end == p || errno != 0))
                        return -EBADMSG;
                if (end == p)
                        break;
                p = end;
        }
        for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
                if (fields[counters[i]] < 0 || fields[counters[i]] > LLONG_MAX / 8)
                        return -EBADMSG;
        return fields[FIELD_PARENT] > INT_MAX ? -EBADMSG : 0;
}

static uint64_t ticks_to_usec(long long value, long ticks) {
        return (uint64_t) ((double) value * 1e6 / (double) ticks);
}

int process_stat_parse(const char *line, long ticks, ProcessStat *ret) {
        /* A name may hold blanks and brackets: it ends at the last one. */
        const char *open = strchr(line, '('), *close = strrchr(line, ')');
        long long fields[FIELD_COUNT] = { 0 };
        size_t length;
        char *end;
        long pid;

        errno = 0;
        pid = strtol(line, &end, 10);
        if (errno != 0 || pid <= 0 || pid > INT_MAX || ticks <= 0 || !open || !close || close < open ||
            close[1] != ' ' || !isalpha((unsigned char) close[2]) || read_fields(close + 3, fields) < 0)
                return -EBADMSG;
        *ret = (ProcessStat){
                .pid = (pid_t) pid,
                .parent = (pid_t) fields[FIELD_PARENT],
                .group = (pid_t) fields[FIELD_GROUP],
                .foreground = (pid_t) fields[FIELD_FOREGROUND],
                .state = close[2],
                .terminal = (uint32_t) fields[FIELD_TERMINAL],
                .major_faults = (uint64_t) fields[FIELD_MAJOR_FAULTS],
                .cpu = ticks_to_usec(fields[FIELD_USER_TIME] + fields[FIELD_SYSTEM_TIME], ticks),
                .children_cpu =
                        ticks_to_usec(fields[FIELD_CHILDREN_USER_TIME] + fields[FIELD_CHILDREN_SYSTEM_TIME], ticks),
                .threads = (uint64_t) fields[FIELD_THREADS],
                .started = ticks_to_usec(fields[FIELD_START], ticks),
                .blocked_ticks = fields[FIELD_BLOCKED] > 0 ? (uint64_t) fields[FIELD_BLOCKED] : 0,
        };
        length = (size_t) (close - open - 1);
        memcpy(ret->name, open + 1, length < sizeof(ret->name) ? length : sizeof(ret->name) - 1);
        return 0;
}

ssize_t process_file_read(int folder, const char *name, char *text, size_t size) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, text, size - 1);
        if (n < 0)
                return -errno;
        text[n] = 0;
        return n;
}

int process_stat_read(int folder, long ticks, ProcessStat *ret) {
        char line[PROCESS_STAT_MAX];
        ssize_t n = process_file_read(folder, "stat", line, sizeof(line));

        return n < 0 ? (int) n : process_stat_parse(line, ticks, ret);
}
