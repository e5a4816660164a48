/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The daemon's end of a plugin's channel: a D-Bus connection without a bus, over a socket that the plugin handed over.
 * Nothing but answers to our calls, Leaving, and a source's events, is expected from the other end. What else comes is
 * thrown away, a little of it without a word (answers that come too late, or twice), more is a fault. */

#include <stdbool.h>

#include <sys/types.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct Channel Channel;

typedef struct ChannelHooks {
        /* It takes no more calls; those under way are still answered. */
        void (*leaving)(void *userdata);
        /* The channel is of no use any more, for this reason (as in "plugin x …"). May free it. */
        void (*broken)(const char *reason, void *userdata);
        /* A signal of .EventSource. false: it is one that nobody asked for. May lead to the end of the channel. NULL:
         * all are. */
        bool (*announced)(sd_bus_message *signal, void *userdata);
} ChannelHooks;

/* The descriptor stays the caller's. pid: who has to have made the socket; 0: not known. descriptors: calls may carry
 * some. timeout: µs until the other end has to have greeted. -EBADF, with the reason in *ret_problem: it is no socket
 * that could be a channel. */
int channel_new(sd_event *event, int fd, pid_t pid, bool descriptors, uint64_t timeout, const ChannelHooks *hooks,
                void *userdata, Channel **ret, char **ret_problem);
/* NULL is fine. Neither hook is called any more. */
Channel *channel_free(Channel *channel);

sd_bus *channel_bus(const Channel *channel);

/* To be told after each call that was sent. leisurely: nobody waits for its answer before channel_hear(), and until
 * then, or another call, it wakes nobody; its deadline counts all the same. */
void channel_sent(Channel *channel, bool leisurely);
/* Somebody waits after all. */
void channel_hasten(Channel *channel);
/* Reads what has come to a leisurely channel, and lets it wake again. May end it. */
void channel_hear(Channel *channel);
