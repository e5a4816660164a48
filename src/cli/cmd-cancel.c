/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/wait.h"

static int run_cancel(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_cancel, NULL, NULL, 0, 0, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        snooze_client_manager_call_cancel_stop(cli->manager, argc > 1 ? argv[1] : "", cli_call_flags(cli),
                                               cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_manager_call_cancel_stop_finish(cli->manager, wait_for(wait), &error))
                return cli_fail(cli, error);
        return cli_done(cli, "Cancelled; idleness counts from now on.");
}

const Verb verb_cancel = { "cancel", "[REASON]", "End a warning or a stop, and begin to count anew", run_cancel };
