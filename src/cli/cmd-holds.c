/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/wait.h"

static void print_holds(Cli *cli, GVariant *holds) {
        static const char *const titles[] = { "COOKIE", "KIND", "SINCE", "UNTIL", "WHO", "WHY", NULL };
        g_autoptr(Table) table = table_new(titles);
        const char *who, *why, *kind;
        guint64 since, until;
        GVariantIter iter;
        guint cookie;

        g_variant_iter_init(&iter, holds);
        while (g_variant_iter_next(&iter, "(u&s&s&stt)", &cookie, &who, &why, &kind, &since, &until)) {
                g_autofree char *number = cookie > 0 ? g_strdup_printf("%u", cookie) : g_strdup("-");
                g_autofree char *from = since > 0 ? text_moment(since) : g_strdup("-");
                g_autofree char *to = until > 0 ? text_moment(until) : g_strdup("it ends");

                table_add(table, STYLE_BOLD, number, kind, from, to, who, why, NULL);
        }
        if (table_rows(table) > 0)
                table_print(cli, table);
        else if (cli->terminal)
                g_print("Nobody holds this machine on.\n");
}

static JsonNode *holds_json(GVariant *holds) {
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);
        JsonArray *array = json_array_new();
        const char *who, *why, *kind;
        guint64 since, until;
        GVariantIter iter;
        guint cookie;

        g_variant_iter_init(&iter, holds);
        while (g_variant_iter_next(&iter, "(u&s&s&stt)", &cookie, &who, &why, &kind, &since, &until)) {
                JsonObject *hold = json_object_new();

                json_object_set_int_member(hold, "cookie", cookie);
                json_object_set_string_member(hold, "who", who);
                json_object_set_string_member(hold, "why", why);
                json_object_set_string_member(hold, "kind", kind);
                json_object_set_int_member(hold, "since", (gint64) since);
                json_object_set_int_member(hold, "until", (gint64) until);
                json_array_add_object_element(array, hold);
        }
        json_node_take_array(node, array);
        return node;
}

static int run_holds(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(GVariant) holds = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_holds, NULL, NULL, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        snooze_client_manager_call_list_holds(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_list_holds_finish(cli->manager, &holds, wait_for(wait), &error))
                return cli_fail(cli, error);
        if (cli->json)
                json_print(holds_json(holds));
        else
                print_holds(cli, holds);
        return EXIT_CODE_OK;
}

const Verb verb_holds = { "holds", "", "Who keeps this machine on", run_holds };
