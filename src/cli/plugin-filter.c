/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/plugin-filter.h"

#include "cli/wait.h"
#include "config.h"
#include "manifest/manifest.h"

void plugin_filter_clear(PluginFilter *filter) {
        g_free(filter->capability);
        g_free(filter->category);
        g_free(filter->author);
        g_free(filter->tag);
}

gboolean plugin_filter_check(const PluginFilter *filter, const Verb *verb) {
        g_autofree char *group = g_strdup_printf(SNOOZE_COMMAND " plugin %s", verb->name), *known = NULL;

        if (!filter->capability || g_strv_contains(manifest_contract_names, filter->capability))
                return TRUE;
        known = g_strjoinv(", ", (char **) manifest_contract_names);
        (void) cli_usage(group, "--capability: “%s” is none of %s", filter->capability, known);
        return FALSE;
}

gboolean plugin_filter_empty(const PluginFilter *filter) {
        return !filter->capability && !filter->category && !filter->author && !filter->tag;
}

static GVariant *to_variant(const PluginFilter *filter) {
        g_auto(GVariantDict) dictionary = G_VARIANT_DICT_INIT(NULL);
        const struct {
                const char *name, *value;
        } given[] = {
                { "capability", filter->capability },
                { "category", filter->category },
                { "author", filter->author },
                { "tag", filter->tag },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(given); i++)
                if (given[i].value)
                        g_variant_dict_insert(&dictionary, given[i].name, "s", given[i].value);
        return g_variant_dict_end(&dictionary);
}

GVariant *plugin_filter_search(Cli *cli, const PluginFilter *filter, const char *query, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GVariant *plugins;

        snooze_client_manager_call_search_plugins(cli->manager, query, to_variant(filter), G_DBUS_CALL_FLAGS_NONE, -1,
                                                  NULL, wait_done, wait);
        if (!snooze_client_manager_call_search_plugins_finish(cli->manager, &plugins, wait_for(wait), error))
                return NULL;
        return plugins;
}
