/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/timed-hold.h"
#include "cli/wait.h"
#include "config.h"

/* Between the daemon's clock at the call and ours after it. */
#define END_TOLERANCE (UINT64_C(30) * G_USEC_PER_SEC)

typedef struct Postponement {
        guint cookie; /* 0: not to be seen (any more) */
        guint64 until;
} Postponement;

/* Postpone itself tells no number: of those with this reason and end the latest is ours. */
static Postponement find(Cli *cli, guint64 until, const char *reason) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        Postponement found = { 0, until };
        g_autoptr(GVariant) holds = NULL;
        const char *who, *why, *kind;
        guint64 since, end;
        GVariantIter iter;
        guint cookie;

        snooze_client_manager_call_list_holds(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_list_holds_finish(cli->manager, &holds, wait_for(wait), NULL))
                return found;
        g_variant_iter_init(&iter, holds);
        while (g_variant_iter_next(&iter, "(u&s&s&stt)", &cookie, &who, &why, &kind, &since, &end))
                if (g_str_equal(kind, "postpone") && g_str_equal(why, reason) && cookie > found.cookie &&
                    MAX(end, until) - MIN(end, until) < END_TOLERANCE)
                        found = (Postponement) { cookie, end };
        return found;
}

static int run_postpone(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *until = NULL;
        const char *reason;
        Postponement postponement;
        GError *error = NULL;
        guint64 span;
        int code;

        if (!cli_parse(cli, &verb_postpone, "SPAN: 90, 20min, 2h, 1h 30min", NULL, 0, 1, 2, &argc, &argv) ||
            !cli_parse_duration(&verb_postpone, "SPAN", argv[1], &span))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        reason = argc > 2 ? argv[2] : "";
        snooze_client_manager_call_postpone(cli->manager, span, reason, cli_call_flags(cli), cli_timeout(cli), NULL,
                                            wait_done, wait);
        if (!snooze_client_manager_call_postpone_finish(cli->manager, wait_for(wait), &error))
                return timed_hold_fail(cli, error, (guint64) g_get_real_time() + span);
        postponement = find(cli, (guint64) g_get_real_time() + span, reason);
        if (cli->json) {
                timed_hold_print_json(postponement.cookie, postponement.until, TRUE);
                return EXIT_CODE_OK;
        }
        until = text_moment(postponement.until);
        g_print("This machine does not stop itself before %s.", until);
        if (postponement.cookie > 0)
                g_print(" Take it back: %s release %u", cli_command(cli), postponement.cookie);
        g_print("\n");
        return EXIT_CODE_OK;
}

const Verb verb_postpone = { "postpone", "SPAN [REASON]", "No stop before the end of SPAN", run_postpone };
