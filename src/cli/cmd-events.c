/* SPDX-License-Identifier: Apache-2.0 */

/* What was announced, and what came of it. */

#include "cli/history.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"

#define EVENTS_MAX 1000
#define SHOWN 20

typedef struct Follow {
        Cli *cli;
} Follow;

static const char *severity_name(GVariant *event) {
        static const char *const names[] = { "info", "warning", "urgent", "critical" };
        guint32 severity = 0;

        (void) g_variant_lookup(event, "severity", "u", &severity);
        return severity < G_N_ELEMENTS(names) ? names[severity] : "?";
}

static gboolean is_set(GVariant *event, const char *key) {
        gboolean value = FALSE;

        return g_variant_lookup(event, key, "b", &value) && value;
}

/* "drain, webhook (did not answer HandleEvent within 5 s)" */
static char *results_text(GVariant *results) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (gsize i = 0; results && i < g_variant_n_children(results); i++) {
                g_autoptr(GVariant) row = g_variant_get_child_value(results, i);
                g_autofree char *plugin = text_clean(history_string(row, "plugin")),
                                *error = text_clean(history_string(row, "error"));

                g_string_append_printf(text, "%s%s", text->len > 0 ? ", " : "", plugin);
                if (*error)
                        g_string_append_printf(text, " (%s)", error);
                else if (!is_set(row, "handled"))
                        g_string_append(text, " (not handled)");
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *outcome_text(gboolean handled, GVariant *results) {
        g_autofree char *who = results_text(results);

        if (!*who)
                return g_strdup("no handler");
        return g_strdup_printf("%s: %s", handled ? "handled" : "not handled", who);
}

static char *state_text(GVariant *event) {
        g_autoptr(GVariant) results = g_variant_lookup_value(event, "results", G_VARIANT_TYPE("aa{sv}"));
        g_autofree char *outcome = NULL, *left = NULL;
        guint64 deadline = history_moment(event, "deadline");

        if (is_set(event, "finished")) {
                outcome = outcome_text(is_set(event, "handled"), results);
                return is_set(event, "cancelled") ? g_strdup_printf("cancelled; %s", outcome)
                                                  : g_steal_pointer(&outcome);
        }
        if (is_set(event, "cancelled"))
                return g_strdup("cancelled");
        if (deadline <= (guint64) g_get_real_time())
                return g_strdup("out of time");
        left = text_distance(deadline);
        return g_strdup_printf("under way, %s left", left);
}

static void print_table(Cli *cli, GVariant *events) {
        static const char *const titles[] = { "TIME", "TYPE", "SEVERITY", "FROM", "WHAT CAME OF IT", NULL };
        g_autoptr(Table) table = table_new(titles);

        for (gsize i = g_variant_n_children(events); i > 0; i--) {
                g_autoptr(GVariant) event = g_variant_get_child_value(events, i - 1);
                g_autofree char *time = text_moment(history_moment(event, "timestamp")), *state = state_text(event);

                table_add(table, is_set(event, "finished") ? STYLE_PLAIN : STYLE_WARN, time,
                          history_string(event, "type"), severity_name(event), history_string(event, "source"), state,
                          NULL);
        }
        if (table_rows(table) > 0)
                table_print(cli, table);
        else if (cli->terminal)
                g_print("No events are on record.\n");
}

static JsonNode *events_json(GVariant *events) {
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);
        JsonArray *array = json_array_new();

        for (gsize i = g_variant_n_children(events); i > 0; i--) {
                g_autoptr(GVariant) event = g_variant_get_child_value(events, i - 1);

                json_array_add_element(array, json_of_variant(event));
        }
        json_node_take_array(node, array);
        return node;
}

/* One line each, the same for a person and a program: what, and of which event. */
static void tell(const Follow *follow, const char *what, const char *id, const char *key, GVariant *value,
                 const char *words) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        g_autofree char *time = g_date_time_format(now, "%H:%M:%S");
        g_autofree char *clean = text_clean(words), *name = text_clean(id);

        if (follow->cli->json) {
                JsonObject *line = json_object_new();

                json_object_set_int_member(line, "time", g_get_real_time());
                json_object_set_string_member(line, "what", what);
                json_object_set_string_member(line, "id", id);
                json_object_set_member(line, key, json_of_variant(value));
                json_print_line(json_of_object(line));
        } else
                g_print("%s  %s%s%s  %s  %s\n", time, style_begin(follow->cli, STYLE_BOLD), what,
                        style_end(follow->cli), name, clean);
}

static void on_received(SnoozeClientManager *manager, const char *id, const char *type, GVariant *event,
                        gpointer userdata) {
        g_autofree char *left = text_distance(history_moment(event, "deadline"));
        g_autofree char *words = g_strdup_printf("%s (%s) from %s, %s left", type, severity_name(event),
                                                 history_string(event, "source"), left);

        tell(userdata, "received", id, "event", event, words);
}

static void on_cancelled(SnoozeClientManager *manager, const char *id, const char *source, gpointer userdata) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_string(source));

        tell(userdata, "cancelled", id, "source", value, source);
}

static void on_moved(SnoozeClientManager *manager, const char *id, const char *source, guint64 deadline,
                     gpointer userdata) {
        g_autoptr(GVariant) value = g_variant_ref_sink(g_variant_new_uint64(deadline));
        g_autofree char *left = text_distance(deadline);
        g_autofree char *words = g_strdup_printf("by %s, %s left", source, left);

        tell(userdata, "moved", id, "deadline", value, words);
}

static void on_finished(SnoozeClientManager *manager, const char *id, gboolean handled, GVariant *results,
                        gpointer userdata) {
        g_autofree char *words = outcome_text(handled, results);

        tell(userdata, "finished", id, "results", results, words);
}

static GVariant *fetch(Cli *cli, guint maximum, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Reading the events");
        GVariant *events = NULL;

        snooze_client_manager_call_list_events(cli->manager, maximum, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done,
                                               wait);
        if (!snooze_client_manager_call_list_events_finish(cli->manager, &events, wait_for(wait), error))
                return NULL;
        return events;
}

static int run_events(Cli *cli, int argc, char **argv) {
        gboolean follow = FALSE;
        int maximum = SHOWN;
        const GOptionEntry entries[] = { { "follow", 'f', 0, G_OPTION_ARG_NONE, &follow,
                                           "Go on, with a line for everything that happens", NULL },
                                         { "max", 'n', 0, G_OPTION_ARG_INT, &maximum,
                                           "At most so many, the latest ones (20)", "N" },
                                         { NULL } };
        Follow state = { .cli = cli };
        g_autoptr(WaitEnd) end = NULL;
        g_autoptr(GVariant) events = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_events, NULL, entries, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        if (maximum < 1 || maximum > EVENTS_MAX)
                return cli_usage(SNOOZE_COMMAND " events", "--max: %d is not from 1 to %d", maximum, EVENTS_MAX);
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        /* Before the list is read: what happens between the two is told once more, not missed. */
        if (follow) {
                end = wait_end_new(cli);
                g_signal_connect(cli->manager, "event-received", G_CALLBACK(on_received), &state);
                g_signal_connect(cli->manager, "event-cancelled", G_CALLBACK(on_cancelled), &state);
                g_signal_connect(cli->manager, "event-moved", G_CALLBACK(on_moved), &state);
                g_signal_connect(cli->manager, "event-finished", G_CALLBACK(on_finished), &state);
        }
        events = fetch(cli, (guint) maximum, &error);
        if (!events)
                return cli_fail(cli, error);
        if (!cli->json)
                print_table(cli, events);
        else if (!follow)
                json_print(events_json(events));
        if (follow) {
                code = wait_for_end(end);
                g_signal_handlers_disconnect_by_data(cli->manager, &state);
        }
        return code;
}

const Verb verb_events = { "events", "[--follow] [--max N]", "What was announced, and what came of it", run_events };
