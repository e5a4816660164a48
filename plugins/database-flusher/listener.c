/* SPDX-License-Identifier: Apache-2.0 */

#include "listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"

#define ANSWER_SECONDS 5
#define USER_BYTES 16384U

/* One end of a TCP connection, as the kernel writes both families. */
typedef struct End {
        __be32 address[4];
        __be16 port;
} End;

typedef struct Found {
        unsigned state;
        uid_t uid;
        gboolean owned; /* by a program: not one that waits to be accepted, or is gone */
} Found;

static gboolean user_is(uid_t uid, const char *user) {
        char text[USER_BYTES];
        struct passwd entry, *found = NULL;
        guint64 number;

        if (g_ascii_string_to_unsigned(user, 10, 0, G_MAXUINT32 - 1, &number, NULL))
                return uid == (uid_t) number;
        return getpwnam_r(user, &entry, text, sizeof(text), &found) == 0 && found && found->pw_uid == uid;
}

static gboolean refuse(GError **error, const char *const *users, const char *who) {
        g_autofree char *joined = g_strjoinv(" or ", (char **) users);

        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_ACCES,
                    "%s; the password is for one of root or %s alone (server_user)", who, joined);
        return FALSE;
}

static gboolean check_user(uid_t uid, const char *const *users, GError **error) {
        char who[64];

        if (uid == 0)
                return TRUE;
        for (const char *const *user = users; *user; user++)
                if (user_is(uid, *user))
                        return TRUE;
        (void) g_snprintf(who, sizeof(who), "a program of user %u listens there", (unsigned) uid);
        return refuse(error, users, who);
}

static gboolean fill(const struct sockaddr_storage *address, End *ret) {
        *ret = (End) { .port = 0 };
        if (address->ss_family == AF_INET) {
                const struct sockaddr_in *in = (const struct sockaddr_in *) address;

                ret->address[0] = in->sin_addr.s_addr;
                ret->port = in->sin_port;
                return TRUE;
        }
        if (address->ss_family == AF_INET6) {
                const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *) address;

                memcpy(ret->address, &in6->sin6_addr, sizeof(ret->address));
                ret->port = in6->sin6_port;
                return TRUE;
        }
        return FALSE;
}

/* IPv4 over a socket for IPv6 (::ffff:127.0.0.1): the kernel finds it where connections by IPv4 are, and the other
 * end's socket may be one for IPv4 indeed. */
static gboolean is_mapped(sa_family_t family, const End *end) {
        struct in6_addr address;

        memcpy(&address, end->address, sizeof(address));
        return family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address);
}

static void unmap(End *end) {
        *end = (End) { .address = { end->address[3] }, .port = end->port };
}

/* The socket that a packet from `other` to `own` goes to: the connection's, or else the one that listens. Asked of the
 * kernel by name and not looked up in its tables, which change while they are read. Returns 0, or -ENOENT: none. */
static int find_socket(sa_family_t family, const End *own, const End *other, Found *ret) {
        struct {
                struct nlmsghdr header;
                struct inet_diag_req_v2 request;
        } question = {
                .header = { .nlmsg_len = sizeof(question),
                            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                            .nlmsg_flags = NLM_F_REQUEST },
                .request = { .sdiag_family = (__u8) family,
                             .sdiag_protocol = IPPROTO_TCP,
                             .idiag_states = ~0U,
                             .id = { .idiag_sport = own->port,
                                     .idiag_dport = other->port,
                                     .idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE } } },
        };
        const struct timeval patience = { .tv_sec = ANSWER_SECONDS };
        const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
        union {
                struct nlmsghdr header;
                char bytes[8192];
        } answer;
        const struct inet_diag_msg *message = NLMSG_DATA(&answer.header);
        const struct nlmsgerr *problem = NLMSG_DATA(&answer.header);
        _cleanup_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        ssize_t n;

        memcpy(question.request.id.idiag_src, own->address, sizeof(own->address));
        memcpy(question.request.id.idiag_dst, other->address, sizeof(other->address));
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
            sendto(fd, &question, sizeof(question), 0, (const struct sockaddr *) &kernel, sizeof(kernel)) < 0)
                return -errno;
        n = recv(fd, &answer, sizeof(answer), 0);
        if (n < 0)
                return -errno;
        if (!NLMSG_OK(&answer.header, (unsigned) n))
                return -EBADMSG;
        if (answer.header.nlmsg_type == NLMSG_ERROR)
                return answer.header.nlmsg_len >= NLMSG_LENGTH(sizeof(*problem)) && problem->error < 0
                               ? problem->error
                               : -EBADMSG;
        if (answer.header.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
            answer.header.nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
                return -EBADMSG;
        *ret = (Found) { .state = message->idiag_state,
                         .uid = message->idiag_uid,
                         .owned = message->idiag_inode != 0 };
        return 0;
}

static gboolean fail(GError **error, int r) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED,
                    "the kernel does not tell who listens there (%s), and it gets no password (server_user)",
                    g_strerror(-r));
        return FALSE;
}

/* The connection's own socket, at the server's side. */
static int find_connection(sa_family_t family, const End *server, const End *own, Found *ret) {
        int r = find_socket(family, server, own, ret);

        /* What only listens may do so for every address, that of another machine among them. */
        return r >= 0 && (ret->state == TCP_LISTEN || ret->state == TCP_TIME_WAIT) ? -ENOENT : r;
}

/* Whoever accepts a connection owns it. As long as nobody has, it is the listener's, who may not be the one of the
 * next moment: where it still waits after that one was looked at, it is his who was seen. */
static gboolean check_connection(sa_family_t family, const End *server, const End *own, const char *const *users,
                                 GError **error) {
        Found connection, listener;
        int r = find_connection(family, server, own, &connection);

        if (r >= 0 && !connection.owned) {
                r = find_socket(family, server, &(const End) { .port = 0 }, &listener);
                if (r >= 0 && (listener.state != TCP_LISTEN || !listener.owned))
                        r = -ENOENT;
                if (r >= 0 && !check_user(listener.uid, users, error))
                        return FALSE;
                if (r >= 0)
                        r = find_connection(family, server, own, &connection);
        }
        if (r == -ENOENT)
                return refuse(error, users, "no program of this machine listens there");
        if (r < 0)
                return fail(error, r);
        return !connection.owned || check_user(connection.uid, users, error);
}

/* One without a path belongs to whoever was first. */
static gboolean check_unix(int fd, const struct sockaddr_un *address, socklen_t length, const char *const *users,
                           GError **error) {
        struct ucred peer;
        socklen_t size = sizeof(peer);

        if (length > offsetof(struct sockaddr_un, sun_path) && address->sun_path[0] != '\0')
                return TRUE;
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
                return fail(error, -errno);
        return check_user(peer.uid, users, error);
}

gboolean listener_check(int fd, const char *const *users, GError **error) {
        struct sockaddr_storage server_address = {}, own_address = {};
        socklen_t server_size = sizeof(server_address), own_size = sizeof(own_address);
        sa_family_t family;
        End server, own;

        if (g_strv_contains(users, LISTENER_ANYBODY))
                return TRUE;
        if (getpeername(fd, (struct sockaddr *) &server_address, &server_size) < 0 ||
            getsockname(fd, (struct sockaddr *) &own_address, &own_size) < 0)
                return fail(error, -errno);
        if (server_address.ss_family == AF_UNIX)
                return check_unix(fd, (const struct sockaddr_un *) &server_address, server_size, users, error);
        if (!fill(&server_address, &server) || !fill(&own_address, &own))
                return fail(error, -EAFNOSUPPORT);
        family = server_address.ss_family;
        if (is_mapped(family, &server) && is_mapped(own_address.ss_family, &own)) {
                unmap(&server);
                unmap(&own);
                family = AF_INET;
        }
        return check_connection(family, &server, &own, users, error);
}
