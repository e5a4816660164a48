/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded before the daemon's libraries: from when the file LATER is there, it is later than before on the clocks that
 * count from boot, by as many seconds as stand in it, and two hours where none do. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 7200

static long seconds_later(void) {
        const char *path = getenv("LATER");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        char text[32] = "";

        if (fd < 0)
                return 0;
        if (read(fd, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
        close(fd);
        return text[0] ? strtol(text, NULL, 10) : SECONDS;
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int (*real)(clockid_t clock, struct timespec *ret);
        int r;

        *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
        r = real(clock, ret);
        if (r == 0 && (clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME))
                ret->tv_sec += seconds_later();
        return r;
}
