/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A bus of the test's own, and connections to it that all live on one loop: service, client and whatever the service
 * asks are then one process, and every step of a race can be ordered. */

#include <gio/gio.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"

typedef struct PrivateBus {
        GTestDBus *daemon;
        sd_event *event;
} PrivateBus;

static inline void private_bus_up(PrivateBus *bus) {
        bus->daemon = g_test_dbus_new(G_TEST_DBUS_NONE);
        g_test_dbus_up(bus->daemon);
        g_assert_cmpint(sd_event_new(&bus->event), >=, 0);
}

static inline void private_bus_down(PrivateBus *bus) {
        sd_event_unref(bus->event);
        g_test_dbus_stop(bus->daemon);
        g_object_unref(bus->daemon);
}

static inline sd_bus *private_bus_connect(PrivateBus *bus) {
        sd_bus *connection = NULL;

        g_assert_cmpint(sd_bus_new(&connection), >=, 0);
        g_assert_cmpint(sd_bus_set_address(connection, g_test_dbus_get_bus_address(bus->daemon)), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(connection, 1), >=, 0);
        g_assert_cmpint(sd_bus_start(connection), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(connection, bus->event, SD_EVENT_PRIORITY_NORMAL), >=, 0);
        return connection;
}

/* Runs the loop until the condition holds; a test that waits for what never comes fails instead of hanging. */
#define run_until(loop, condition)                                                                                    \
        while (!(condition))                                                                                          \
        g_assert_cmpint(sd_event_run((loop), 20 * UINT64_C(1000000)), >, 0)
