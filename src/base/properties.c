/* SPDX-License-Identifier: Apache-2.0 */

#include "base/properties.h"

int properties_read(sd_bus_message *message, PropertyReader read, void *userdata) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(message, 'a', "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
                r = sd_bus_message_read_basic(message, 's', &name);
                if (r >= 0)
                        r = read(message, name, userdata);
                if (r >= 0)
                        r = sd_bus_message_exit_container(message);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : sd_bus_message_exit_container(message);
}
