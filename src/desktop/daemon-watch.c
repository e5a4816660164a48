/* SPDX-License-Identifier: Apache-2.0 */

#include "desktop/daemon-watch.h"

#include "base/clock.h"

/* A system bus that was lost comes back with a restart of it, which takes a moment. */
#define RECONNECT_SECONDS 5
/* A warning whose end is further than this from what was told: it has another end now, or the wall clock was set and
 * the same end has another time of day. */
#define END_MOVED USEC_PER_MINUTE

struct DaemonWatch {
        DaemonWatchNews news;
        void *userdata;

        GDBusConnection *bus;
        gulong closed_handler;
        GCancellable *connecting;
        guint retry, name_watch;

        SnoozeClientManager *manager; /* of the unique name that owns the daemon's */
        GCancellable *asking;         /* what is asked of this owner */
        StopPhase phase;              /* that was told last … */
        uint64_t deadline;            /* … and when it ends */
};

static void connect_bus(DaemonWatch *watch);

static void tell(DaemonWatch *watch, StopPhase phase, uint64_t deadline, const char *reason) {
        Stop stop = {
                .phase = phase,
                .dry_run = watch->manager && snooze_client_manager_get_dry_run(watch->manager),
                .deadline = deadline,
                .reason = reason,
        };

        watch->phase = phase == STOP_CANCELLED ? STOP_NONE : phase;
        watch->deadline = deadline;
        watch->news(&stop, watch->userdata);
}

static void tell_none(DaemonWatch *watch) {
        if (watch->phase != STOP_NONE)
                tell(watch, STOP_NONE, 0, "");
}

static void on_scheduled(SnoozeClientManager *manager, guint64 deadline, const char *reason, gpointer userdata) {
        tell(userdata, STOP_SCHEDULED, deadline, reason);
}

static void on_stopping(SnoozeClientManager *manager, const char *provider, const char *reason, gpointer userdata) {
        tell(userdata, STOP_STOPPING, 0, reason);
}

static void on_cancelled(SnoozeClientManager *manager, const char *reason, gpointer userdata) {
        DaemonWatch *watch = userdata;

        if (watch->phase != STOP_NONE)
                tell(watch, STOP_CANCELLED, 0, reason);
}

static void on_next_stop(SnoozeClientManager *manager, GParamSpec *property, gpointer userdata) {
        DaemonWatch *watch = userdata;
        uint64_t deadline = snooze_client_manager_get_next_stop(manager);

        if (watch->phase == STOP_SCHEDULED && deadline > 0 &&
            MAX(deadline, watch->deadline) - MIN(deadline, watch->deadline) > END_MOVED)
                tell(watch, STOP_SCHEDULED, deadline, snooze_client_manager_get_reason(manager) ?: "");
}

static gboolean runs_on(const char *state) {
        return !g_str_equal(state, "warning") && !g_str_equal(state, "stopping") && !g_str_equal(state, "stopped");
}

/* A warning that ends is followed by StopCancelled, with the better reason; a stop that was tried is not. */
static void on_state(SnoozeClientManager *manager, const char *state, const char *previous, const char *reason,
                     gpointer userdata) {
        if (runs_on(state) && !g_str_equal(previous, "warning"))
                tell_none(userdata);
}

/* How things stand when the daemon, or this program, has just come. */
static void settle(DaemonWatch *watch) {
        const char *state = snooze_client_manager_get_state(watch->manager) ?: "";
        const char *reason = snooze_client_manager_get_reason(watch->manager) ?: "";

        if (g_str_equal(state, "warning")) {
                if (watch->phase != STOP_SCHEDULED)
                        tell(watch, STOP_SCHEDULED, snooze_client_manager_get_next_stop(watch->manager), reason);
        } else if (g_str_equal(state, "stopping")) {
                if (watch->phase != STOP_STOPPING)
                        tell(watch, STOP_STOPPING, 0, reason);
        } else if (!g_str_equal(state, "stopped"))
                tell_none(watch);
}

static void on_properties(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GError) error = NULL;

        if (snooze_client_refresh_finish(result, &error))
                settle(userdata);
        else if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                g_message("snoozed does not say how things stand: %s", error->message);
}

static void on_manager(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GError) error = NULL;
        SnoozeClientManager *manager = snooze_client_manager_proxy_new_finish(result, &error);
        DaemonWatch *watch = userdata;

        if (!manager) {
                if (!g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                        g_message("snoozed cannot be followed: %s", error->message);
                return;
        }
        watch->manager = manager;
        g_signal_connect(manager, "stop-scheduled", G_CALLBACK(on_scheduled), watch);
        g_signal_connect(manager, "stopping", G_CALLBACK(on_stopping), watch);
        g_signal_connect(manager, "stop-cancelled", G_CALLBACK(on_cancelled), watch);
        g_signal_connect(manager, "state-changed", G_CALLBACK(on_state), watch);
        g_signal_connect(manager, "notify::next-stop", G_CALLBACK(on_next_stop), watch);
        /* After the signals are followed, so that nothing falls between. */
        snooze_client_refresh(G_DBUS_PROXY(manager), watch->asking, on_properties, watch);
}

static void forget_manager(DaemonWatch *watch) {
        g_cancellable_cancel(watch->asking);
        g_clear_object(&watch->asking);
        if (watch->manager)
                g_signal_handlers_disconnect_by_data(watch->manager, watch);
        g_clear_object(&watch->manager);
}

static void on_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer userdata) {
        DaemonWatch *watch = userdata;

        forget_manager(watch);
        watch->asking = g_cancellable_new();
        /* One that does not load its properties does not follow them either. */
        snooze_client_manager_proxy_new(bus, G_DBUS_PROXY_FLAGS_NONE, owner, SNOOZE_CLIENT_PATH, watch->asking,
                                        on_manager, watch);
}

/* Without a daemon nothing stops at the time that was told; the next one warns again in full. In the last stage it is
 * the other way round: the daemon is ended because the machine goes down. */
static void on_vanished(GDBusConnection *bus, const char *name, gpointer userdata) {
        DaemonWatch *watch = userdata;

        forget_manager(watch);
        if (watch->phase == STOP_SCHEDULED)
                tell_none(watch);
}

static void forget_bus(DaemonWatch *watch) {
        g_clear_handle_id(&watch->name_watch, g_bus_unwatch_name);
        forget_manager(watch);
        if (watch->bus)
                g_signal_handler_disconnect(watch->bus, watch->closed_handler);
        g_clear_object(&watch->bus);
}

static gboolean on_retry(gpointer userdata) {
        DaemonWatch *watch = userdata;

        watch->retry = 0;
        connect_bus(watch);
        return G_SOURCE_REMOVE;
}

static void retry_later(DaemonWatch *watch) {
        watch->retry = g_timeout_add_seconds(RECONNECT_SECONDS, on_retry, watch);
}

static void on_closed(GDBusConnection *bus, gboolean remote_peer_vanished, GError *error, gpointer userdata) {
        DaemonWatch *watch = userdata;

        forget_bus(watch);
        if (watch->phase == STOP_SCHEDULED)
                tell_none(watch);
        retry_later(watch);
}

static void on_connected(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GError) error = NULL;
        GDBusConnection *bus = g_dbus_connection_new_for_address_finish(result, &error);
        DaemonWatch *watch = userdata;

        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
                return;
        g_clear_object(&watch->connecting);
        if (!bus) {
                g_debug("No system bus: %s", error->message);
                retry_later(watch);
                return;
        }
        watch->bus = bus;
        g_dbus_connection_set_exit_on_close(bus, FALSE);
        watch->closed_handler = g_signal_connect(bus, "closed", G_CALLBACK(on_closed), watch);
        watch->name_watch = g_bus_watch_name_on_connection(bus, SNOOZE_CLIENT_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                           on_appeared, on_vanished, watch, NULL);
}

/* A connection of our own: the shared one cannot be opened a second time while anybody still refers to the first. */
static void connect_bus(DaemonWatch *watch) {
        g_autoptr(GError) error = NULL;
        g_autofree char *address = g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, NULL, &error);

        if (!address) {
                g_warning("The system bus has no address: %s", error->message);
                return;
        }
        watch->connecting = g_cancellable_new();
        g_dbus_connection_new_for_address(address,
                                          G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
                                                  G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
                                          NULL, watch->connecting, on_connected, watch);
}

DaemonWatch *daemon_watch_new(DaemonWatchNews news, void *userdata) {
        DaemonWatch *watch = g_new(DaemonWatch, 1);

        *watch = (DaemonWatch) { .news = news, .userdata = userdata };
        connect_bus(watch);
        return watch;
}

void daemon_watch_free(DaemonWatch *watch) {
        if (!watch)
                return;
        if (watch->connecting)
                g_cancellable_cancel(watch->connecting);
        g_clear_object(&watch->connecting);
        g_clear_handle_id(&watch->retry, g_source_remove);
        forget_bus(watch);
        g_free(watch);
}

SnoozeClientManager *daemon_watch_manager(DaemonWatch *watch) {
        return watch ? watch->manager : NULL;
}
