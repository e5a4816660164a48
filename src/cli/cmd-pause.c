/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"

static int run_pause(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *message = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_pause, NULL, NULL, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        cli_need_authorization(cli);
        snooze_client_manager_call_pause(cli->manager, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_manager_call_pause_finish(cli->manager, wait_for(wait), &error))
                return cli_fail(cli, error);
        message = g_strdup_printf("Paused: nothing is decided, for at most pause_max_hours. Go on before: "
                                  "%s " SNOOZE_COMMAND " resume",
                                  cli_sudo(cli));
        return cli_done(cli, message);
}

const Verb verb_pause = { "pause", "", "Decide nothing until resume", run_pause };
