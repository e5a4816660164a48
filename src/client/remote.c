/* SPDX-License-Identifier: Apache-2.0 */

/* The system bus of another machine, as systemctl -H reaches it: ssh runs systemd-stdio-bridge there, which passes on
 * what is said between its standard input and output and the bus. Who is asked for there is who ssh logs in as. */

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/client.h"

#define PORT_DIGITS_MAX 5U

gboolean snooze_client_host_is_valid(const char *host) {
        /* ssh would take the first for an option, and nobody can have meant the others. */
        if (!*host || *host == '-' || strlen(host) > 255 + 1 + 255 || strstr(host, "@-") ||
            g_str_has_suffix(host, "@"))
                return FALSE;
        for (const char *p = host; *p; p++)
                if (!g_ascii_isgraph(*p))
                        return FALSE;
        return TRUE;
}

/* An address of IPv6 has more than one colon, and no port here. */
void snooze_client_split_host(const char *host, char **ret_name, char **ret_port) {
        const char *colon = strchr(host, ':');
        gsize digits = colon ? strspn(colon + 1, "0123456789") : 0;
        gboolean port = digits > 0 && digits <= PORT_DIGITS_MAX && colon > host && !colon[1 + digits];

        *ret_name = port ? g_strndup(host, (gsize) (colon - host)) : g_strdup(host);
        *ret_port = port ? g_strdup(colon + 1) : NULL;
}

/* ssh, with both ends of its talk on one socket; ours comes back. */
static int start_ssh(const char *host, GError **error) {
        g_autoptr(GSubprocessLauncher) launcher = g_subprocess_launcher_new(G_SUBPROCESS_FLAGS_NONE);
        g_autoptr(GSubprocess) ssh = NULL;
        g_autoptr(GPtrArray) argv = g_ptr_array_new();
        g_autofree char *name = NULL, *port = NULL;
        int ends[2], other;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
                g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "there is no socket to be had");
                return -1;
        }
        other = dup(ends[1]);
        g_subprocess_launcher_take_stdin_fd(launcher, ends[1]);
        if (other >= 0)
                g_subprocess_launcher_take_stdout_fd(launcher, other);

        snooze_client_split_host(host, &name, &port);
        g_ptr_array_add(argv, (char *) "ssh");
        g_ptr_array_add(argv, (char *) "-xT");
        if (port) {
                g_ptr_array_add(argv, (char *) "-p");
                g_ptr_array_add(argv, port);
        }
        g_ptr_array_add(argv, (char *) "--");
        g_ptr_array_add(argv, name);
        g_ptr_array_add(argv, (char *) "systemd-stdio-bridge");
        g_ptr_array_add(argv, NULL);
        ssh = other >= 0 ? g_subprocess_launcher_spawnv(launcher, (const char *const *) argv->pdata, error) : NULL;
        /* What the launcher still has open would keep our end from hearing that ssh has ended. */
        g_subprocess_launcher_close(launcher);
        if (!ssh) {
                if (other < 0)
                        g_set_error_literal(error, G_IO_ERROR, G_IO_ERROR_FAILED, "there is no descriptor to be had");
                (void) close(ends[0]);
                return -1;
        }
        return ends[0];
}

GDBusConnection *snooze_client_open_remote_bus(const char *host, GError **error) {
        g_autoptr(GSocket) socket = NULL;
        g_autoptr(GSocketConnection) stream = NULL;
        g_autoptr(GError) failure = NULL;
        GDBusConnection *bus = NULL;
        int fd;

        fd = start_ssh(host, &failure);
        socket = fd >= 0 ? g_socket_new_from_fd(fd, &failure) : NULL;
        if (fd >= 0 && !socket)
                (void) close(fd);
        if (socket) {
                stream = g_socket_connection_factory_create_connection(socket);
                bus = g_dbus_connection_new_sync(G_IO_STREAM(stream), NULL,
                                                 G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                         G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                                 NULL, NULL, &failure);
        }
        if (!bus)
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED,
                            "ssh brought no bus of %s (%s); it needs systemd-stdio-bridge there", host,
                            failure->message);
        return bus;
}
