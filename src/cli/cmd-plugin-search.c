/* SPDX-License-Identifier: Apache-2.0 */

/* The installed plugins that fit some words and filters. */

#include "cli/cmd-plugin.h"
#include "cli/output.h"
#include "cli/plugin-filter.h"

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

static int run_plugin_search(Cli *cli, int argc, char **argv) {
        g_auto(PluginFilter) filter = {};
        const GOptionEntry entries[] = PLUGIN_FILTER_ENTRIES(filter);
        g_autoptr(GVariant) plugins = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_search,
                       "QUERY is a part of an id, a name, a description or a tag, in any case.", entries, 0, 0, 1,
                       &argc, &argv) ||
            !plugin_filter_check(&filter, &verb_plugin_search))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        plugins = plugin_filter_search(cli, &filter, argc > 1 ? argv[1] : "", &error);
        return plugins ? tell(cli, plugins) : cli_fail(cli, error);
}

const Verb verb_plugin_search = { "search", "[QUERY]", "The installed ones that fit", run_plugin_search };
