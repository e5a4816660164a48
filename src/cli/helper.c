/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/helper.h"

#include <gio/gunixfdlist.h>

#include "cli/wait.h"

#define HELPER_NAME "io.cloudsnooze.Helper1"
#define HELPER_PATH "/io/cloudsnooze/Helper1"

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
