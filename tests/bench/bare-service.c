/* SPDX-License-Identifier: Apache-2.0 */

/* The least that answers CheckIdle on the bus: what plugins of the SDK are held against. bare-service NAME [SHARED];
 * for SHARED, which several may have in turn, it waits in the queue. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/names.h"

static int on_check(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(call, "ssa{sv}", "idle", "nothing to do", 0);
}

/* Answers first: whoever asked waits for the process's end, not for a time-out. */
static int on_quit(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        sd_bus *bus = sd_bus_message_get_bus(call);
        int r = sd_bus_reply_method_return(call, NULL);

        if (r >= 0)
                r = sd_event_exit(sd_bus_get_event(bus), 0);
        return r < 0 ? r : 1;
}

static int on_ready(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(call, NULL);
}

static int on_release(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        const char *shared = userdata;
        int r = sd_bus_release_name_async(sd_bus_message_get_bus(call), NULL, shared, NULL, NULL);

        return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

static int on_export(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const char state[1000];
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r = sd_bus_message_new_method_return(call, &reply);

        if (r >= 0)
                r = sd_bus_message_append_array(reply, 'y', state, sizeof(state));
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("CheckIdle", "a{sv}", "ssa{sv}", on_check, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Ready", NULL, NULL, on_ready, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Export", NULL, "ay", on_export, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Import", "ay", NULL, on_ready, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Release", NULL, NULL, on_release, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD("Quit", NULL, NULL, on_quit, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

static int run(const char *name, char *shared) {
        _cleanup_event_ sd_event *event = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        int r = sd_event_default(&event);

        if (r >= 0)
                r = sd_bus_open_system(&bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(bus, 1);
        if (r >= 0)
                r = sd_bus_add_object_vtable(bus, NULL, PLUGIN_PATH, IDLE_CHECK_INTERFACE, vtable, shared);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0 && shared)
                r = sd_bus_request_name(bus, shared, SD_BUS_NAME_QUEUE);
        if (r >= 0)
                r = sd_bus_request_name(bus, name, 0);
        return r < 0 ? r : sd_event_loop(event);
}

int main(int argc, char **argv) {
        return (argc == 2 || argc == 3) && run(argv[1], argv[2]) >= 0 ? 0 : 1;
}
