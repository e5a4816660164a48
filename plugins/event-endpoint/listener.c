/* SPDX-License-Identifier: Apache-2.0 */

#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

#define BACKLOG 64
#define SOCKET_MODE 0660

struct Listener {
        int fd;
        char *path; /* of the file system */
        ino_t inode;
};

typedef union Address {
        struct sockaddr any;
        struct sockaddr_in four;
        struct sockaddr_in6 six;
        struct sockaddr_un local;
} Address;

static gboolean read_port(const char *text, in_port_t *ret) {
        guint64 port;

        if (!g_ascii_string_to_unsigned(text, 10, 1, 65535, &port, NULL))
                return FALSE;
        *ret = htons((uint16_t) port);
        return TRUE;
}

/* -> its size, 0: none. */
static socklen_t read_address(const char *where, Address *ret) {
        *ret = (Address){ .any.sa_family = AF_UNSPEC };
        if (g_str_has_prefix(where, "127.0.0.1:")) {
                ret->four = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
                return read_port(where + strlen("127.0.0.1:"), &ret->four.sin_port) ? sizeof(ret->four) : 0;
        }
        if (g_str_has_prefix(where, "[::1]:")) {
                ret->six = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
                return read_port(where + strlen("[::1]:"), &ret->six.sin6_port) ? sizeof(ret->six) : 0;
        }
        return 0;
}

gboolean listen_valid(const char *where, GError **error) {
        Address address;

        if (g_str_equal(where, LISTEN_UNIX) || read_address(where, &address) > 0)
                return TRUE;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "expected %s, 127.0.0.1:PORT or [::1]:PORT", LISTEN_UNIX);
        return FALSE;
}

static Listener *failed(Listener *listener, const char *what, const char *where, GError **error) {
        int problem = errno;

        g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(problem), "%s %s: %s", what, where,
                    g_strerror(problem));
        listener_free(listener);
        return NULL;
}

static Listener *open_port(const char *where, GError **error) {
        Listener *listener = g_new0(Listener, 1);
        Address address;
        socklen_t size = read_address(where, &address);
        int one = 1;

        listener->fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        /* The kernel lets the same user's sockets alone share a port. */
        if (listener->fd < 0 || setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
            setsockopt(listener->fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
            bind(listener->fd, &address.any, size) < 0 || listen(listener->fd, BACKLOG) < 0)
                return failed(listener, "Cannot listen on", where, error);
        return listener;
}

/* Under another name first: whoever connects finds the old socket or the new one, ready. */
static Listener *open_local(const char *directory, GError **error) {
        Address address = { .local.sun_family = AF_UNIX };
        Listener *listener = g_new0(Listener, 1);
        g_autofree char *passing = g_strdup_printf("%s/.socket.%d", directory, (int) getpid());
        struct stat st;

        listener->fd = -EBADF;
        listener->path = g_build_filename(directory, "socket", NULL);
        if (g_strlcpy(address.local.sun_path, passing, sizeof(address.local.sun_path)) >=
            sizeof(address.local.sun_path)) {
                errno = ENAMETOOLONG;
                return failed(listener, "Cannot listen on", passing, error);
        }
        (void) unlink(passing);
        listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (listener->fd < 0 || bind(listener->fd, &address.any, sizeof(address.local)) < 0 ||
            chmod(passing, SOCKET_MODE) < 0 || listen(listener->fd, BACKLOG) < 0 || stat(passing, &st) < 0 ||
            rename(passing, listener->path) < 0) {
                int problem = errno;

                (void) unlink(passing);
                errno = problem;
                return failed(listener, "Cannot listen on", listener->path, error);
        }
        listener->inode = st.st_ino;
        return listener;
}

Listener *listener_open(const char *where, const char *directory, GError **error) {
        return g_str_equal(where, LISTEN_UNIX) ? open_local(directory, error) : open_port(where, error);
}

int listener_take_fd(Listener *listener) {
        return steal_fd(&listener->fd);
}

void listener_free(Listener *listener) {
        struct stat st;

        if (!listener)
                return;
        if (listener->inode > 0 && stat(listener->path, &st) >= 0 && st.st_ino == listener->inode)
                (void) unlink(listener->path);
        (void) safe_close(listener->fd);
        g_free(listener->path);
        g_free(listener);
}
