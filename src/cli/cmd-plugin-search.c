/* SPDX-License-Identifier: Apache-2.0 */

/* The installed plugins that fit some words and filters. */

#include "cli/cmd-plugin.h"
#include "cli/output.h"
#include "cli/wait.h"

typedef struct Filters {
        char *capability, *category, *author, *tag;
} Filters;

static GVariant *filter_of(const Filters *filters) {
        g_auto(GVariantDict) filter = G_VARIANT_DICT_INIT(NULL);
        const struct {
                const char *name, *value;
        } given[] = {
                { "capability", filters->capability },
                { "category", filters->category },
                { "author", filters->author },
                { "tag", filters->tag },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(given); i++)
                if (given[i].value)
                        g_variant_dict_insert(&filter, given[i].name, "s", given[i].value);
        return g_variant_dict_end(&filter);
}

static void add_row(Table *table, GVariant *plugin) {
        const char *id = "", *state = "", *version = "", *description = "";
        gboolean enabled = FALSE;

        (void) g_variant_lookup(plugin, "id", "&s", &id);
        (void) g_variant_lookup(plugin, "state", "&s", &state);
        (void) g_variant_lookup(plugin, "version", "&s", &version);
        (void) g_variant_lookup(plugin, "description", "&s", &description);
        (void) g_variant_lookup(plugin, "enabled", "b", &enabled);
        table_add(table, STYLE_PLAIN, id, state, enabled ? "yes" : "no", version, description, NULL);
}

static int tell(Cli *cli, GVariant *plugins) {
        static const char *const titles[] = { "ID", "STATE", "ENABLED", "VERSION", "WHAT", NULL };
        g_autoptr(Table) table = table_new(titles);
        GVariantIter iter;
        GVariant *plugin;

        if (cli->json) {
                json_print(json_of_variant(plugins));
                return EXIT_CODE_OK;
        }
        g_variant_iter_init(&iter, plugins);
        while (g_variant_iter_next(&iter, "@a{sv}", &plugin)) {
                add_row(table, plugin);
                g_variant_unref(plugin);
        }
        if (table_rows(table) > 0)
                table_print(cli, table);
        else if (cli->terminal)
                g_print("No installed plugin fits.\n");
        return EXIT_CODE_OK;
}

static void filters_clear(Filters *filters) {
        g_free(filters->capability);
        g_free(filters->category);
        g_free(filters->author);
        g_free(filters->tag);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Filters, filters_clear)

static int run_plugin_search(Cli *cli, int argc, char **argv) {
        g_auto(Filters) filters = {};
        const GOptionEntry entries[] = {
                { "capability", 0, 0, G_OPTION_ARG_STRING, &filters.capability, "What it serves: IdleCheck, EventHandler, …", "CONTRACT" },
                { "category", 0, 0, G_OPTION_ARG_STRING, &filters.category, "Of this category", "CATEGORY" },
                { "author", 0, 0, G_OPTION_ARG_STRING, &filters.author, "Of this author", "AUTHOR" },
                { "tag", 0, 0, G_OPTION_ARG_STRING, &filters.tag, "With this tag", "TAG" },
                { NULL },
        };
        g_autoptr(GVariant) plugins = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_search, "QUERY is a part of an id, a name, a description or a tag, in any case.", entries, 0, 0, 1,
                       &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        snooze_client_manager_call_search_plugins(cli->manager, argc > 1 ? argv[1] : "", filter_of(&filters), G_DBUS_CALL_FLAGS_NONE, -1,
                                                  NULL, wait_done, wait);
        if (!snooze_client_manager_call_search_plugins_finish(cli->manager, &plugins, wait_for(wait), &error))
                return cli_fail(error);
        return tell(cli, plugins);
}

const Verb verb_plugin_search = { "search", "[QUERY]", "The installed ones that fit", run_plugin_search };
