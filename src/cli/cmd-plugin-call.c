/* SPDX-License-Identifier: Apache-2.0 */

/* A question for a plugin's RequestHandler: params as JSON in, its result out. */

#include "cli/cmd-plugin.h"
#include "cli/output.h"
#include "cli/variant.h"
#include "cli/wait.h"
#include "config.h"

static void print_json(gboolean success, GVariant *result) {
        JsonObject *object = json_object_new();

        json_object_set_boolean_member(object, "success", success);
        json_object_set_member(object, "result", json_of_variant(result));
        json_print(json_of_object(object));
}

static int run_plugin_call(Cli *cli, int argc, char **argv) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(GVariant) params = NULL, result = NULL;
        g_autoptr(Wait) wait = NULL;
        GError *error = NULL;
        gboolean success;
        int code;

        if (!cli_parse(cli, &verb_plugin_call, NULL, NULL, 0, 2, 3, &argc, &argv))
                return EXIT_CODE_USAGE;
        params = variant_parse(SNOOZE_COMMAND " plugin call", argc > 3 ? argv[3] : "{}");
        if (!params)
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        plugin = cli_open_plugin(cli, argv[1], &error);
        if (!plugin)
                return cli_fail(cli, error);
        cli_need_authorization(cli);
        wait = wait_new(cli, "Waiting for its answer");
        snooze_client_plugin_call_call(plugin, argv[2], params, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done,
                                       wait);
        if (!snooze_client_plugin_call_call_finish(plugin, &success, &result, wait_for(wait), &error))
                return cli_fail(cli, error);
        if (cli->json)
                print_json(success, result);
        else {
                g_autofree char *text = text_of_entries(result);

                g_print("%s", text);
        }
        return success ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

const Verb verb_plugin_call = { "call", "ID METHOD [JSON|-]", "Ask one that answers requests", run_plugin_call };
