/* SPDX-License-Identifier: Apache-2.0 */

/* The channel: a socket between this plugin and the daemon alone, with the same object on it as on the bus. A call
 * over it costs a third of one through the bus daemon, and more than one can be under way. It is opened by whoever
 * greeted, and its end is the daemon's: an open channel says that the plugin is wanted, so it does not leave for want
 * of calls.
 *
 * A plugin that leaves says so (the signal Leaving). The daemon then sends nothing more, waits for its answers and
 * closes; only then does the plugin go, so that no call is lost on the way. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "sdk/call.h"
#include "sdk/instance.h"

/* A daemon that does not close its end, and waits for no answer, is not waited for longer. */
#define LEAVE_TIMEOUT (5 * USEC_PER_SEC)
#define LEAVE_ACCURACY (100 * USEC_PER_MSEC)

#define LOCAL_INTERFACE "org.freedesktop.DBus.Local"

bool channel_carries(const SnoozePluginInstance *instance, sd_bus_message *m) {
        return sd_bus_message_get_bus(m) != instance->bus;
}

void channel_close(SnoozePluginInstance *instance) {
        instance->channel_timer = sd_event_source_disable_unref(instance->channel_timer);
        if (instance->channel)
                call_abandon_all(instance, instance->channel);
        if (instance->channel && instance->watcher == instance->channel)
                instance->watcher = sd_bus_unref(instance->watcher);
        /* Not flushed, which waits for the other end: whoever closes has seen every answer, or does not read any more.
         */
        instance->channel = sd_bus_close_unref(instance->channel);
}

/* Sees every call, and costs a fifth of what a match would that sd-bus holds each call against. That one is ours alone
 * which is called local: sd-bus takes none from elsewhere. */
static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;

        if (sd_bus_message_is_signal(m, LOCAL_INTERFACE, "Disconnected") <= 0 ||
            sd_bus_message_get_bus(m) != instance->channel)
                return 0;
        log_debug("The daemon closed the channel");
        channel_close(instance);
        life_used(instance);
        life_settled(instance);
        return 0;
}

static int serve(SnoozePluginInstance *instance, int fd, sd_bus **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        sd_id128_t id;
        int r;

        r = sd_bus_new(&bus);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        r = sd_bus_set_fd(bus, fd, fd);
        if (r < 0) {
                safe_close(fd);
                return r;
        }
        r = sd_id128_randomize(&id);
        if (r >= 0)
                r = sd_bus_set_server(bus, true, id);
        if (r >= 0)
                /* Whoever holds the other end got it from us. */
                r = sd_bus_set_anonymous(bus, true);
        if (r >= 0)
                r = sd_bus_negotiate_fds(bus, instance->plugin.process_stream != NULL);
        if (r >= 0)
                r = contracts_serve(instance, bus);
        if (r >= 0)
                r = sd_bus_add_filter(bus, NULL, on_message, instance);
        if (r >= 0)
                r = sd_bus_start(bus);
        if (r >= 0)
                r = sd_bus_attach_event(bus, instance->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        *ret = steal(bus);
        return 0;
}

int channel_serve(SnoozePluginInstance *instance, int fd) {
        return serve(instance, fd, &instance->channel);
}

static int pair(SnoozePluginInstance *instance, int *ret_fd) {
        _cleanup_close_ int ours = -EBADF, theirs = -EBADF;
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        ours = fds[0];
        theirs = fds[1];
        channel_close(instance);
        r = serve(instance, steal_fd(&ours), &instance->channel);
        if (r < 0)
                return r;
        *ret_fd = steal_fd(&theirs);
        return 0;
}

int channel_open(SnoozePluginInstance *instance, sd_bus_message *m, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(m);
        _cleanup_close_ int fd = -EBADF;
        int r;

        /* Root may look at a plugin with busctl; the channel is not to be taken from the daemon by it. */
        if (channel_carries(instance, m) || !sender || !instance->host || strcmp(sender, instance->host) != 0)
                return sd_bus_error_set(error, ERROR_ACCESS_DENIED,
                                        "Only the daemon that greeted the plugin may open a channel");
        if (instance->leaving)
                return sd_bus_error_setf(error, ERROR_NOT_RUNNING, "%s is leaving", instance->plugin.id);
        r = pair(instance, &fd);
        if (r < 0)
                return r;
        life_used(instance);
        return sd_bus_reply_method_return(m, "h", fd);
}

static int on_leave_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        SnoozePluginInstance *instance = userdata;

        if (instance->calls > instance->abandoned && sd_event_source_set_time_relative(source, LEAVE_TIMEOUT) >= 0 &&
            sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) >= 0)
                return 0;
        log_notice("The daemon did not close the channel in time");
        channel_close(instance);
        life_settled(instance);
        return 0;
}

void channel_leave(SnoozePluginInstance *instance) {
        int r;

        if (!instance->channel)
                return;
        r = sd_bus_emit_signal(instance->channel, PLUGIN_PATH, PLUGIN_INTERFACE, "Leaving", NULL);
        if (r >= 0)
                r = sd_event_add_time_relative(instance->event, &instance->channel_timer, CLOCK_MONOTONIC,
                                               LEAVE_TIMEOUT, LEAVE_ACCURACY, on_leave_timeout, instance);
        if (r < 0)
                channel_close(instance);
}
