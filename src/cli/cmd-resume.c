/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/wait.h"

static int run_resume(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GError *error = NULL;
        gboolean paused;
        int code;

        if (!cli_parse(cli, &verb_resume, NULL, NULL, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        paused = snooze_client_manager_get_paused(cli->manager);
        cli_need_authorization(cli);
        snooze_client_manager_call_resume(cli->manager, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_manager_call_resume_finish(cli->manager, wait_for(wait), &error))
                return cli_fail(cli, error);
        return cli_done(cli, paused ? "Resumed; idleness counts from now on." : "It was not paused.");
}

const Verb verb_resume = { "resume", "", "End a pause", run_resume };
