/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "cli/cmd-config.h"
#include "cli/config-path.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"

typedef struct Listing {
        const char *only;  /* JSON pointer: this value and all below it; NULL: everything */
        GVariant *origins; /* a{ss} */
        Table *table;
        JsonObject *json;
        char *value;
        char *found; /* the pointer of what was listed last */
        unsigned n;
} Listing;

static const char *origin_of(GVariant *origins, const char *pointer) {
        const char *origin = "default";

        (void) g_variant_lookup(origins, pointer, "&s", &origin);
        return origin;
}

static gboolean is_wanted(const Listing *listing, const char *pointer) {
        return !listing->only || g_str_equal(pointer, listing->only) ||
               (g_str_has_prefix(pointer, listing->only) && pointer[strlen(listing->only)] == '/');
}

char *config_value_text(JsonNode *value) {
        char number[G_ASCII_DTOSTR_BUF_SIZE];

        if (json_node_get_value_type(value) == G_TYPE_STRING)
                return json_node_dup_string(value);
        if (json_node_get_value_type(value) == G_TYPE_DOUBLE)
                return g_strdup(g_ascii_formatd(number, sizeof(number), "%.15g", json_node_get_double(value)));
        return json_text_compact(value);
}

static void list_value(Listing *listing, const char *pointer, JsonNode *value) {
        g_autofree char *key = config_path_display(pointer);
        const char *origin = origin_of(listing->origins, pointer);
        JsonObject *entry;

        g_free(listing->found);
        listing->found = g_strdup(pointer);
        g_free(listing->value);
        listing->value = config_value_text(value);
        table_add(listing->table, STYLE_PLAIN, key, listing->value, origin, NULL);
        entry = json_object_new();
        json_object_set_member(entry, "value", json_node_copy(value));
        json_object_set_string_member(entry, "origin", origin);
        json_object_set_object_member(listing->json, key, entry);
        listing->n++;
}

/* Values are the leaves, and what is empty; a list is one value. */
static void list_below(Listing *listing, const char *pointer, JsonNode *node) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *member;

        if (!JSON_NODE_HOLDS_OBJECT(node) || json_object_get_size(json_node_get_object(node)) == 0) {
                if (*pointer && is_wanted(listing, pointer))
                        list_value(listing, pointer, node);
                return;
        }
        json_object_iter_init_ordered(&iter, json_node_get_object(node));
        while (json_object_iter_next_ordered(&iter, &name, &member)) {
                g_autofree char *escaped = config_path_escape(name);
                g_autofree char *below = g_strconcat(pointer, "/", escaped, NULL);

                list_below(listing, below, member);
        }
}

static char *pointer_of(const char *key) {
        g_auto(GStrv) segments = config_path_split(key);
        g_autoptr(GString) pointer = g_string_new(NULL);

        if (!segments)
                return NULL;
        for (char **segment = segments; *segment; segment++) {
                g_autofree char *escaped = config_path_escape(*segment);

                g_string_append_printf(pointer, "/%s", escaped);
        }
        return g_string_free(g_steal_pointer(&pointer), FALSE);
}

static int print_listing(Cli *cli, Listing *listing, gboolean value_only) {
        if (value_only && !cli->json)
                g_print("%s\n", listing->value);
        else if (cli->json)
                json_print(json_of_object(json_object_ref(listing->json)));
        else
                table_print(cli, listing->table);
        return EXIT_CODE_OK;
}

static int run_config_get(Cli *cli, int argc, char **argv) {
        static const char *const titles[] = { "KEY", "VALUE", "ORIGIN", NULL };
        gboolean value_only = FALSE;
        const GOptionEntry entries[] = {
                { "value", 0, 0, G_OPTION_ARG_NONE, &value_only, "Only the value of KEY", NULL }, { NULL }
        };
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(Table) table = table_new(titles);
        g_autoptr(JsonObject) json = json_object_new();
        g_autoptr(JsonNode) configuration = NULL;
        g_autoptr(GVariant) origins = NULL;
        g_autofree char *only = NULL;
        GError *error = NULL;
        Listing listing = { .table = table, .json = json };
        int code;

        if (!cli_parse(cli, &verb_config_get, "KEY: naptime_minutes, sources.memory, sources.memory.policy", entries,
                       0, 0, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        if (argc > 1 && !(only = pointer_of(argv[1])))
                return cli_usage(SNOOZE_COMMAND " config get",
                                 "“%s” is no key: names with dots between them are expected", argv[1]);
        if (value_only && argc < 2)
                return cli_usage(SNOOZE_COMMAND " config get", "--value needs a KEY");
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        configuration = config_fetch(cli, &error);
        if (!configuration)
                return cli_fail(cli, error);
        snooze_client_manager_call_get_configuration_origins(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done,
                                                             wait);
        if (!snooze_client_manager_call_get_configuration_origins_finish(cli->manager, &origins, wait_for(wait),
                                                                         &error))
                return cli_fail(cli, error);

        listing.only = only;
        listing.origins = origins;
        list_below(&listing, "", configuration);
        if (listing.n == 0) {
                g_printerr(SNOOZE_COMMAND ": there is no key “%s”, or nothing is set there; see: %s config get\n",
                           argc > 1 ? argv[1] : "", cli_command(cli));
                return EXIT_CODE_FAILED;
        }
        if (value_only && !g_str_equal(listing.found, only)) {
                g_printerr(SNOOZE_COMMAND ": “%s” is a section; --value is for a key of it\n", argv[1]);
                code = EXIT_CODE_USAGE;
        } else
                code = print_listing(cli, &listing, value_only);
        g_free(listing.found);
        g_free(listing.value);
        return code;
}

const Verb verb_config_get = { "get", "[KEY]", "Values in force, each with the file that set it", run_config_get };
