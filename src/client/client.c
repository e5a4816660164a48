/* SPDX-License-Identifier: Apache-2.0 */

#include "client/client.h"

#include <string.h>

GDBusConnection *snooze_client_open_bus(GError **error) {
        GDBusConnection *bus;

        bus = g_bus_get_sync(G_BUS_TYPE_SYSTEM, NULL, error);
        if (bus)
                g_dbus_connection_set_exit_on_close(bus, FALSE);
        return bus;
}

gboolean snooze_client_is_running(GDBusConnection *bus) {
        g_autoptr(GVariant) reply = NULL;
        gboolean running = FALSE;

        reply = g_dbus_connection_call_sync(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                            "org.freedesktop.DBus", "NameHasOwner",
                                            g_variant_new("(s)", SNOOZE_CLIENT_NAME), G_VARIANT_TYPE("(b)"),
                                            G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, NULL, NULL);
        if (reply)
                g_variant_get(reply, "(b)", &running);
        return running;
}

static void take_properties(GDBusProxy *proxy, GVariant *reply) {
        GDBusInterfaceInfo *info = g_dbus_proxy_get_interface_info(proxy);
        g_autoptr(GVariant) properties = g_variant_get_child_value(reply, 0);
        GVariantIter iter;
        const char *name;
        GVariant *value;

        g_variant_iter_init(&iter, properties);
        while (g_variant_iter_next(&iter, "{&sv}", &name, &value)) {
                GDBusPropertyInfo *property = info ? g_dbus_interface_info_lookup_property(info, name) : NULL;

                if (property && g_strcmp0(property->signature, g_variant_get_type_string(value)) == 0)
                        g_dbus_proxy_set_cached_property(proxy, name, value);
                g_variant_unref(value);
        }
}

static void on_properties(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GTask) task = userdata;
        g_autoptr(GVariant) reply = NULL;
        GError *error = NULL;

        reply = g_dbus_connection_call_finish(G_DBUS_CONNECTION(source), result, &error);
        if (!reply) {
                g_task_return_error(task, error);
                return;
        }
        take_properties(g_task_get_task_data(task), reply);
        g_task_return_pointer(task, g_object_ref(g_task_get_task_data(task)), g_object_unref);
}

/* Get through the connection and not through the proxy: this call starts the daemon and reports why that failed. A
 * proxy that loads its properties itself swallows both. */
static void load_properties(GTask *task, GDBusProxy *proxy) {
        g_task_set_task_data(task, g_object_ref(proxy), g_object_unref);
        g_dbus_connection_call(g_dbus_proxy_get_connection(proxy), g_dbus_proxy_get_name(proxy),
                               g_dbus_proxy_get_object_path(proxy), "org.freedesktop.DBus.Properties", "GetAll",
                               g_variant_new("(s)", g_dbus_proxy_get_interface_name(proxy)), G_VARIANT_TYPE("(a{sv})"),
                               G_DBUS_CALL_FLAGS_NONE, -1, g_task_get_cancellable(task), on_properties,
                               g_object_ref(task));
}

static void on_proxy(GObject *source, GAsyncResult *result, gpointer userdata) {
        g_autoptr(GTask) task = userdata;
        g_autoptr(GObject) proxy = NULL;
        GError *error = NULL;

        proxy = g_async_initable_new_finish(G_ASYNC_INITABLE(source), result, &error);
        if (!proxy) {
                g_task_return_error(task, error);
                return;
        }
        load_properties(task, G_DBUS_PROXY(proxy));
}

static const char *interface_of(GType type) {
        if (g_type_is_a(type, SNOOZE_CLIENT_TYPE_MANAGER))
                return snooze_client_manager_interface_info()->name;
        if (g_type_is_a(type, SNOOZE_CLIENT_TYPE_PLUGIN))
                return snooze_client_plugin_interface_info()->name;
        g_return_val_if_fail(g_type_is_a(type, SNOOZE_CLIENT_TYPE_PROVIDER), NULL);
        return snooze_client_provider_interface_info()->name;
}

void snooze_client_open(GDBusConnection *bus, GType type, const char *path, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer userdata) {
        GTask *task = g_task_new(bus, cancellable, callback, userdata);

        g_async_initable_new_async(type, G_PRIORITY_DEFAULT, cancellable, on_proxy, task, "g-flags",
                                   G_DBUS_PROXY_FLAGS_DO_NOT_AUTO_START_AT_CONSTRUCTION |
                                           G_DBUS_PROXY_FLAGS_DO_NOT_LOAD_PROPERTIES,
                                   "g-connection", bus, "g-name", SNOOZE_CLIENT_NAME, "g-object-path", path,
                                   "g-interface-name", interface_of(type), NULL);
}

gpointer snooze_client_open_finish(GAsyncResult *result, GError **error) {
        return g_task_propagate_pointer(G_TASK(result), error);
}

void snooze_client_refresh(GDBusProxy *proxy, GCancellable *cancellable, GAsyncReadyCallback callback,
                           gpointer userdata) {
        g_autoptr(GTask) task = g_task_new(proxy, cancellable, callback, userdata);

        load_properties(task, proxy);
}

gboolean snooze_client_refresh_finish(GAsyncResult *result, GError **error) {
        g_autoptr(GObject) proxy = g_task_propagate_pointer(G_TASK(result), error);

        return proxy != NULL;
}

char *snooze_client_path_id(const char *path) {
        g_autoptr(GString) id = NULL;
        const char *label;

        label = path ? strrchr(path, '/') : NULL;
        if (!label || !*++label || !g_str_has_prefix(path, SNOOZE_CLIENT_PATH "/"))
                return NULL;

        id = g_string_new(NULL);
        for (; *label; label++)
                if (*label == '_' && g_ascii_isxdigit(label[1]) && g_ascii_isxdigit(label[2])) {
                        g_string_append_c(
                                id, (char) (g_ascii_xdigit_value(label[1]) * 16 + g_ascii_xdigit_value(label[2])));
                        label += 2;
                } else
                        g_string_append_c(id, *label);
        return g_string_free(g_steal_pointer(&id), FALSE);
}

gboolean snooze_client_error_is(const GError *error, const char *name) {
        g_autofree char *remote = g_dbus_error_is_remote_error(error) ? g_dbus_error_get_remote_error(error) : NULL;

        return remote && g_str_has_prefix(remote, SNOOZE_CLIENT_ERROR_PREFIX) &&
               g_str_equal(remote + strlen(SNOOZE_CLIENT_ERROR_PREFIX), name);
}

SnoozeClientOutcome snooze_client_error_outcome(const GError *error) {
        static const char *const refused[] = {
                "org.freedesktop.DBus.Error.AccessDenied",
                "org.freedesktop.DBus.Error.AuthFailed",
                "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired",
                SNOOZE_CLIENT_ERROR_PREFIX "Busy",
                SNOOZE_CLIENT_ERROR_PREFIX "Held",
                SNOOZE_CLIENT_ERROR_PREFIX "LimitsExceeded",
                SNOOZE_CLIENT_ERROR_PREFIX "NoProvider",
                SNOOZE_CLIENT_ERROR_PREFIX "NotApproved",
                SNOOZE_CLIENT_ERROR_PREFIX "Refused",
                SNOOZE_CLIENT_ERROR_PREFIX "TooLate",
                NULL,
        };
        /* The bus driver's, the activation's, and systemd's for a unit that is masked, missing or failed. */
        static const char *const unreachable[] = {
                "org.freedesktop.DBus.Error.Disconnected",   "org.freedesktop.DBus.Error.NameHasNoOwner",
                "org.freedesktop.DBus.Error.NoReply",        "org.freedesktop.DBus.Error.NoServer",
                "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.TimedOut",
                "org.freedesktop.DBus.Error.Timeout",        NULL,
        };
        g_autofree char *remote = NULL;

        remote = g_dbus_error_is_remote_error(error) ? g_dbus_error_get_remote_error(error) : NULL;
        if (!remote) /* never left this process, or never came back to it */
                return error->domain == G_IO_ERROR || error->domain == G_DBUS_ERROR ? SNOOZE_CLIENT_UNREACHABLE
                                                                                    : SNOOZE_CLIENT_FAILED;
        if (g_strv_contains(refused, remote))
                return SNOOZE_CLIENT_REFUSED;
        if (g_strv_contains(unreachable, remote) || g_str_has_prefix(remote, "org.freedesktop.DBus.Error.Spawn.") ||
            g_str_has_prefix(remote, "org.freedesktop.systemd1."))
                return SNOOZE_CLIENT_UNREACHABLE;
        return SNOOZE_CLIENT_FAILED;
}

char *snooze_client_error_message(const GError *error) {
        g_autoptr(GError) copy = g_error_copy(error);

        (void) g_dbus_error_strip_remote_error(copy);
        return g_steal_pointer(&copy->message);
}
