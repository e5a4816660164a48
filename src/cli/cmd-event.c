/* SPDX-License-Identifier: Apache-2.0 */

/* Announces something oneself: `snooze event emit`. */

#include "cli/output.h"
#include "cli/variant.h"
#include "cli/wait.h"
#include "config.h"

/* As in EmitEvent. */
#define SEVERITY_OF_TYPE G_MAXUINT32

static int run_emit(Cli *cli, int argc, char **argv);

static const Verb verb_event_emit = { "emit", "[--severity N] [--deadline SPAN] [--data JSON] TYPE",
                                      "Hand an event to every handler of its type", run_emit };

/* A number, or a word for it. FALSE: neither. */
static gboolean parse_severity(const char *text, guint32 *ret) {
        static const char *const names[] = { "info", "warning", "urgent", "critical" };

        for (guint32 i = 0; i < G_N_ELEMENTS(names); i++)
                if (g_str_equal(text, names[i]) || (text[0] == (char) ('0' + i) && text[1] == '\0')) {
                        *ret = i;
                        return TRUE;
                }
        return FALSE;
}

static int emit(Cli *cli, const char *type, guint32 severity, guint64 deadline, GVariant *data) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *id = NULL, *name = NULL;
        GError *error = NULL;

        cli_need_authorization(cli);
        snooze_client_manager_call_emit_event(cli->manager, type, severity, deadline, data, cli_call_flags(cli),
                                              cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_manager_call_emit_event_finish(cli->manager, &id, wait_for(wait), &error))
                return cli_fail(cli, error);
        name = text_clean(id);
        if (cli->json) {
                JsonObject *object = json_object_new();

                json_object_set_string_member(object, "id", id);
                json_print(json_of_object(object));
        } else if (cli->terminal)
                g_print("%s. What comes of it: %s events\n", name, cli_command(cli));
        else
                g_print("%s\n", name);
        return EXIT_CODE_OK;
}

static int run_emit(Cli *cli, int argc, char **argv) {
        g_autofree char *severity_text = NULL, *deadline_text = NULL, *data_text = NULL;
        const GOptionEntry entries[] = { { "severity", 's', 0, G_OPTION_ARG_STRING, &severity_text,
                                           "0 info, 1 warning, 2 urgent, 3 critical (that of the type)", "N" },
                                         { "deadline", 'd', 0, G_OPTION_ARG_STRING, &deadline_text,
                                           "So long the handlers have (that of the type)", "SPAN" },
                                         { "data", 0, 0, G_OPTION_ARG_STRING, &data_text,
                                           "A JSON object for the handlers; - reads it from stdin", "JSON" },
                                         { NULL } };
        g_autoptr(GVariant) data = NULL;
        guint32 severity = SEVERITY_OF_TYPE;
        guint64 span = 0;
        int code;

        if (!cli_parse(cli, &verb_event_emit, NULL, entries, 0, 1, 1, &argc, &argv) ||
            (deadline_text && !cli_parse_duration(&verb_event_emit, "--deadline", deadline_text, &span)))
                return EXIT_CODE_USAGE;
        if (severity_text && !parse_severity(severity_text, &severity))
                return cli_usage(SNOOZE_COMMAND " event emit",
                                 "--severity: “%s” is not 0, 1, 2 or 3 (info, warning, urgent, critical)",
                                 severity_text);
        data = variant_parse(SNOOZE_COMMAND " event emit", data_text ?: "{}");
        if (!data)
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        return emit(cli, argv[1], severity, deadline_text ? (guint64) g_get_real_time() + span : 0, data);
}

static int run_event(Cli *cli, int argc, char **argv) {
        static const Verb *const verbs[] = { &verb_event_emit, NULL };

        return cli_dispatch(cli, SNOOZE_COMMAND " event", verb_event.summary, verbs, argc, argv);
}

const Verb verb_event = { "event", "emit …", "Announce something yourself", run_event };
