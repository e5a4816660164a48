/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cmd-doctor.h"

#include "cli/output.h"
#include "cli/wait.h"

static const char *field(GVariant *finding, const char *key) {
        const char *text = "";

        (void) g_variant_lookup(finding, key, "&s", &text);
        return text;
}

/* What is worst comes first. */
static const struct {
        const char *status;
        Style style;
} order[] = {
        { "error", STYLE_BAD },
        { "blind", STYLE_WARN },
        { "warning", STYLE_WARN },
        { "ok", STYLE_GOOD },
};

static unsigned count(GVariant *findings, const char *status) {
        gsize n = g_variant_n_children(findings);
        unsigned found = 0;

        for (gsize i = 0; i < n; i++) {
                g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);

                found += g_str_equal(field(finding, "status"), status);
        }
        return found;
}

static void print_findings(Cli *cli, GVariant *findings, gsize n_statuses, const char *except) {
        static const char *const titles[] = { "STATUS", "CHECK", "WHAT", NULL };
        g_autoptr(Table) table = table_new(titles);
        gsize n = g_variant_n_children(findings);

        for (gsize o = 0; o < n_statuses; o++)
                for (gsize i = 0; i < n; i++) {
                        g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);

                        if (g_str_equal(field(finding, "status"), order[o].status) &&
                            g_strcmp0(field(finding, "check"), except) != 0) {
                                table_add(table, order[o].style, order[o].status, field(finding, "check"),
                                          field(finding, "message"), NULL);
                                table_note(table, field(finding, "advice"));
                        }
                }
        if (table_rows(table) > 0)
                table_print(cli, table);
}

void doctor_print_troubles(Cli *cli, GVariant *findings, const char *except) {
        print_findings(cli, findings, G_N_ELEMENTS(order) - 1, except);
}

GVariant *doctor_fetch(Cli *cli, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Looking at every check");
        GVariant *findings = NULL;

        snooze_client_manager_call_diagnose(cli->manager, G_DBUS_CALL_FLAGS_NONE, CLI_TIMEOUT_MSEC, NULL, wait_done,
                                            wait);
        if (!snooze_client_manager_call_diagnose_finish(cli->manager, &findings, wait_for(wait), error))
                return NULL;
        return findings;
}

static int run_doctor(Cli *cli, int argc, char **argv) {
        g_autoptr(GVariant) findings = NULL;
        unsigned errors, blind, warnings;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_doctor,
                       "Exit status: 1 if something is wrong; what is only blind or warned of is 0.", NULL, 0, 0, 0,
                       &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        findings = doctor_fetch(cli, &error);
        if (!findings)
                return cli_fail(cli, error);
        errors = count(findings, "error");
        blind = count(findings, "blind");
        warnings = count(findings, "warning");
        if (cli->json)
                json_print(json_of_variant(findings));
        else {
                if (errors + blind + warnings == 0)
                        g_print("%sAll %zu checks see what they should.%s\n", style_begin(cli, STYLE_GOOD),
                                g_variant_n_children(findings), style_end(cli));
                else
                        g_print("%s%u wrong, %u blind, %u to look at; %u fine.%s\n", style_begin(cli, STYLE_BOLD),
                                errors, blind, warnings, count(findings, "ok"), style_end(cli));
                print_findings(cli, findings, G_N_ELEMENTS(order), NULL);
        }
        return errors > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

const Verb verb_doctor = { "doctor", "", "What is blind or wrong here, and what to do about it", run_doctor };
