/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/history.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"

static GVariant *fetch_samples(Cli *cli, guint64 span, guint maximum, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Reading the samples");
        guint64 now = (guint64) g_get_real_time();
        GVariant *samples = NULL;

        snooze_client_manager_call_get_samples(cli->manager, span > 0 && span < now ? now - span : 0, 0, maximum,
                                               G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_get_samples_finish(cli->manager, &samples, wait_for(wait), error))
                return NULL;
        return samples;
}

static void print_rows(Cli *cli, GVariant *rows) {
        static const char *const titles[] = { "TIME", "KIND", "WHAT", NULL };
        g_autoptr(Table) table = table_new(titles);

        for (gsize i = g_variant_n_children(rows); i > 0; i--) {
                g_autoptr(GVariant) row = g_variant_get_child_value(rows, i - 1);
                g_autofree char *time = NULL, *text = NULL;

                time = text_moment(history_time(row));
                text = history_text(row);
                table_add(table, STYLE_PLAIN, time, history_kind(row), text, NULL);
        }
        if (table_rows(table) > 0)
                table_print(cli, table);
        else if (cli->terminal)
                g_print("Nothing is on record for that time.\n");
}

static JsonNode *rows_json(GVariant *rows) {
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);
        JsonArray *array = json_array_new();

        for (gsize i = g_variant_n_children(rows); i > 0; i--) {
                g_autoptr(GVariant) row = g_variant_get_child_value(rows, i - 1);

                json_array_add_element(array, json_of_variant(row));
        }
        json_node_take_array(node, array);
        return node;
}

/* One that is misspelt would look like a quiet day. */
static gboolean is_kind(const char *kind) {
        static const char *const kinds[] = { "state", "votes", "stop", "hold", "event", "problem", "call", NULL };

        return g_strv_contains(kinds, kind);
}

static int run_history(Cli *cli, int argc, char **argv) {
        g_autofree char *since = NULL, *kind = NULL;
        gboolean samples = FALSE;
        int maximum = 1000;
        const GOptionEntry entries[] = {
                { "since", 0, 0, G_OPTION_ARG_STRING, &since, "How far back: 8h, 2d (1 day)", "SPAN" },
                { "kind", 0, 0, G_OPTION_ARG_STRING, &kind, "Only state, votes, stop, hold, event, problem or call",
                  "KIND" },
                { "samples", 0, 0, G_OPTION_ARG_NONE, &samples, "What was measured instead", NULL },
                { "max", 'n', 0, G_OPTION_ARG_INT, &maximum, "At most so many rows, the latest ones (1000)", "N" },
                { NULL }
        };
        g_autoptr(GVariant) rows = NULL;
        GError *error = NULL;
        guint64 span = G_GUINT64_CONSTANT(24) * 3600 * G_USEC_PER_SEC;
        int code;

        if (!cli_parse(cli, &verb_history, NULL, entries, 0, 0, 0, &argc, &argv) ||
            (since && !cli_parse_duration(&verb_history, "--since", since, &span)))
                return EXIT_CODE_USAGE;
        if (maximum < 1 || maximum > (int) HISTORY_MAX)
                return cli_usage(SNOOZE_COMMAND " history", "--max: %d is not from 1 to %u", maximum, HISTORY_MAX);
        if (kind && !is_kind(kind))
                return cli_usage(SNOOZE_COMMAND " history",
                                 "--kind: “%s” is not state, votes, stop, hold, event, problem or call", kind);
        if (kind && samples)
                return cli_usage(SNOOZE_COMMAND " history", "--samples are of no KIND");
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        rows = samples ? fetch_samples(cli, span, (guint) maximum, &error)
                       : history_fetch(cli, span, kind, (guint) maximum, &error);
        if (!rows)
                return cli_fail(cli, error);
        if (cli->json)
                json_print(rows_json(rows));
        else
                print_rows(cli, rows);
        return EXIT_CODE_OK;
}

const Verb verb_history = { "history", "[--since SPAN] [--kind KIND]", "What happened, oldest first", run_history };
