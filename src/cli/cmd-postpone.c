/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/wait.h"

static int run_postpone(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *until = NULL, *message = NULL;
        GError *error = NULL;
        guint64 span;
        int code;

        if (!cli_parse(cli, &verb_postpone, "SPAN: 90, 20min, 2h, 1h 30min", NULL, 0, 1, 2, &argc, &argv) ||
            !cli_parse_duration(&verb_postpone, "SPAN", argv[1], &span))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        snooze_client_manager_call_postpone(cli->manager, span, argc > 2 ? argv[2] : "", cli_call_flags(cli),
                                            cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_manager_call_postpone_finish(cli->manager, wait_for(wait), &error))
                return cli_fail(error);
        until = text_moment((guint64) g_get_real_time() + span);
        message = g_strdup_printf("This machine does not stop itself before %s.", until);
        return cli_done(cli, message);
}

const Verb verb_postpone = { "postpone", "SPAN [REASON]", "No stop before the end of SPAN", run_postpone };
