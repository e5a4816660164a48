/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A connection to make messages of, at whose other end nobody is. */

#include <sys/socket.h>

#include <glib.h>
#include <systemd/sd-bus.h>

/* The caller closes *ret_peer behind the connection. */
static inline sd_bus *loose_bus(int *ret_peer) {
        sd_bus *bus = NULL;
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
        g_assert_cmpint(sd_bus_new(&bus), >=, 0);
        g_assert_cmpint(sd_bus_set_fd(bus, fds[0], fds[0]), >=, 0);
        g_assert_cmpint(sd_bus_start(bus), >=, 0);
        *ret_peer = fds[1];
        return bus;
}
