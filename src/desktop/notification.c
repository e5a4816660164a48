/* SPDX-License-Identifier: Apache-2.0 */

#include "desktop/notification.h"

#define SERVER_NAME "org.freedesktop.Notifications"
#define SERVER_PATH "/org/freedesktop/Notifications"
#define SERVER_INTERFACE SERVER_NAME
#define APPLICATION_NAME "CloudSnooze"
#define PATIENCE 10000 /* ms */

struct Notification {
        GDBusConnection *bus;
        NotificationChosen chosen;
        void *userdata;

        guint watch, subscription;
        char *owner;               /* the server's unique name, NULL: there is none */
        char **capabilities;       /* NULL: not known yet */
        GCancellable *cancellable; /* of the calls to this owner */
        gboolean busy;             /* such a call is under way */

        NotificationContent content; /* what is to be seen; owns its strings */
        gboolean wanted;             /* there is such a thing */
        gboolean told;               /* the server has been told of it */
        gboolean woken;              /* the bus was asked for a server, because of it */
        guint32 id;                  /* what the server shows of ours, 0: nothing */
};

static void advance(Notification *notification);

static void clear_content(Notification *notification) {
        g_free((char *) notification->content.title);
        g_free((char *) notification->content.body);
        g_free((char *) notification->content.icon);
        g_free((char *) notification->content.category);
        notification->content = (NotificationContent) { .title = NULL };
        notification->wanted = FALSE;
}

static void call(Notification *notification, const char *method, GVariant *parameters, const char *reply,
                 GAsyncReadyCallback callback) {
        g_dbus_connection_call(notification->bus, notification->owner, SERVER_PATH, SERVER_INTERFACE, method,
                               parameters, reply ? G_VARIANT_TYPE(reply) : NULL, G_DBUS_CALL_FLAGS_NO_AUTO_START,
                               PATIENCE, callback ? notification->cancellable : NULL, callback, notification);
}

/* What was asked of a server that has gone, or of us, who have gone, has no answer any more: NULL, and nothing may be
 * touched. */
static GVariant *finish(GObject *source, GAsyncResult *result, gboolean *ret_cancelled) {
        g_autoptr(GError) error = NULL;
        GVariant *reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);

        *ret_cancelled = g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED);
        if (error && !*ret_cancelled)
                g_message("The notification server did not do it: %s", error->message);
        return reply;
}

static void on_capabilities(GObject *source, GAsyncResult *result, gpointer userdata) {
        Notification *notification = userdata;
        gboolean cancelled;
        g_autoptr(GVariant) reply = finish(source, result, &cancelled);

        if (cancelled)
                return;
        notification->busy = FALSE;
        if (reply)
                g_variant_get(reply, "(^as)", &notification->capabilities);
        else /* one that does not even know itself is shown the least */
                notification->capabilities = g_new0(char *, 1);
        advance(notification);
}

static gboolean can(const Notification *notification, const char *capability) {
        return g_strv_contains((const char *const *) notification->capabilities, capability);
}

static void on_shown(GObject *source, GAsyncResult *result, gpointer userdata) {
        Notification *notification = userdata;
        gboolean cancelled;
        g_autoptr(GVariant) reply = finish(source, result, &cancelled);

        if (cancelled)
                return;
        notification->busy = FALSE;
        if (reply)
                g_variant_get(reply, "(u)", &notification->id);
        advance(notification);
}

static GVariant *hints(const NotificationContent *content) {
        GVariantBuilder builder;

        g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
        g_variant_builder_add(&builder, "{sv}", "urgency", g_variant_new_byte((guint8) content->urgency));
        g_variant_builder_add(&builder, "{sv}", "category", g_variant_new_string(content->category));
        return g_variant_builder_end(&builder);
}

static void show(Notification *notification) {
        const NotificationContent *content = &notification->content;
        static const char *const no_actions[] = { NULL };
        g_autofree char *title = NULL, *body = NULL;

        if (!can(notification, "body")) {
                title = g_strdup_printf("%s: %s", content->title, content->body);
                body = g_strdup("");
        } else {
                title = g_strdup(content->title);
                body = can(notification, "body-markup") ? g_markup_escape_text(content->body, -1)
                                                        : g_strdup(content->body);
        }
        notification->busy = notification->told = TRUE;
        call(notification, "Notify",
             g_variant_new("(susss^as@a{sv}i)", APPLICATION_NAME, notification->id, content->icon, title, body,
                           content->actions && can(notification, "actions") ? content->actions : no_actions,
                           hints(content), content->stays ? 0 : -1),
             "(u)", on_shown);
}

static void wake_server(Notification *notification) {
        notification->woken = TRUE;
        /* If there is none to be had, that is how it is; one that comes later is told when its name appears. */
        g_dbus_connection_call(notification->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "StartServiceByName", g_variant_new("(su)", SERVER_NAME, 0),
                               NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL, NULL);
}

/* The next step towards what is wanted; called whenever something has changed. */
static void advance(Notification *notification) {
        if (notification->busy)
                return;
        if (!notification->wanted) {
                if (notification->id > 0)
                        call(notification, "CloseNotification", g_variant_new("(u)", notification->id), NULL, NULL);
                notification->id = 0;
        } else if (notification->told)
                return;
        else if (!notification->owner) {
                if (!notification->woken)
                        wake_server(notification);
        } else if (!notification->capabilities) {
                notification->busy = TRUE;
                call(notification, "GetCapabilities", NULL, "(as)", on_capabilities);
        } else
                show(notification);
}

/* Dismissed or run out: whoever saw it needs no second look at the same. While a call is under way it may be about the
 * one before. */
static void closed(Notification *notification, guint32 id) {
        if (id == 0 || id != notification->id)
                return;
        notification->id = 0;
        if (!notification->busy && notification->told)
                clear_content(notification);
}

static void on_signal(GDBusConnection *bus, const char *sender, const char *path, const char *interface,
                      const char *member, GVariant *parameters, gpointer userdata) {
        Notification *notification = userdata;
        const char *key;
        guint32 id;

        if (g_str_equal(member, "NotificationClosed") && g_variant_is_of_type(parameters, G_VARIANT_TYPE("(uu)"))) {
                g_variant_get(parameters, "(uu)", &id, NULL);
                closed(notification, id);
        } else if (g_str_equal(member, "ActionInvoked") && g_variant_is_of_type(parameters, G_VARIANT_TYPE("(us)"))) {
                g_variant_get(parameters, "(u&s)", &id, &key);
                if (id > 0 && id == notification->id)
                        notification->chosen(key, notification->userdata);
        }
}

/* Nothing that was said to the one before is known to the next. */
static void forget_server(Notification *notification) {
        g_cancellable_cancel(notification->cancellable);
        g_object_unref(notification->cancellable);
        notification->cancellable = g_cancellable_new();
        if (notification->subscription > 0)
                g_dbus_connection_signal_unsubscribe(notification->bus, notification->subscription);
        notification->subscription = 0;
        g_clear_pointer(&notification->owner, g_free);
        g_clear_pointer(&notification->capabilities, g_strfreev);
        notification->busy = notification->told = FALSE;
        notification->id = 0;
}

static void on_appeared(GDBusConnection *bus, const char *name, const char *owner, gpointer userdata) {
        Notification *notification = userdata;

        forget_server(notification);
        notification->owner = g_strdup(owner);
        notification->subscription =
                g_dbus_connection_signal_subscribe(bus, owner, SERVER_INTERFACE, NULL, SERVER_PATH, NULL,
                                                   G_DBUS_SIGNAL_FLAGS_NONE, on_signal, notification, NULL);
        advance(notification);
}

static void on_vanished(GDBusConnection *bus, const char *name, gpointer userdata) {
        forget_server(userdata);
}

Notification *notification_new(GDBusConnection *session, NotificationChosen chosen, void *userdata) {
        Notification *notification = g_new(Notification, 1);

        *notification = (Notification) {
                .bus = g_object_ref(session),
                .chosen = chosen,
                .userdata = userdata,
                .cancellable = g_cancellable_new(),
        };
        notification->watch = g_bus_watch_name_on_connection(session, SERVER_NAME, G_BUS_NAME_WATCHER_FLAGS_NONE,
                                                             on_appeared, on_vanished, notification, NULL);
        return notification;
}

void notification_free(Notification *notification) {
        if (!notification)
                return;
        notification_close(notification);
        g_bus_unwatch_name(notification->watch);
        forget_server(notification);
        g_object_unref(notification->cancellable);
        g_object_unref(notification->bus);
        g_free(notification);
}

void notification_show(Notification *notification, const NotificationContent *content) {
        clear_content(notification);
        notification->content = *content;
        notification->content.title = g_strdup(content->title);
        notification->content.body = g_strdup(content->body);
        notification->content.icon = g_strdup(content->icon);
        notification->content.category = g_strdup(content->category);
        notification->wanted = TRUE;
        notification->told = notification->woken = FALSE;
        advance(notification);
}

void notification_close(Notification *notification) {
        clear_content(notification);
        advance(notification);
}

gboolean notification_is_busy(const Notification *notification) {
        return notification->busy;
}
