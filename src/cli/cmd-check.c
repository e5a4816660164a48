/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"

#define COMMAND_PLUGIN "command"

static int code_of(const char *verdict) {
        if (g_str_equal(verdict, "idle"))
                return EXIT_CODE_OK;
        return g_str_equal(verdict, "busy") ? EXIT_CODE_FAILED : EXIT_CODE_UNKNOWN;
}

/* A failure is no verdict: whoever tests for "busy" must not take it for one. */
static int fail(const Cli *cli, GError *error) {
        int code = cli_fail(cli, error);

        return code == EXIT_CODE_FAILED ? EXIT_CODE_UNKNOWN : code;
}

/* Of a plugin with several subjects: one that is busy is enough, and none may be unknown. */
static const char *fold(const char *verdict, GVariant *votes) {
        GVariantIter iter;
        GVariant *entry;

        g_variant_iter_init(&iter, votes);
        while (g_variant_iter_next(&iter, "@a{sv}", &entry)) {
                G_GNUC_UNUSED g_autoptr(GVariant) owned = entry;
                const char *one = "unknown";

                (void) g_variant_lookup(entry, "verdict", "&s", &one);
                if (g_str_equal(one, "busy"))
                        return "busy";
                if (!g_str_equal(one, "idle") && g_str_equal(verdict, "idle"))
                        verdict = "unknown";
        }
        return verdict;
}

static void print_votes(GVariant *votes) {
        GVariantIter iter;
        GVariant *entry;

        g_variant_iter_init(&iter, votes);
        while (g_variant_iter_next(&iter, "@a{sv}", &entry)) {
                G_GNUC_UNUSED g_autoptr(GVariant) owned = entry;
                g_autofree char *name = NULL, *verdict = NULL, *reason = NULL;
                const char *text[3] = { "", "", "" };

                (void) g_variant_lookup(entry, "name", "&s", &text[0]);
                (void) g_variant_lookup(entry, "verdict", "&s", &text[1]);
                (void) g_variant_lookup(entry, "reason", "&s", &text[2]);
                name = text_clean(text[0]);
                verdict = text_clean(text[1]);
                reason = text_clean(text[2]);
                g_print("  %s %s: %s\n", name, verdict, reason);
        }
}

static void print_details(GVariant *details, GVariant *votes) {
        g_auto(GVariantDict) rest = G_VARIANT_DICT_INIT(details);
        g_autoptr(GVariant) shown = NULL;

        if (votes) {
                print_votes(votes);
                g_variant_dict_remove(&rest, "votes");
        }
        shown = g_variant_ref_sink(g_variant_dict_end(&rest));
        if (g_variant_n_children(shown) > 0) {
                g_autofree char *text = text_of_variant(shown);

                g_print("  %s\n", text);
        }
}

static int tell(Cli *cli, const char *source, const char *verdict, const char *reason, GVariant *details) {
        g_autoptr(GVariant) votes =
                details ? g_variant_lookup_value(details, "votes", G_VARIANT_TYPE("aa{sv}")) : NULL;
        g_autofree char *clean = text_clean(reason);
        g_autofree char *word = NULL;

        if (votes)
                verdict = fold(verdict, votes);
        word = text_clean(verdict);
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
        if (details)
                print_details(details, votes);
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
                return fail(cli, error);
        return quiet ? EXIT_CODE_OK : tell(cli, NULL, idle ? "idle" : "busy", reason, NULL);
}

/* The line of Explain is the answer: of a built-in metric, and of a plugin that is gone and still has a vote. wanted
 * "": there is none, and those that there are are named. */
static int tell_source(Cli *cli, const char *name, const char *wanted) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *state = NULL, *why = NULL;
        g_autoptr(GString) known = g_string_new(NULL);
        g_autoptr(GVariant) votes = NULL;
        const char *source, *verdict, *reason;
        GError *error = NULL;
        GVariantIter iter;
        GVariant *evidence;

        snooze_client_manager_call_explain(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_explain_finish(cli->manager, &state, &why, &votes, wait_for(wait), &error))
                return fail(cli, error);

        g_variant_iter_init(&iter, votes);
        while (g_variant_iter_next(&iter, "(&s&s&s@a{sv})", &source, &verdict, &reason, &evidence)) {
                g_autoptr(GVariant) owned = evidence;
                g_autofree char *clean = text_clean(source);

                if (g_str_equal(source, wanted))
                        return tell(cli, source, verdict, reason, owned);
                g_string_append_printf(known, "%s%s", known->len > 0 ? ", " : "", clean);
        }
        g_printerr(SNOOZE_COMMAND ": there is no check “%s”; there are: %s\n", name, known->str);
        return EXIT_CODE_UNKNOWN;
}

static int check_metric(Cli *cli, const char *name) {
        int code = check_all(cli, TRUE);

        return code == EXIT_CODE_OK ? tell_source(cli, name, name) : code;
}

/* One subject of a plugin; without a slash, one file of checks.d. */
static int check_subject(Cli *cli, const char *name) {
        const char *slash = strchr(name, '/'), *subject = slash ? slash + 1 : name;
        g_autofree char *id = slash ? g_strndup(name, (gsize) (slash - name)) : g_strdup(COMMAND_PLUGIN),
                        *source = g_strdup_printf("%s/%s", id, subject), *verdict = NULL, *reason = NULL;
        g_autoptr(SnoozeClientPlugin) plugin = cli_open_plugin(cli, id, NULL);
        g_autoptr(Wait) wait = NULL;
        g_autoptr(GVariant) details = NULL;
        g_autoptr(GError) error = NULL;

        if (!plugin)
                return tell_source(cli, name, name);
        wait = wait_new(cli, "Asking the check");
        snooze_client_plugin_call_check_subject(plugin, subject, cli_call_flags(cli), cli_timeout(cli), NULL,
                                                wait_done, wait);
        if (snooze_client_plugin_call_check_subject_finish(plugin, &verdict, &reason, &details, wait_for(wait),
                                                           &error))
                return tell(cli, source, verdict, reason, details);
        if (snooze_client_error_is(error, "InvalidArgument"))
                return tell_source(cli, name, slash ? "" : name);
        /* Where no file of checks.d is asked there is none of this name either. */
        if (!slash && snooze_client_error_is(error, "NotRunning"))
                return tell_source(cli, name, name);
        return fail(cli, g_steal_pointer(&error));
}

/* What is the id of no plugin. */
static int check_other(Cli *cli, const char *name) {
        static const char *const metrics[] = { "cpu", "memory", "network", "disk", "gpu", "input", NULL };

        return g_strv_contains(metrics, name) ? check_metric(cli, name) : check_subject(cli, name);
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
                return snooze_client_error_outcome(missing) == SNOOZE_CLIENT_FAILED
                               ? check_other(cli, name)
                               : fail(cli, g_steal_pointer(&missing));

        snooze_client_plugin_call_check_idle(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_plugin_call_check_idle_finish(plugin, &verdict, &reason, &details, wait_for(wait), &error))
                return fail(cli, error);
        return tell(cli, name, verdict, reason, details);
}

static int run_check(Cli *cli, int argc, char **argv) {
        int code;

        if (!cli_parse(cli, &verb_check,
                       "NAME is a plugin, a metric (cpu, memory, network, disk, gpu, input), a file in "
                       "/etc/cloudsnooze/checks.d, or a plugin's subject ID/NAME.\n"
                       "Exit status: 0 idle, 1 busy, 5 unknown, absent, failed or no such check.",
                       NULL, 0, 0, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        return argc > 1 ? check_one(cli, argv[1]) : check_all(cli, FALSE);
}

const Verb verb_check = { "check", "[NAME]", "Ask every check now, or one", run_check };
