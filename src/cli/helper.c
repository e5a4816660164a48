/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/helper.h"

#include "cli/wait.h"

#define HELPER_NAME "io.cloudsnooze.Helper1"
#define HELPER_PATH "/io/cloudsnooze/Helper1"

GVariant *helper_call(Cli *cli, const char *method, GVariant *arguments, const char *reply, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snooze-helper");

        g_dbus_connection_call(cli->bus, HELPER_NAME, HELPER_PATH, HELPER_NAME, method, arguments,
                               G_VARIANT_TYPE(reply), cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        return g_dbus_connection_call_finish(cli->bus, wait_for(wait), error);
}
