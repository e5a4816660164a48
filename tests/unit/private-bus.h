/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A bus of the test's own, and connections to it that all live on one loop: service, client and whatever the service
 * asks are then one process, and every step of a race can be ordered. The bus ends with the test, however that ends: a
 * dbus-daemon that is left behind keeps the test's output open, and who reads that waits for ever. */

#include <fcntl.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/cleanup.h"

typedef struct PrivateBus {
        pid_t daemon;
        char *directory; /* its configuration and its socket */
        char *address;
        sd_event *event;
} PrivateBus;

static inline void private_bus_configure(PrivateBus *bus, const char *services) {
        g_autofree char *path = NULL, *text = NULL;
        g_autofree char *activation =
                services ? g_strdup_printf("<servicedir>%s</servicedir>", services) : g_strdup("");
        g_autoptr(GError) error = NULL;

        bus->directory = g_dir_make_tmp("snooze-private-bus-XXXXXX", &error);
        g_assert_no_error(error);
        path = g_build_filename(bus->directory, "bus.conf", NULL);
        text = g_strdup_printf(
                "<busconfig><type>session</type><listen>unix:path=%s/bus</listen>%s<policy context=\"default\">"
                "<allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/><allow "
                "receive_sender=\"*\"/></policy>"
                "</busconfig>",
                bus->directory, activation);
        g_file_set_contents(path, text, -1, &error);
        g_assert_no_error(error);
}

/* Never returns. Between fork and exec: nothing that another thread may have locked. */
static inline void private_bus_run(const char *configuration, const char *print, int address, pid_t parent) {
        if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent || fcntl(address, F_SETFD, 0) < 0)
                _exit(1);
        execlp("dbus-daemon", "dbus-daemon", "--nofork", "--nopidfile", configuration, print, (char *) NULL);
        _exit(127);
}

static inline void private_bus_read_address(PrivateBus *bus, int fd) {
        char text[1024] = "";
        size_t length = 0;
        ssize_t n;

        while (!memchr(text, '\n', length) && (n = read(fd, text + length, sizeof(text) - 1 - length)) > 0)
                length += (size_t) n;
        g_assert_nonnull(memchr(text, '\n', length));
        bus->address = g_strndup(text, strcspn(text, "\n"));
}

/* services: what it may activate, or NULL. */
static inline void private_bus_up_with(PrivateBus *bus, const char *services) {
        g_autofree char *configuration = NULL, *print = NULL;
        pid_t parent = getpid();
        int fds[2];

        private_bus_configure(bus, services);
        g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
        configuration = g_strdup_printf("--config-file=%s/bus.conf", bus->directory);
        print = g_strdup_printf("--print-address=%d", fds[1]);
        bus->daemon = fork();
        g_assert_cmpint(bus->daemon, >=, 0);
        if (bus->daemon == 0)
                private_bus_run(configuration, print, fds[1], parent);
        (void) close(fds[1]);
        private_bus_read_address(bus, fds[0]);
        (void) close(fds[0]);
        g_assert_cmpint(sd_event_new(&bus->event), >=, 0);
}

static inline void private_bus_up(PrivateBus *bus) {
        private_bus_up_with(bus, NULL);
}

static inline void private_bus_remove(const PrivateBus *bus, const char *name) {
        g_autofree char *path = g_build_filename(bus->directory, name, NULL);

        (void) g_unlink(path);
}

static inline void private_bus_down(PrivateBus *bus) {
        sd_event_unref(bus->event);
        (void) kill(bus->daemon, SIGTERM);
        g_assert_cmpint(waitpid(bus->daemon, NULL, 0), ==, bus->daemon);
        private_bus_remove(bus, "bus");
        private_bus_remove(bus, "bus.conf");
        g_assert_cmpint(g_rmdir(bus->directory), ==, 0);
        g_free(bus->directory);
        g_free(bus->address);
}

static inline sd_bus *private_bus_connect(PrivateBus *bus) {
        sd_bus *connection = NULL;

        g_assert_cmpint(sd_bus_new(&connection), >=, 0);
        g_assert_cmpint(sd_bus_set_address(connection, bus->address), >=, 0);
        g_assert_cmpint(sd_bus_set_bus_client(connection, 1), >=, 0);
        g_assert_cmpint(sd_bus_start(connection), >=, 0);
        g_assert_cmpint(sd_bus_attach_event(connection, bus->event, SD_EVENT_PRIORITY_NORMAL), >=, 0);
        return connection;
}

/* Runs the loop until the condition holds; a test that waits for what never comes fails instead of hanging. */
#define run_until(loop, condition)                                                                                    \
        while (!(condition))                                                                                          \
        g_assert_cmpint(sd_event_run((loop), 20 * UINT64_C(1000000)), >, 0)
