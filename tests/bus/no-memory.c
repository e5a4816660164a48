/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded into the daemon by test-unanswered.py: there is no memory for the answer to what a client asked of a plugin,
 * as long as the file that SNOOZE_NO_MEMORY names is there. What else the daemon answers, errors among it, does not
 * come by here. */

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

int sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **ret) {
        int (*next)(sd_bus_message *, sd_bus_message **) =
                (int (*)(sd_bus_message *, sd_bus_message **)) dlsym(RTLD_NEXT, __func__);
        const char *path = getenv("SNOOZE_NO_MEMORY");

        if (path && access(path, F_OK) == 0)
                return -ENOMEM;
        return next ? next(call, ret) : -ENOSYS;
}
