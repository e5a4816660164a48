/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cmd-plugin.h"
#include "cli/helper.h"
#include "cli/wait.h"

/* TRUE: it may be forgotten. A manifest that is gone, or broken, is no reason to keep the rest. */
static gboolean check_packaged(Cli *cli, const char *id, int *ret_code) {
        g_autoptr(GVariant) reply = NULL;
        GError *error = NULL;
        gboolean packaged;

        reply = helper_call(cli, "ListPermissions", g_variant_new("(s)", id), "(sba(sbs))", &error);
        if (!reply) {
                if (snooze_client_error_is(error, "NoSuchPlugin") ||
                    snooze_client_error_is(error, "InvalidConfiguration")) {
                        g_error_free(error);
                        return TRUE;
                }
                *ret_code = cli_fail(error);
                return FALSE;
        }
        g_variant_get(reply, "(sb@a(sbs))", NULL, &packaged, NULL);
        if (packaged)
                *ret_code = cli_usage("snooze plugin uninstall",
                                      "%s came with a package, which is what to remove; or: sudo snooze plugin "
                                      "disable %s",
                                      id, id);
        return !packaged;
}

static gboolean disable(Cli *cli, const char *id, GError **error) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(Wait) wait = NULL;
        GError *e = NULL;

        plugin = cli_open_plugin(cli, id, &e);
        if (!plugin) {
                if (!snooze_client_error_is(e, "NoSuchPlugin")) {
                        g_propagate_error(error, e);
                        return FALSE;
                }
                g_error_free(e);
                return TRUE;
        }
        if (!snooze_client_plugin_get_enabled(plugin))
                return TRUE;
        wait = wait_new(cli, "Disabling it");
        snooze_client_plugin_call_disable(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        return snooze_client_plugin_call_disable_finish(plugin, wait_for(wait), error);
}

static int run_plugin_uninstall(Cli *cli, int argc, char **argv) {
        g_autoptr(GVariant) reply = NULL;
        g_autofree char *sentence = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_uninstall, NULL, NULL, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK || !check_packaged(cli, argv[1], &code))
                return code;
        cli_need_authorization(cli);
        if (!disable(cli, argv[1], &error))
                return cli_fail(error);
        reply = helper_call(cli, "Deprovision", g_variant_new("(s)", argv[1]), "()", &error);
        if (!reply)
                return cli_fail(error);
        sentence = g_strdup_printf("%s is disabled; its user, units and permissions are gone. The files in its own "
                                   "directory are yours to remove.",
                                   argv[1]);
        return cli_done(cli, sentence);
}

const Verb verb_plugin_uninstall = { "uninstall", "ID", "Forget one that no package brought", run_plugin_uninstall };
