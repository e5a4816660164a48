/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "daemon/plugin/allowance.h"

/* Messages that are read before others have their turn. */
#define MESSAGES_AT_ONCE 64U

/* The largest message that a contract knows has 16 MiB (ProcessData); and what sd-bus needs besides. */
#define MESSAGE_ROOM (20U * 1024U * 1024U)

/* Messages that nobody asked for: so many within so long are no mistake. */
#define STRAYS_MAX 128U
#define STRAYS_WINDOW (10 * USEC_PER_SEC)

/* sd_bus_attach_event() would do, but not leave a connection alone for a while; and its three sources would be
 * prepared, for each plugin that there is, whenever the loop turns. */
struct Channel {
        sd_bus *bus;
        sd_bus_slot *filter;
        sd_event_source *input, *timer;
        int watched;        /* for which events, or why for none */
        uint64_t timer_set; /* for when; UINT64_MAX: it is off */
        uint64_t begin_by;
        bool leisurely;
        bool *freed;      /* where whoever is at work on it wants to know */
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

static bool is_announcement(sd_bus_message *message) {
        return sd_bus_message_is_signal(message, EVENT_SOURCE_INTERFACE, NULL) > 0;
}

/* What is no answer to a call under way ends here, and the news that the connection is closed. No object is served on
 * this connection; that a call gets no answer is all that its sender learns. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Channel *channel = userdata;

        allowance_widen();
        if (sd_bus_is_open(channel->bus) <= 0)
                channel->hooks->broken("closed its channel", channel->userdata);
        else if (sd_bus_message_is_signal(message, PLUGIN_INTERFACE, "Leaving"))
                channel->hooks->leaving(channel->userdata);
        else if (!is_announcement(message) || !channel->hooks->announced ||
                 !channel->hooks->announced(message, channel->userdata))
                count_stray(channel);
        return 1;
}

/* A plugin could hand over any descriptor that it has: a socket that is somebody else's service would be talked to in
 * our name. */
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

/* Before the two ends have greeted each other nothing is sent, and no call's deadline counts. */
static bool at_leisure(const Channel *channel) {
        return channel->leisurely && sd_bus_is_ready(channel->bus) > 0;
}

/* A connection that is closing is not ready either: what it has to tell yet is that, and not that nobody greets. */
static bool is_greeting(const Channel *channel) {
        return sd_bus_is_open(channel->bus) > 0 && sd_bus_is_ready(channel->bus) <= 0;
}

static void watch_input(Channel *channel) {
        int events = sd_bus_get_events(channel->bus), r;

        if (at_leisure(channel) && events > 0)
                events &= EPOLLOUT;
        if (events == channel->watched)
                return;
        if (events < 0)
                r = sd_event_source_set_enabled(channel->input, SD_EVENT_OFF);
        else
                /* 0: its end is still noticed. */
                r = sd_event_source_set_io_events(channel->input, (uint32_t) events);
        if (r >= 0 && events >= 0)
                r = sd_event_source_set_enabled(channel->input, SD_EVENT_ON);
        /* Else it is tried again when it is looked at next. */
        if (r >= 0)
                channel->watched = events;
}

/* A timer that is set stays set: nearly every call ends long before its deadline, and one look too many now and then
 * costs less than a timer set and unset with each. Whoever is at leisure comes back by itself, and looks then. */
static void watch_time(Channel *channel) {
        uint64_t when;

        if (sd_bus_get_timeout(channel->bus, &when) <= 0)
                when = UINT64_MAX;
        /* Until the other end has greeted no call's deadline counts, and sd-bus waits for a minute and a half. */
        if (is_greeting(channel))
                when = MIN(when, channel->begin_by);
        /* 0: there is something to be done at once, the news of its end for instance. */
        if (when >= channel->timer_set || (when > 0 && at_leisure(channel)))
                return;
        if (sd_event_source_set_time(channel->timer, when) >= 0 &&
            sd_event_source_set_enabled(channel->timer, SD_EVENT_ONESHOT) >= 0)
                channel->timer_set = when;
}

static void watch(Channel *channel) {
        watch_input(channel);
        watch_time(channel);
}

/* Something is to be expected, or lies there already; what comes unasked is noticed as input. */
static bool is_awaited(sd_bus *bus) {
        uint64_t when;

        return sd_bus_get_timeout(bus, &when) > 0 && when != UINT64_MAX;
}

/* What a message leads to may be the end of the channel. */
static void work(Channel *channel) {
        sd_bus *bus = sd_bus_ref(channel->bus);
        bool freed = false;
        int r = 1;

        channel->freed = &freed;
        for (unsigned i = 0; i < MESSAGES_AT_ONCE && r > 0 && !freed && (i == 0 || is_awaited(bus)); i++) {
                /* A message that is handled makes it wide again. */
                allowance_narrow(MESSAGE_ROOM);
                r = sd_bus_process(bus, NULL);
                if (r == -ENOMEM && allowance_was_guessed()) {
                        allowance_widen();
                        r = 1;
                }
        }
        allowance_widen();
        sd_bus_unref(bus);
        if (freed)
                return;
        channel->freed = NULL;
        if (r < 0)
                channel->hooks->broken(r == -ENOMEM ? "announced through its channel a message that is too large"
                                                    : "sent through its channel what is no message",
                                       channel->userdata);
        else
                watch(channel);
}

static int on_input(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        work(userdata);
        return 0;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Channel *channel = userdata;

        channel->timer_set = UINT64_MAX;
        if (is_greeting(channel) && clock_monotonic() >= channel->begin_by)
                channel->hooks->broken("does not greet over its channel", channel->userdata);
        else
                work(channel);
        return 0;
}

void channel_sent(Channel *channel, bool leisurely) {
        channel->leisurely = leisurely;
        /* From within the work on it: it is watched at the end of that. */
        if (!channel->freed)
                watch(channel);
}

void channel_hasten(Channel *channel) {
        if (channel->leisurely)
                channel_sent(channel, false);
}

void channel_hear(Channel *channel) {
        if (!channel->leisurely || channel->freed)
                return;
        channel->leisurely = false;
        work(channel);
}

/* By a descriptor of its own: sd-bus closes its one as soon as it has read the end, and a descriptor that is closed
 * cannot be taken out of epoll any more. The plugin may hold others of the same socket, which then would go on telling
 * of a source that is freed. */
static int watch_bus(Channel *channel, sd_event *event) {
        _cleanup_close_ int own = fcntl(sd_bus_get_fd(channel->bus), F_DUPFD_CLOEXEC, 3);
        int r;

        if (own < 0)
                return -errno;
        r = sd_event_add_io(event, &channel->input, own, EPOLLIN, on_input, channel);
        if (r < 0)
                return r;
        r = sd_event_source_set_io_fd_own(channel->input, true);
        if (r < 0)
                return r;
        (void) steal_fd(&own);
        channel->watched = EPOLLIN;
        r = sd_event_add_time(event, &channel->timer, CLOCK_MONOTONIC, 0, 0, on_time, channel);
        if (r < 0)
                return r;
        r = sd_event_source_set_enabled(channel->timer, SD_EVENT_OFF);
        if (r < 0)
                return r;
        channel->timer_set = UINT64_MAX;
        watch(channel);
        return 0;
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
        return watch_bus(channel, event);
}

int channel_new(sd_event *event, int fd, pid_t pid, bool descriptors, uint64_t timeout, const ChannelHooks *hooks,
                void *userdata, Channel **ret, char **ret_problem) {
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
        channel->begin_by = usec_add(clock_monotonic(), timeout);
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
        if (channel->freed)
                *channel->freed = true;
        sd_event_source_disable_unref(channel->input);
        sd_event_source_disable_unref(channel->timer);
        sd_bus_slot_unref(channel->filter);
        sd_bus_close_unref(channel->bus);
        g_free(channel);
        return NULL;
}

sd_bus *channel_bus(const Channel *channel) {
        return channel->bus;
}
