/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/helper.h"

#include <gio/gunixfdlist.h>

#include "base/names.h"
#include "cli/wait.h"

#define SYSTEMD_TIMEOUT_MSEC 3000
#define UNIT_PATH SYSTEMD_UNIT_PATH "/snooze_2dhelper_2eservice"

static GVariant *call(Cli *cli, const char *method, GVariant *arguments, GUnixFDList *fds, const char *reply,
                      GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snooze-helper");

        g_dbus_connection_call_with_unix_fd_list(cli->bus, HELPER_NAME, HELPER_PATH, HELPER_NAME, method, arguments,
                                                 G_VARIANT_TYPE(reply), cli_call_flags(cli), cli_timeout(cli), fds,
                                                 NULL, wait_done, wait);
        return g_dbus_connection_call_with_unix_fd_list_finish(cli->bus, NULL, wait_for(wait), error);
}

GVariant *helper_call(Cli *cli, const char *method, GVariant *arguments, const char *reply, GError **error) {
        return call(cli, method, arguments, NULL, reply, error);
}

GVariant *helper_call_with_fd(Cli *cli, const char *method, GVariant *arguments, int fd, const char *reply,
                              GError **error) {
        g_autoptr(GUnixFDList) fds = g_unix_fd_list_new();

        if (g_unix_fd_list_append(fds, fd, error) < 0) {
                g_variant_unref(g_variant_ref_sink(arguments));
                return NULL;
        }
        return call(cli, method, arguments, fds, reply, error);
}

/* It counts what a unit sends and receives (IPAccounting=, which the helper's has) by programs on the same hook of the
 * kernel by which it tells addresses apart, and says UINT64_MAX where it cannot have them. */
gboolean helper_tells_addresses_apart(Cli *cli) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for systemd");
        g_autoptr(GVariant) reply = NULL, bytes = NULL;

        g_dbus_connection_call(cli->bus, SYSTEMD_NAME, UNIT_PATH, PROPERTIES_INTERFACE, "Get",
                               g_variant_new("(ss)", SYSTEMD_SERVICE_INTERFACE, "IPIngressBytes"),
                               G_VARIANT_TYPE("(v)"), G_DBUS_CALL_FLAGS_NO_AUTO_START, SYSTEMD_TIMEOUT_MSEC, NULL,
                               wait_done, wait);
        reply = g_dbus_connection_call_finish(cli->bus, wait_for(wait), NULL);
        if (!reply)
                return TRUE;
        g_variant_get(reply, "(v)", &bytes);
        return !g_variant_is_of_type(bytes, G_VARIANT_TYPE_UINT64) || g_variant_get_uint64(bytes) != G_MAXUINT64;
}
