/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what a plugin answers to OpenChannel: the first says which types, the second which descriptor, where
 * one is among them. Either it is refused with a sentence, or it is a connected stream socket that this plugin made.
 */

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "daemon/plugin/channel.h"
#include "daemon/answer/reply.h"
#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef enum Kind {
        KIND_STREAM,
        KIND_CLOSED,  /* the same, whose other end is gone */
        KIND_SHUT,    /* … or says that it sends no more */
        KIND_DATAGRAM,
        KIND_PACKETS,
        KIND_LISTENING,
        KIND_UNCONNECTED,
        KIND_INTERNET,
        KIND_PIPE,
        KIND_FILE,
        KIND_DIRECTORY,
        KIND_COUNT,
} Kind;

static int socket_pair(int type, int *other) {
        int fds[2];

        g_assert_cmpint(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), ==, 0);
        *other = fds[1];
        return fds[0];
}

static int listening(void) {
        /* Without a name the kernel gives one. */
        const struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        g_assert_cmpint(bind(fd, (const struct sockaddr *) &address, sizeof(address.sun_family)), ==, 0);
        g_assert_cmpint(listen(fd, 1), ==, 0);
        return fd;
}

static int make(Kind kind, int *other) {
        int fds[2], fd;

        *other = -EBADF;
        switch (kind) {
        case KIND_STREAM:
                return socket_pair(SOCK_STREAM, other);
        case KIND_CLOSED:
                fd = socket_pair(SOCK_STREAM, other);
                *other = (close(*other), -EBADF);
                return fd;
        case KIND_SHUT:
                fd = socket_pair(SOCK_STREAM, other);
                g_assert_cmpint(shutdown(*other, SHUT_WR), ==, 0);
                return fd;
        case KIND_DATAGRAM:
                return socket_pair(SOCK_DGRAM, other);
        case KIND_PACKETS:
                return socket_pair(SOCK_SEQPACKET, other);
        case KIND_LISTENING:
                return listening();
        case KIND_UNCONNECTED:
                return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        case KIND_INTERNET:
                return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        case KIND_PIPE:
                g_assert_cmpint(pipe2(fds, O_CLOEXEC), ==, 0);
                *other = fds[1];
                return fds[0];
        case KIND_FILE:
                return open("/dev/null", O_RDWR | O_CLOEXEC);
        default:
                return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
}

static void on_leaving(void *userdata) {
}

static void on_broken(const char *reason, void *userdata) {
        g_assert_cmpint(*reason, !=, '\0');
        (*(unsigned *) userdata)++;
}

static sd_bus_message *answer(const char *signature, int fd, Input *input) {
        _cleanup_bus_message_ sd_bus_message *m = message_empty();

        for (const char *type = signature; *type; type++) {
                char one[] = { *type, 0 };
                int r = *type == 'h' ? sd_bus_message_append_basic(m, 'h', &fd) : message_append(m, one, input);

                if (r < 0)
                        return NULL;
        }
        g_assert_cmpint(sd_bus_message_seal(m, 1, 0), >=, 0);
        g_assert_cmpint(sd_bus_message_rewind(m, true), >=, 0);
        return steal(m);
}

/* The plugin's process, or what is taken for it. */
static void try_socket(int fd, Kind kind, pid_t pid) {
        static const ChannelHooks hooks = { .leaving = on_leaving, .broken = on_broken };
        static sd_event *event;
        g_autofree char *problem = NULL;
        Channel *channel = NULL;
        unsigned broken = 0;
        int r;

        if (!event)
                g_assert_cmpint(sd_event_new(&event), >=, 0);
        r = channel_new(event, fd, pid, false, UINT64_MAX, &hooks, &broken, &channel, &problem);
        if (r < 0) {
                g_assert_null(channel);
                g_assert_cmpint(*problem, !=, '\0');
                g_assert_false(kind == KIND_STREAM && (pid == 0 || pid == getpid()));
                return;
        }
        g_assert_cmpint(kind, <=, KIND_SHUT);
        g_assert_true(pid == 0 || pid == getpid());
        /* Of whom the other end is gone, that is found out. */
        for (unsigned turns = 0; kind != KIND_STREAM && broken == 0; turns++) {
                g_assert_cmpuint(turns, <, 1000);
                g_assert_cmpint(sd_event_run(event, 1000000), >=, 0);
        }
        g_assert_cmpuint(broken, <=, 1);
        channel_free(channel);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const signatures[] = { "h", "hs", "hh", "s", "v", "u", "", "sh", "o" };
        Input input = { data, size, NULL };
        const char *signature = signatures[input_take(&input) % G_N_ELEMENTS(signatures)];
        Kind kind = input_take(&input) % KIND_COUNT;
        /* 0: without systemd nobody says which process it is. Another: process 1, or whatever comes. */
        uint8_t who = input_take(&input) % 4;
        pid_t pid = who == 0   ? 0
                    : who == 1 ? 1
                    : who == 2 ? getpid()
                               : (pid_t) (input_take_number(&input) % INT32_MAX);
        _cleanup_bus_message_ sd_bus_message *m = NULL;
        _cleanup_close_ int fd, other = -EBADF;
        g_autofree char *problem = NULL;
        int given;

        fd = make(kind, &other);
        g_assert_cmpint(fd, >=, 0);
        m = answer(signature, fd, &input);
        if (!m)
                return 0;
        if (reply_read_descriptor(m, &given, &problem) < 0) {
                g_assert_cmpint(*signature, !=, 'h');
                g_assert_cmpint(*problem, !=, '\0');
                return 0;
        }
        g_assert_cmpint(*signature, ==, 'h');
        try_socket(given, kind, pid);
        return 0;
}
