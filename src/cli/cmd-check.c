/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/wait.h"

static int code_of(const char *verdict) {
        if (g_str_equal(verdict, "idle"))
                return EXIT_CODE_OK;
        return g_str_equal(verdict, "busy") ? EXIT_CODE_FAILED : EXIT_CODE_UNKNOWN;
}

/* A failure is no verdict: whoever tests for "busy" must not take it for one. */
static int fail(GError *error) {
        int code = cli_fail(error);

        return code == EXIT_CODE_FAILED ? EXIT_CODE_UNKNOWN : code;
}

static int tell(Cli *cli, const char *source, const char *verdict, const char *reason, GVariant *details) {
        g_autofree char *clean = text_clean(reason);
        g_autofree char *word = text_clean(verdict);

        if (cli->json) {
                JsonObject *object = json_object_new();

                if (source)
                        json_object_set_string_member(object, "source", source);
                else
                        json_object_set_boolean_member(object, "idle", g_str_equal(verdict, "idle"));
                json_object_set_string_member(object, "verdict", verdict);
                json_object_set_string_member(object, "reason", reason);
                if (details)
                        json_object_set_member(object, "details", json_of_variant(details));
                json_print(json_of_object(object));
                return code_of(verdict);
        }
        if (*word)
                *word = g_ascii_toupper(*word);
        g_print("%s%s%s: %s\n", style_begin(cli, STYLE_BOLD), word, style_end(cli), clean);
        if (details && g_variant_n_children(details) > 0) {
                g_autofree char *text = text_of_variant(details);

                g_print("  %s\n", text);
        }
        return code_of(verdict);
}

static int check_all(Cli *cli, gboolean quiet) {
        g_autoptr(Wait) wait = wait_new(cli, "Asking every check");
        g_autofree char *reason = NULL;
        GError *error = NULL;
        gboolean idle;

        snooze_client_manager_call_check_now(cli->manager, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done,
                                             wait);
        if (!snooze_client_manager_call_check_now_finish(cli->manager, &idle, &reason, wait_for(wait), &error))
                return fail(error);
        return quiet ? EXIT_CODE_OK : tell(cli, NULL, idle ? "idle" : "busy", reason, NULL);
}

/* A built-in metric, or one subject of a plugin: everything is asked anew, and its line of Explain is the answer. */
static int check_source(Cli *cli, const char *name) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *state = NULL, *why = NULL;
        g_autoptr(GString) known = g_string_new(NULL);
        g_autoptr(GVariant) votes = NULL;
        const char *source, *verdict, *reason;
        GError *error = NULL;
        GVariantIter iter;
        GVariant *evidence;
        int code;

        code = check_all(cli, TRUE);
        if (code != EXIT_CODE_OK)
                return code;
        snooze_client_manager_call_explain(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_explain_finish(cli->manager, &state, &why, &votes, wait_for(wait), &error))
                return fail(error);

        g_variant_iter_init(&iter, votes);
        while (g_variant_iter_next(&iter, "(&s&s&s@a{sv})", &source, &verdict, &reason, &evidence)) {
                g_autoptr(GVariant) owned = evidence;
                g_autofree char *clean = text_clean(source);

                if (g_str_equal(source, name))
                        return tell(cli, source, verdict, reason, owned);
                g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", clean);
        }
        g_printerr("snooze: there is no check “%s”; there are: %s\n", name, known->str);
        return EXIT_CODE_UNKNOWN;
}

static int check_one(Cli *cli, const char *name) {
        g_autoptr(Wait) wait = wait_new(cli, "Asking the check");
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autofree char *verdict = NULL, *reason = NULL;
        g_autoptr(GVariant) details = NULL;
        g_autoptr(GError) missing = NULL;
        GError *error = NULL;

        plugin = cli_open_plugin(cli, name, &missing);
        if (!plugin)
                return snooze_client_error_outcome(missing) == SNOOZE_CLIENT_FAILED ? check_source(cli, name)
                                                                                    : fail(g_steal_pointer(&missing));

        snooze_client_plugin_call_check_idle(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_plugin_call_check_idle_finish(plugin, &verdict, &reason, &details, wait_for(wait), &error))
                return fail(error);
        return tell(cli, name, verdict, reason, details);
}

static int run_check(Cli *cli, int argc, char **argv) {
        int code;

        if (!cli_parse(cli, &verb_check,
                       "NAME is a plugin, a metric (cpu, memory, network, disk, gpu, input) or a plugin's subject "
                       "ID/NAME.\n"
                       "Exit status: 0 idle, 1 busy, 5 unknown, absent, failed or no such check.",
                       NULL, 0, 0, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        return argc > 1 ? check_one(cli, argv[1]) : check_all(cli, FALSE);
}

const Verb verb_check = { "check", "[NAME]", "Ask every check now, or one", run_check };
