/* SPDX-License-Identifier: Apache-2.0 */

/* Loaded into the daemon by test-unanswered.py: there is no memory for the answer to what a client asked of a plugin,
 * or for a diagnosis, as long as the file that SNOOZE_NO_MEMORY names is there; or whatever is wrong instead that it
 * has the number of. What else the daemon answers, errors among it, does not come by here. */

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <systemd/sd-bus.h>

int sd_bus_message_new_method_return(sd_bus_message *call, sd_bus_message **ret) {
        int (*next)(sd_bus_message *, sd_bus_message **) =
                (int (*)(sd_bus_message *, sd_bus_message **)) dlsym(RTLD_NEXT, __func__);
        const char *path = getenv("SNOOZE_NO_MEMORY");
        FILE *file = path ? fopen(path, "re") : NULL;
        int number = ENOMEM;

        if (file) {
                if (fscanf(file, "%d", &number) != 1)
                        number = ENOMEM;
                (void) fclose(file);
                return -number;
        }
        return next ? next(call, ret) : -ENOSYS;
}
