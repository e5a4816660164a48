/* SPDX-License-Identifier: Apache-2.0 */

/* Puts a version that is installed in the place of the one that runs. */

#include "cli/cmd-plugin.h"
#include "cli/output.h"
#include "cli/wait.h"

/* Asked for: what the proxy has cached is as old as the last signal that it has looked at. */
static char *version_of(Cli *cli, SnoozeClientPlugin *plugin, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(GVariant) reply = NULL, value = NULL;

        g_dbus_proxy_call(G_DBUS_PROXY(plugin), "org.freedesktop.DBus.Properties.Get",
                          g_variant_new("(ss)", snooze_client_plugin_interface_info()->name, "Version"),
                          G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        reply = g_dbus_proxy_call_finish(G_DBUS_PROXY(plugin), wait_for(wait), error);
        if (!reply)
                return NULL;
        g_variant_get(reply, "(v)", &value);
        return g_variant_is_of_type(value, G_VARIANT_TYPE_STRING) ? g_variant_dup_string(value, NULL) : g_strdup("");
}

static gboolean upgrade(Cli *cli, SnoozeClientPlugin *plugin, const char *version, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Replacing it");

        snooze_client_plugin_call_upgrade(plugin, version, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done,
                                          wait);
        return snooze_client_plugin_call_upgrade_finish(plugin, wait_for(wait), error);
}

static int tell(const Cli *cli, const char *from, const char *to) {
        g_autofree char *old = text_clean(from), *new = text_clean(to);
        JsonObject *object;

        if (!cli->json) {
                if (g_str_equal(from, to))
                        g_print("It runs %s already.\n", new);
                else
                        g_print("%s → %s\n", old, new);
                return EXIT_CODE_OK;
        }
        object = json_object_new();
        json_object_set_string_member(object, "from", from);
        json_object_set_string_member(object, "to", to);
        json_print(json_of_object(object));
        return EXIT_CODE_OK;
}

static int run_plugin_update(Cli *cli, int argc, char **argv) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autofree char *from = NULL, *to = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_update,
                       "VERSION has to be installed, and may be an older one; without it, the newest that is.", NULL,
                       0, 1, 2, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        plugin = cli_open_plugin(cli, argv[1], &error);
        if (!plugin)
                return cli_fail(cli, error);
        cli_need_authorization(cli);
        from = version_of(cli, plugin, &error);
        if (!from || !upgrade(cli, plugin, argc > 2 ? argv[2] : "", &error))
                return plugin_fail(cli, error);
        to = version_of(cli, plugin, &error);
        return to ? tell(cli, from, to) : cli_fail(cli, error);
}

const Verb verb_plugin_update = { "update", "ID [VERSION]",
                                  "Run another version that is installed, without losing a call", run_plugin_update };
