/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "cli/history.h"
#include "cli/output.h"
#include "cli/wait.h"

static Style verdict_style(const char *verdict) {
        if (g_str_equal(verdict, "busy"))
                return STYLE_BAD;
        if (g_str_equal(verdict, "unknown"))
                return STYLE_WARN;
        return g_str_equal(verdict, "idle") ? STYLE_GOOD : STYLE_DIM;
}

/* "sessions/pts/3" is one subject of sessions. */
static gboolean is_subject_of(const char *source, const char *plugin) {
        gsize length = strlen(plugin);

        return strncmp(source, plugin, length) == 0 && source[length] == '/';
}

static const char *source_of(GVariant *votes, gsize index) {
        g_autoptr(GVariant) vote = g_variant_get_child_value(votes, index);
        const char *source;

        g_variant_get_child(vote, 0, "&s", &source);
        return source;
}

/* The plugin whose subject it is, if that is among the votes; else the index itself. */
static gsize owner_of(GVariant *votes, gsize index) {
        gsize n = g_variant_n_children(votes);

        for (gsize i = 0; i < n; i++)
                if (is_subject_of(source_of(votes, index), source_of(votes, i)))
                        return i;
        return index;
}

static void add_vote(GVariantBuilder *builder, GVariant *votes, gsize index) {
        g_autoptr(GVariant) vote = g_variant_get_child_value(votes, index);

        g_variant_builder_add_value(builder, vote);
}

/* Each plugin's subjects below it, in whatever order they came to be known. */
static GVariant *grouped(GVariant *votes) {
        gsize n = g_variant_n_children(votes);
        g_autofree gsize *owners = g_new0(gsize, n + 1);
        GVariantBuilder builder;

        for (gsize i = 0; i < n; i++)
                owners[i] = owner_of(votes, i);
        g_variant_builder_init(&builder, G_VARIANT_TYPE("a(sssa{sv})"));
        for (gsize i = 0; i < n; i++) {
                if (owners[i] != i)
                        continue;
                add_vote(&builder, votes, i);
                for (gsize k = 0; k < n; k++)
                        if (k != i && owners[k] == i)
                                add_vote(&builder, votes, k);
        }
        return g_variant_ref_sink(g_variant_builder_end(&builder));
}

/* On a terminal a subject stands indented below its plugin, whose name needs no repetition; what a program reads has
 * it in full. */
static char *source_label(const Cli *cli, GVariant *votes, gsize index) {
        const char *source = source_of(votes, index);
        gsize owner = owner_of(votes, index);

        if (!cli->terminal || owner == index)
                return g_strdup(source);
        return g_strdup_printf("  %s", source + strlen(source_of(votes, owner)) + 1);
}

static void print_votes(Cli *cli, GVariant *votes) {
        static const char *const titles[] = { "SOURCE", "VERDICT", "POLICY", "REASON", NULL };
        g_autoptr(Table) table = table_new(titles);
        const char *verdict, *reason;
        GVariantIter iter;
        GVariant *evidence;

        g_variant_iter_init(&iter, votes);
        for (gsize i = 0; g_variant_iter_next(&iter, "(&s&s&s@a{sv})", NULL, &verdict, &reason, &evidence); i++) {
                g_autofree char *label = source_label(cli, votes, i);
                const char *policy = "";

                (void) g_variant_lookup(evidence, "policy", "&s", &policy);
                table_add(table, verdict_style(verdict), label, verdict, policy, reason, NULL);
                g_variant_unref(evidence);
        }
        table_print(cli, table);
}

/* What its subjects say has lines of its own. */
static char *evidence_text(GVariant *evidence, gboolean has_subjects) {
        g_autoptr(GVariant) rest = NULL;
        GVariantBuilder builder;
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_variant_builder_init(&builder, G_VARIANT_TYPE_VARDICT);
        g_variant_iter_init(&iter, evidence);
        while (g_variant_iter_loop(&iter, "{&sv}", &key, &value))
                if (!has_subjects || !g_str_equal(key, "votes"))
                        g_variant_builder_add(&builder, "{sv}", key, value);
        rest = g_variant_ref_sink(g_variant_builder_end(&builder));
        return text_of_variant(rest);
}

static void print_evidence(Cli *cli, GVariant *votes) {
        static const char *const titles[] = { "SOURCE", "EVIDENCE", NULL };
        g_autoptr(Table) table = table_new(titles);
        gsize n = g_variant_n_children(votes);

        for (gsize i = 0; i < n; i++) {
                g_autoptr(GVariant) vote = g_variant_get_child_value(votes, i);
                g_autoptr(GVariant) evidence = g_variant_get_child_value(vote, 3);
                g_autofree char *label = source_label(cli, votes, i);
                g_autofree char *text = evidence_text(evidence, i + 1 < n && owner_of(votes, i + 1) == i);

                table_add(table, STYLE_PLAIN, label, text, NULL);
        }
        g_print("\n");
        table_print(cli, table);
}

/* States with the time that each lasted, oldest first. Rows come newest first, so each ends where the one before it in
 * the answer began. */
static void print_states(Cli *cli, GVariant *rows) {
        static const char *const titles[] = { "FROM", "LASTED", "STATE", "REASON", NULL };
        g_autoptr(Table) table = table_new(titles);
        gsize n = g_variant_n_children(rows);
        g_autofree guint64 *ends = g_new0(guint64, n + 1);
        guint64 end = (guint64) g_get_real_time();

        for (gsize i = 0; i < n; i++) {
                g_autoptr(GVariant) row = g_variant_get_child_value(rows, i);

                ends[i] = end;
                end = history_time(row);
        }
        for (gsize i = n; i > 0; i--) {
                g_autoptr(GVariant) row = g_variant_get_child_value(rows, i - 1);
                g_autofree char *from = text_moment(history_time(row));
                g_autofree char *lasted =
                        text_span(ends[i - 1] > history_time(row) ? ends[i - 1] - history_time(row) : 0);
                table_add(table, STYLE_PLAIN, from, lasted, history_string(row, "state"),
                          history_string(row, "reason"), NULL);
        }
        g_print("\n");
        if (table_rows(table) > 0)
                table_print(cli, table);
        else
                g_print("No change of state is on record for that time.\n");
}

static JsonNode *votes_json(GVariant *votes) {
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);
        JsonArray *array = json_array_new();
        const char *source, *verdict, *reason;
        GVariantIter iter;
        GVariant *evidence;

        g_variant_iter_init(&iter, votes);
        while (g_variant_iter_next(&iter, "(&s&s&s@a{sv})", &source, &verdict, &reason, &evidence)) {
                JsonObject *vote = json_object_new();

                json_object_set_string_member(vote, "source", source);
                json_object_set_string_member(vote, "verdict", verdict);
                json_object_set_string_member(vote, "reason", reason);
                json_object_set_member(vote, "evidence", json_of_variant(evidence));
                json_array_add_object_element(array, vote);
                g_variant_unref(evidence);
        }
        json_node_take_array(node, array);
        return node;
}

static void print_json(const char *state, const char *reason, GVariant *votes, GVariant *history) {
        JsonObject *object = json_object_new();

        json_object_set_string_member(object, "state", state);
        json_object_set_string_member(object, "reason", reason);
        json_object_set_member(object, "votes", votes_json(votes));
        if (history)
                json_object_set_member(object, "history", json_of_variant(history));
        json_print(json_of_object(object));
}

static int run_why(Cli *cli, int argc, char **argv) {
        gboolean verbose = FALSE;
        g_autofree char *since = NULL, *state = NULL, *reason = NULL, *clean = NULL;
        const GOptionEntry entries[] = {
                { "verbose", 'v', 0, G_OPTION_ARG_NONE, &verbose, "With the evidence of each source", NULL },
                { "since", 0, 0, G_OPTION_ARG_STRING, &since, "Also the states of this span: 8h, 2d", "SPAN" },
                { NULL }
        };
        g_autoptr(GVariant) votes = NULL, shown = NULL, history = NULL;
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GError *error = NULL;
        guint64 span = 0;
        int code;

        if (!cli_parse(cli, &verb_why, NULL, entries, 0, 0, 0, &argc, &argv) ||
            (since && !cli_parse_duration(&verb_why, "--since", since, &span)))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        snooze_client_manager_call_explain(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_explain_finish(cli->manager, &state, &reason, &votes, wait_for(wait), &error))
                return cli_fail(cli, error);
        if (since) {
                history = history_fetch(cli, span, "state", HISTORY_MAX, &error);
                if (!history)
                        return cli_fail(cli, error);
        }

        if (cli->json) {
                print_json(state, reason, votes, history);
                return EXIT_CODE_OK;
        }
        clean = text_clean(reason);
        if (*state)
                *state = g_ascii_toupper(*state);
        g_print("%s%s: %s%s\n", style_begin(cli, STYLE_BOLD), state, clean, style_end(cli));
        shown = grouped(votes);
        print_votes(cli, shown);
        if (verbose)
                print_evidence(cli, shown);
        if (history)
                print_states(cli, history);
        return EXIT_CODE_OK;
}

const Verb verb_why = { "why", "[-v] [--since SPAN]", "Why this machine is on, source by source", run_why };
