/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/allowance.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* A sanitizer's allocator takes the kernel's no for the end of the world. */
#ifdef __SANITIZE_ADDRESS__
#define ALLOWANCE_ENFORCED false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ALLOWANCE_ENFORCED false
#endif
#endif
#ifndef ALLOWANCE_ENFORCED
#define ALLOWANCE_ENFORCED true
#endif

/* What the kernel counts belongs to the process, and so does what is known of it. This is done twice for each call of
 * a plugin, so the upper limit is asked for once. */
static bool narrow;
static struct rlimit limit;

/* To ask costs as much as a tenth of a call, so the answer counts for a moment: too short for the daemon to take as
 * much as a message may have. */
#define MEASURED_FOR USEC_PER_MSEC

static uint64_t measured, measured_at;
static bool guessed; /* narrowed by what was measured before */

/* The last but one of seven numbers (proc(5)); NULL: it is not there. */
static const char *sixth_number(const char *text) {
        for (unsigned i = 0; i < 5 && text; i++) {
                text = strchr(text, ' ');
                text = text ? text + 1 : NULL;
        }
        return text;
}

/* What RLIMIT_DATA is about, and the stack besides. 0: not to be told. */
static uint64_t data_in_use(void) {
        static int fd = -1;
        const char *number;
        char text[128];
        ssize_t n;

        if (fd < 0)
                fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
        if (n <= 0)
                return 0;
        text[n] = '\0';
        number = sixth_number(text);
        return number ? strtoul(number, NULL, 10) * (uint64_t) sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t measure(void) {
        uint64_t now = clock_monotonic();

        guessed = measured > 0 && now - measured_at < MEASURED_FOR;
        if (!guessed) {
                measured = data_in_use();
                measured_at = now;
        }
        return measured;
}

bool allowance_was_guessed(void) {
        measured = 0;
        return guessed;
}

void allowance_narrow(uint64_t more) {
        uint64_t used;

        if (!ALLOWANCE_ENFORCED || narrow)
                return;
        used = measure();
        if (used == 0 || (limit.rlim_max == 0 && getrlimit(RLIMIT_DATA, &limit) < 0))
                return;
        limit.rlim_cur = MIN(used + more, limit.rlim_max / 2);
        narrow = setrlimit(RLIMIT_DATA, &limit) >= 0;
}

void allowance_widen(void) {
        if (!narrow)
                return;
        limit.rlim_cur = limit.rlim_max;
        narrow = setrlimit(RLIMIT_DATA, &limit) < 0;
}
