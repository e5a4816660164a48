/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"

/* Messages that nobody asked for: so many within so long are no mistake. */
#define STRAYS_MAX 128U
#define STRAYS_WINDOW (10 * USEC_PER_SEC)

struct Channel {
        sd_bus *bus;
        sd_bus_slot *filter;
        const ChannelHooks *hooks;
        void *userdata;
        uint64_t window;  /* when it began */
        unsigned strays;  /* in it */
};

static void count_stray(Channel *channel) {
        uint64_t now = clock_monotonic();

        if (usec_sub(now, channel->window) > STRAYS_WINDOW) {
                channel->window = now;
                channel->strays = 0;
        }
        if (++channel->strays == STRAYS_MAX)
                channel->hooks->broken("floods its channel with what nobody asked for", channel->userdata);
}

/* What is no answer to a call under way ends here, and the news that the connection is closed. No object is served on this
 * connection; that a call gets no answer is all that its sender learns. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Channel *channel = userdata;

        if (sd_bus_is_open(channel->bus) <= 0)
                channel->hooks->broken("closed its channel", channel->userdata);
        else if (sd_bus_message_is_signal(message, PLUGIN_INTERFACE, "Leaving"))
                channel->hooks->leaving(channel->userdata);
        else
                count_stray(channel);
        return 1;
}

/* A plugin could hand over any descriptor that it has: a socket that is somebody else's service would be talked to in our name. */
static const char *socket_problem(int fd, pid_t pid) {
        int domain = 0, type = 0, listening = 0;
        socklen_t n = sizeof(int);
        struct ucred peer;

        if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 || domain != AF_UNIX ||
            getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM ||
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &n) < 0 || listening)
                return "is no connected stream socket of the family AF_UNIX";
        n = sizeof(peer);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0 || (pid > 0 && peer.pid != pid))
                return "is a socket that another process made";
        return NULL;
}

static int connect_bus(Channel *channel, sd_event *event, int fd, bool descriptors) {
        _cleanup_close_ int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        int r;

        if (own < 0)
                return -errno;
        r = sd_bus_new(&channel->bus);
        if (r < 0)
                return r;
        r = sd_bus_set_fd(channel->bus, own, own);
        if (r < 0)
                return r;
        (void) steal_fd(&own);
        r = sd_bus_negotiate_fds(channel->bus, descriptors);
        if (r < 0)
                return r;
        r = sd_bus_add_filter(channel->bus, &channel->filter, on_message, channel);
        if (r < 0)
                return r;
        r = sd_bus_start(channel->bus);
        if (r < 0)
                return r;
        return sd_bus_attach_event(channel->bus, event, SD_EVENT_PRIORITY_NORMAL);
}

int channel_new(sd_event *event, int fd, pid_t pid, bool descriptors, const ChannelHooks *hooks, void *userdata, Channel **ret,
                char **ret_problem) {
        const char *problem = socket_problem(fd, pid);
        Channel *channel;
        int r;

        if (problem) {
                *ret_problem = g_strdup(problem);
                return -EBADF;
        }
        channel = g_new0(Channel, 1);
        channel->hooks = hooks;
        channel->userdata = userdata;
        r = connect_bus(channel, event, fd, descriptors);
        if (r < 0) {
                channel_free(channel);
                *ret_problem = g_strdup_printf("cannot be connected: %s", g_strerror(-r));
                return r;
        }
        *ret = channel;
        return 0;
}

/* Not flushed: that would wait for the plugin. */
Channel *channel_free(Channel *channel) {
        if (!channel)
                return NULL;
        sd_bus_slot_unref(channel->filter);
        sd_bus_close_unref(channel->bus);
        g_free(channel);
        return NULL;
}

sd_bus *channel_bus(const Channel *channel) {
        return channel->bus;
}
