/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"

static int run_release(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GError *error = NULL;
        guint64 cookie;
        int code;

        if (!cli_parse(cli, &verb_release, "COOKIE is the first column of: " SNOOZE_COMMAND " holds", NULL, 0, 1, 1,
                       &argc, &argv))
                return EXIT_CODE_USAGE;
        if (!g_ascii_string_to_unsigned(argv[1], 10, 0, G_MAXUINT32, &cookie, NULL))
                return cli_usage(SNOOZE_COMMAND " release",
                                 "“%s” is no cookie: a number from %s holds is expected", argv[1], cli_command(cli));
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        cli_need_authorization(cli);
        snooze_client_manager_call_release_hold(cli->manager, (guint) cookie, cli_call_flags(cli), cli_timeout(cli),
                                                NULL, wait_done, wait);
        if (!snooze_client_manager_call_release_hold_finish(cli->manager, wait_for(wait), &error))
                return cli_fail(cli, error);
        return cli_done(cli, "Released.");
}

const Verb verb_release = { "release", "COOKIE", "End a hold", run_release };
