/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ownership made visible: a local that owns something says so with one of these, and steal() marks where it changes
 * hands. systemd's own types have no cleanup functions in their public headers, hence the few below. */

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

/* Owned until the end of its scope, and not otherwise looked at: clang does not count the cleanup as a use. */
#define _unused_ __attribute__((__unused__))

#define _cleanup_(function) __attribute__((__cleanup__(function)))

#define steal(pointer)                                     \
        ({                                                 \
                __typeof__(pointer) *_location = &(pointer); \
                __typeof__(pointer) _value = *_location;     \
                *_location = NULL;                         \
                _value;                                    \
        })

#define DEFINE_CLEANUP(type, function)                     \
        static inline void function##p(type **location) {  \
                if (*location)                             \
                        function(*location);               \
        }

/* Closes, keeps errno, and returns -EBADF, so that `fd = safe_close(fd)` leaves nothing dangling. */
static inline int safe_close(int fd) {
        if (fd >= 0)
                (void) close(fd);
        return -9;
}

static inline int steal_fd(int *fd) {
        int value = *fd;

        *fd = -9;
        return value;
}

static inline void freep(void *location) {
        free(*(void **) location);
}

static inline void closep(int *fd) {
        (void) safe_close(*fd);
}

DEFINE_CLEANUP(FILE, fclose)
DEFINE_CLEANUP(DIR, closedir)

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_bus_ _cleanup_(sd_bus_flush_close_unrefp)
#define _cleanup_bus_message_ _cleanup_(sd_bus_message_unrefp)
#define _cleanup_bus_error_ _cleanup_(sd_bus_error_free)
#define _cleanup_bus_slot_ _cleanup_(sd_bus_slot_unrefp)
#define _cleanup_bus_creds_ _cleanup_(sd_bus_creds_unrefp)
#define _cleanup_event_ _cleanup_(sd_event_unrefp)
#define _cleanup_event_source_ _cleanup_(sd_event_source_disable_unrefp)
