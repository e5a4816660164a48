/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <string.h>

#include "base/stop-actions.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"
#include "util/duration.h"

static int request(Cli *cli, const char *reason, GVariant *options) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(GVariant) owned = g_variant_ref_sink(options);
        GError *error = NULL;

        cli_need_authorization(cli);
        snooze_client_manager_call_stop_instance(cli->manager, reason, owned, cli_call_flags(cli), cli_timeout(cli),
                                                 NULL, wait_done, wait);
        if (!snooze_client_manager_call_stop_instance_finish(cli->manager, wait_for(wait), &error))
                return cli_fail(cli, error);
        return EXIT_CODE_OK;
}

/* The next 07:30 of the wall clock, also where that is tomorrow; NULL: the text is none. */
static GDateTime *next_clock_time(const char *text) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local(), today = NULL;
        unsigned hour, minute;
        int length = -1;

        if (sscanf(text, "%2u:%2u%n", &hour, &minute, &length) != 2 || text[length] ||
            strspn(text, "0123456789:") != strlen(text))
                return NULL;
        today = g_date_time_new_local(g_date_time_get_year(now), g_date_time_get_month(now),
                                      g_date_time_get_day_of_month(now), (int) hour, (int) minute, 0);
        if (!today)
                return NULL;
        return g_date_time_compare(today, now) > 0 ? g_steal_pointer(&today) : g_date_time_add_days(today, 1);
}

/* µs since the epoch; FALSE: it was said what is expected. */
static gboolean parse_wake(const char *text, guint64 *ret) {
        g_autoptr(GTimeZone) local = g_time_zone_new_local();
        g_autoptr(GDateTime) moment = next_clock_time(text);
        g_autoptr(GDateTime) date = moment ? NULL : g_date_time_new_from_iso8601(text, local);
        uint64_t span;

        if (moment || date)
                *ret = (guint64) MAX(g_date_time_to_unix(moment ?: date), 0) * G_USEC_PER_SEC;
        else if (duration_parse(text, &span, NULL))
                *ret = (guint64) g_get_real_time() + span;
        else {
                (void) cli_usage(SNOOZE_COMMAND " stop",
                                 "--wake: “%s” is no time: expected one as 07:30, 2026-11-30T07:30 or 8h", text);
                return FALSE;
        }
        return TRUE;
}

static int run_stop(Cli *cli, int argc, char **argv) {
        g_autofree char *delay_text = NULL, *action = NULL, *wake_text = NULL, *when = NULL, *message = NULL,
                        *question = NULL;
        gboolean force = FALSE, dry_run = FALSE, yes = FALSE, rehearsed;
        const GOptionEntry entries[] = {
                { "force", 'f', 0, G_OPTION_ARG_NONE, &force, "In spite of holds", NULL },
                { "delay", 0, 0, G_OPTION_ARG_STRING, &delay_text, "Not before the end of SPAN; everybody is warned",
                  "SPAN" },
                { "action", 0, 0, G_OPTION_ARG_STRING, &action, "stop, hibernate or suspend", "ACTION" },
                { "wake", 0, 0, G_OPTION_ARG_STRING, &wake_text,
                  "Have it switch itself on again at TIME, where it can", "TIME" },
                { "dry-run", 0, 0, G_OPTION_ARG_NONE, &dry_run, "Every step but the last", NULL },
                { "yes", 'y', 0, G_OPTION_ARG_NONE, &yes, "Do not ask", NULL },
                { NULL }
        };
        GVariantBuilder options;
        guint64 delay = 0, wake = 0;
        int code;

        if (!cli_parse(cli, &verb_stop, NULL, entries, 0, 0, 1, &argc, &argv) ||
            (delay_text && !cli_parse_duration(&verb_stop, "--delay", delay_text, &delay)))
                return EXIT_CODE_USAGE;
        if (wake_text && !parse_wake(wake_text, &wake))
                return EXIT_CODE_USAGE;
        if (action && !stop_action_known(action))
                return cli_usage(SNOOZE_COMMAND " stop", "--action: “%s” is not " STOP_ACTIONS_EXPECTED, action);
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        /* What every installation begins with counts like the option. */
        rehearsed = dry_run || snooze_client_manager_get_dry_run(cli->manager);
        question = rehearsed   ? g_strdup("Go through every step of a stop but the last?")
                   : cli->host ? g_strdup_printf("Stop %s?", cli->host)
                               : g_strdup("Stop this machine?");
        /* On a terminal a slip of the finger is possible; a script means what it says. */
        if (!yes && !dry_run && cli->interactive &&
            !cli_ask(cli, question)) {
                g_printerr(SNOOZE_COMMAND ": nothing was done\n");
                return EXIT_CODE_FAILED;
        }

        g_variant_builder_init(&options, G_VARIANT_TYPE_VARDICT);
        if (force)
                g_variant_builder_add(&options, "{sv}", "force", g_variant_new_boolean(TRUE));
        if (delay_text)
                g_variant_builder_add(&options, "{sv}", "delay", g_variant_new_uint64(delay));
        if (action)
                g_variant_builder_add(&options, "{sv}", "action", g_variant_new_string(action));
        if (wake_text)
                g_variant_builder_add(&options, "{sv}", "wake", g_variant_new_uint64(wake));
        if (dry_run)
                g_variant_builder_add(&options, "{sv}", "dry-run", g_variant_new_boolean(TRUE));
        code = request(cli, argc > 1 ? argv[1] : "", g_variant_builder_end(&options));
        if (code != EXIT_CODE_OK)
                return code;

        when = text_moment((guint64) g_get_real_time() + delay);
        message = delay_text ? g_strdup_printf("This machine %s at %s. Keep it on: %s cancel",
                                               rehearsed ? "would stop" : "stops", when, cli_command(cli))
                  : rehearsed
                          ? g_strdup_printf("Going through every step of a stop but the last; see: %s status --watch",
                                            cli_command(cli))
                          : g_strdup_printf("Stopping. Too soon? %s cancel", cli_command(cli));
        return cli_done(cli, message);
}

const Verb verb_stop = { "stop", "[--force] [--delay SPAN] [REASON]", "Stop this machine by your own wish", run_stop };
