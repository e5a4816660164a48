/* SPDX-License-Identifier: Apache-2.0 */

/* Coming and going.
 *
 *         started ──Handshake──▸ greeted ──Initialize──▸ initialized
 *            │ 10 s                  │ idle, Shutdown, SIGTERM, │
 *            │                       │ no daemon for 60 s       │
 *            ▾                       ▾                          ▾
 *         leaving: the name is given back, calls are still answered
 *            └──bus confirms, channel closed, nothing under way──▸ gone
 *
 * systemd kills what says that it is stopping 15 s later (TimeoutStopSec), so that is said when nobody waits for an
 * answer any more, and no work of the plugin's own is left: how long a call may take is its caller's to say.
 *
 * A stream that was abandoned is awaited for 5 s then: nobody wants its answer, and it may never end. So is any call
 * where the daemon is gone. Work of the plugin's own and its export have systemd's 15 s then, which is told at once:
 * nobody is left who would end a plugin that hangs.
 *
 * The bus answers ReleaseName only after it handed over everything that was sent to the name before, so nothing is
 * lost on the way out. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "sdk/call.h"
#include "sdk/instance.h"

#define HANDSHAKE_TIMEOUT (10 * USEC_PER_SEC)
#define OVERDUE_TIMEOUT (5 * USEC_PER_SEC)
#define BUS_DRIVER "org.freedesktop.DBus"
#define TIMER_ACCURACY (100 * USEC_PER_MSEC)

/* RequestName's answers, D-Bus specification. */
#define NAME_OWNED 1U
#define NAME_IN_QUEUE 2U

static bool calls_settled(const SnoozePluginInstance *instance) {
        /* Where the daemon is gone nobody waits for any of them. */
        if (instance->overdue && instance->deserted)
                return true;
        return instance->calls == (instance->overdue ? instance->abandoned : 0);
}

static bool settled(const SnoozePluginInstance *instance) {
        return instance->leaving && instance->name_released && calls_settled(instance) && instance->work == 0 &&
               instance->callers_pending == 0 && !instance->channel && !instance->state_keeping;
}

static int on_settled(sd_event_source *source, void *userdata) {
        SnoozePluginInstance *instance = userdata;

        instance->exit_source = sd_event_source_disable_unref(instance->exit_source);
        /* Kept again for what it learned meanwhile, it comes back here. */
        if (settled(instance) && !state_keep_last(instance))
                return sd_event_exit(instance->event, 0);
        return 0;
}

static int on_overdue(sd_event_source *source, uint64_t usec, void *userdata) {
        SnoozePluginInstance *instance = userdata;

        instance->overdue = true;
        if (instance->abandoned > 0)
                log_notice("Not waiting any longer for streams that were abandoned: %u", instance->abandoned);
        life_settled(instance);
        return 0;
}

/* In the daemon there is no end of a process that would clean up behind them. */
static void await_abandoned(SnoozePluginInstance *instance) {
        if (!instance->leaving || instance->settled || instance->overdue_timer ||
            (instance->abandoned == 0 && !(instance->deserted && instance->calls > 0)))
                return;
        if (sd_event_add_time_relative(instance->event, &instance->overdue_timer, CLOCK_MONOTONIC, OVERDUE_TIMEOUT,
                                       TIMER_ACCURACY, on_overdue, instance) < 0)
                instance->overdue = true;
}

/* Whoever starts the unit from then on waits for its end: where nothing is under way that is before the name is given
 * back. With the channel closed nothing can come that way either. own: calls of its own that are just ending. */
static void tell_stopping(SnoozePluginInstance *instance, unsigned own) {
        if (!instance->leaving || instance->stopping || instance->settled)
                return;
        if (!instance->deserted && (instance->work > 0 || instance->callers_pending > 0 || instance->channel ||
                                    instance->state_keeping || instance->calls > instance->abandoned + own))
                return;
        instance->stopping = true;
        (void) sd_notify(false, "STOPPING=1");
}

/* Behind everything else: calls that are still in the connection's queue are to be answered first. */
void life_settled(SnoozePluginInstance *instance) {
        int r;

        tell_stopping(instance, 0);
        await_abandoned(instance);
        if (!settled(instance) || instance->exit_source)
                return;
        if (instance->settled) {
                instance->settled(instance);
                return;
        }
        r = sd_event_add_defer(instance->event, &instance->exit_source, on_settled, instance);
        if (r >= 0)
                r = sd_event_source_set_priority(instance->exit_source, SD_EVENT_PRIORITY_IDLE);
        if (r < 0)
                (void) sd_event_exit(instance->event, r);
}

static int on_name_released(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;

        instance->name_released = true;
        life_settled(instance);
        return 0;
}

static int on_slot_name_released(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return 0;
}

/* The slot first: whoever sees that the name is free may start the next instance at once. */
static void release_name(SnoozePluginInstance *instance, unsigned own) {
        int r;

        tell_stopping(instance, own);
        (void) sd_bus_release_name_async(instance->bus, NULL, instance->slot_name, on_slot_name_released, instance);
        r = sd_bus_release_name_async(instance->bus, NULL, instance->name, on_name_released, instance);
        if (r >= 0)
                return;
        /* Without a connection there is no name to give back. */
        instance->name_released = true;
        life_settled(instance);
}

void life_state_kept(SnoozePluginInstance *instance) {
        if (instance->name_released)
                life_settled(instance);
        else
                release_name(instance, 1);
}

void life_leave(SnoozePluginInstance *instance, const char *why) {
        if (instance->leaving)
                return;
        instance->leaving = true;
        log_debug("Leaving: %s", why);
        if (!instance->settled)
                (void) sd_notifyf(false, "STATUS=Leaving: %s", why);
        /* Before anything of the plugin's own, which may hang. */
        if (instance->deserted)
                tell_stopping(instance, 0);

        if (instance->plugin.shutdown)
                instance->plugin.shutdown(instance->plugin.userdata);

        channel_leave(instance);
        if (instance->settled) {
                instance->name_released = true;
                life_settled(instance);
                return;
        }
        /* Whoever takes the name over is to find the state. */
        if (!state_keep(instance))
                release_name(instance, 0);
}

static int on_handshake_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        log_notice("Nobody greeted this plugin within %u s", (unsigned) (HANDSHAKE_TIMEOUT / USEC_PER_SEC));
        life_leave(userdata, "not wanted");
        return 0;
}

static int on_host_exit(sd_event_source *source, uint64_t usec, void *userdata) {
        SnoozePluginInstance *instance = userdata;

        instance->deserted = true;
        call_abandon_all(instance, instance->bus);
        life_leave(instance, "the daemon has been gone for a while");
        life_settled(instance);
        return 0;
}

static int on_host_gone(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        const char *name, *old_owner, *new_owner, *sender = sd_bus_message_get_sender(m);

        /* Anybody may send such a signal to this connection; only the bus driver's is one. */
        if (!sender || strcmp(sender, BUS_DRIVER) != 0)
                return 0;
        if (sd_bus_message_read(m, "sss", &name, &old_owner, &new_owner) < 0 || strcmp(name, instance->host) != 0 ||
            *new_owner)
                return 0;
        log_debug("The daemon left the bus");
        events_unheard(instance);
        if (instance->host_timer || instance->host_exit == USEC_INFINITY)
                return 0;
        return sd_event_add_time_relative(instance->event, &instance->host_timer, CLOCK_MONOTONIC, instance->host_exit,
                                          TIMER_ACCURACY, on_host_exit, instance);
}

static int watch_host(SnoozePluginInstance *instance, const char *host) {
        _cleanup_free_ char *match = NULL, *copy = strdup(host);
        sd_bus_slot *slot;
        int r;

        if (!copy ||
            asprintf(&match,
                     "type='signal',sender='" BUS_DRIVER "',interface='" BUS_DRIVER "',member='NameOwnerChanged',"
                     "arg0='%s'",
                     host) < 0)
                return -ENOMEM;
        r = sd_bus_add_match_async(instance->bus, &slot, match, on_host_gone, NULL, instance);
        if (r < 0)
                return r;
        sd_bus_slot_unref(instance->host_slot);
        instance->host_slot = slot;
        free(instance->host);
        instance->host = steal(copy);
        return 0;
}

int life_greeted(SnoozePluginInstance *instance, const char *host) {
        int r;

        /* A native one is the host's own. */
        if (instance->settled)
                return 0;
        if (!instance->host || strcmp(instance->host, host) != 0) {
                r = watch_host(instance, host);
                if (r < 0)
                        return r;
                /* Its predecessor's. */
                channel_close(instance);
        }
        instance->host_timer = sd_event_source_disable_unref(instance->host_timer);
        instance->handshake_timer = sd_event_source_disable_unref(instance->handshake_timer);
        life_used(instance);
        return 0;
}

void life_used(SnoozePluginInstance *instance) {
        instance->last_used = clock_monotonic();
}

/* One timer that looks back, instead of one that every call sets anew. */
static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        SnoozePluginInstance *instance = userdata;
        uint64_t now = clock_monotonic(), due;
        int r;

        if (instance->calls > 0 || instance->work > 0 || instance->watcher || instance->channel ||
            (state_to_be_kept(instance) && !state_can_be_kept(instance)))
                life_used(instance);
        due = usec_add(instance->last_used, instance->idle_exit);
        if (now >= due) {
                life_leave(instance, "nobody called it for a while");
                return 0;
        }
        r = sd_event_source_set_time(source, due);
        if (r < 0)
                return r;
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_name_requested(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        uint32_t answer;
        int r;

        if (sd_bus_message_is_method_error(m, NULL)) {
                log_error("Cannot own %s: %s", instance->name, sd_bus_message_get_error(m)->message);
                return sd_event_exit(instance->event, EXIT_NOT_OURS);
        }
        r = sd_bus_message_read_basic(m, 'u', &answer);
        if (r < 0)
                return sd_event_exit(instance->event, EXIT_NOT_OURS);
        /* Queued is fine: a new version is greeted by its unique name while the old one still serves (hot-swap). */
        if (answer == NAME_IN_QUEUE)
                log_debug("%s is taken: waiting in the queue", instance->name);
        (void) sd_notify(false, "READY=1\nSTATUS=Serving");
        return 0;
}

/* One instance in each slot. systemd sees to that, too; this is for where it is not. */
static int on_slot_requested(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        uint32_t answer;
        int r;

        if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_ACCESS_DENIED)) {
                log_debug("The bus's policy knows no %s: whether another instance runs is systemd's alone",
                          instance->slot_name);
                return 0;
        }
        r = sd_bus_message_is_method_error(m, NULL) ? -EIO : sd_bus_message_read_basic(m, 'u', &answer);
        if (r >= 0 && answer == NAME_OWNED)
                return 0;
        log_error("Another instance of %s runs in slot %c", instance->plugin.id, instance->slot);
        return sd_event_exit(instance->event, EXIT_NOT_OURS);
}

int life_start(SnoozePluginInstance *instance) {
        int r;

        life_used(instance);
        r = sd_event_add_time_relative(instance->event, &instance->handshake_timer, CLOCK_MONOTONIC, HANDSHAKE_TIMEOUT,
                                       TIMER_ACCURACY, on_handshake_timeout, instance);
        if (r < 0)
                return r;
        if (instance->idle_exit != USEC_INFINITY) {
                r = sd_event_add_time_relative(instance->event, &instance->idle_timer, CLOCK_MONOTONIC,
                                               instance->idle_exit, TIMER_ACCURACY, on_idle, instance);
                if (r < 0)
                        return r;
        }
        /* Both are under way at once; the bus answers the first one first. */
        r = sd_bus_request_name_async(instance->bus, &instance->slot_name_slot, instance->slot_name, 0,
                                      on_slot_requested, instance);
        if (r < 0)
                return r;
        return sd_bus_request_name_async(instance->bus, &instance->name_slot, instance->name, SD_BUS_NAME_QUEUE,
                                         on_name_requested, instance);
}
