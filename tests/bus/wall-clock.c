/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded before the daemon's libraries: somebody set the wall clock by as many seconds as the file WALL_CLOCK says. */

#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long seconds_off(void) {
        const char *path = getenv("WALL_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        char text[32] = "";

        if (fd < 0)
                return 0;
        if (read(fd, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
        close(fd);
        return strtol(text, NULL, 10);
}

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int (*real)(clockid_t clock, struct timespec *ret);
        int r;

        *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
        r = real(clock, ret);
        if (r == 0 && clock == CLOCK_REALTIME)
                ret->tv_sec += seconds_off();
        return r;
}
