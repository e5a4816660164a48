/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded before the daemon's libraries: its clocks go as two files say, once they are there. LATER: how many seconds
 * later it is on the clocks that count from boot, two hours where none stand in it. WALL_CLOCK: by how many seconds
 * somebody set the wall clock. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LATER_SECONDS 7200

static long seconds_of(const char *variable, long otherwise) {
        const char *path = getenv(variable);
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        char text[32] = "";

        if (fd < 0)
                return 0;
        if (read(fd, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
        close(fd);
        return text[0] ? strtol(text, NULL, 10) : otherwise;
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int (*real)(clockid_t clock, struct timespec *ret);
        int r;

        *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
        r = real(clock, ret);
        if (r == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME))
                ret->tv_sec += seconds_of("LATER", LATER_SECONDS);
        else if (r == 0 && clock == CLOCK_REALTIME)
                ret->tv_sec += seconds_of("WALL_CLOCK", 0);
        return r;
}
