/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded before the daemon's libraries: from when the file LATER is there, it is two hours later than before, on the
 * clocks that count from boot. */

#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SECONDS 7200

int clock_gettime(clockid_t clock, struct timespec *ret) {
        int (*real)(clockid_t clock, struct timespec *ret);
        const char *gate = getenv("LATER");
        int r;

        *(void **) &real = dlsym(RTLD_NEXT, "clock_gettime");
        r = real(clock, ret);
        if (r == 0 && gate && (clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME) && access(gate, F_OK) == 0)
                ret->tv_sec += SECONDS;
        return r;
}
