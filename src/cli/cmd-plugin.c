/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cmd-plugin.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/plugin-text.h"
#include "cli/wait.h"

static const Verb verb_plugin_list, verb_plugin_info, verb_plugin_enable, verb_plugin_disable, verb_plugin_restart;

static Style state_style(const char *state) {
        if (g_str_equal(state, "running"))
                return STYLE_GOOD;
        return g_str_equal(state, "failed") || g_str_equal(state, "quarantined") ? STYLE_BAD : STYLE_PLAIN;
}

static int run_plugin_list(Cli *cli, int argc, char **argv) {
        static const char *const titles[] = { "ID", "STATE", "ENABLED", "VERSION", "WHAT", NULL };
        g_autoptr(Table) table = table_new(titles);
        g_autoptr(GPtrArray) plugins = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_list, NULL, NULL, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        plugins = objects_fetch(cli, snooze_client_plugin_interface_info()->name, &error);
        if (!plugins)
                return cli_fail(error);
        if (cli->json) {
                json_print(objects_json(plugins));
                return EXIT_CODE_OK;
        }
        for (guint i = 0; i < plugins->len; i++) {
                const Object *plugin = g_ptr_array_index(plugins, i);
                const char *trouble = object_string(plugin, "LastError");

                table_add(table, state_style(object_string(plugin, "State")), plugin->id,
                          object_string(plugin, "State"), object_boolean(plugin, "Enabled") ? "yes" : "no",
                          object_string(plugin, "Version"), *trouble ? trouble : object_string(plugin, "Description"),
                          NULL);
        }
        if (table_rows(table) > 0)
                table_print(cli, table);
        else if (cli->terminal)
                g_print("No plugin is known.\n");
        return EXIT_CODE_OK;
}

static const Verb verb_plugin_list = { "list", "", "Every plugin, and whether it runs", run_plugin_list };

/* What only methods tell: they may fail, for a plugin that never ran has nothing to tell. */
static GVariant *more(Cli *cli, SnoozeClientPlugin *plugin, const char *method) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(GVariant) reply = NULL;

        g_dbus_proxy_call(G_DBUS_PROXY(plugin), method, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        reply = g_dbus_proxy_call_finish(G_DBUS_PROXY(plugin), wait_for(wait), NULL);
        if (!reply || !g_variant_is_of_type(reply, G_VARIANT_TYPE("(a{sv})")))
                return NULL;
        return g_variant_get_child_value(reply, 0);
}

static const struct {
        const char *method, *key;
        char *(*text)(GVariant *answer);
} details[] = {
        { "GetConfiguration", "configuration", text_of_variant },
        { "GetStatistics", "statistics", plugin_statistics_text },
        { "GetResources", "resources", plugin_resources_text },
};

static void print_info_json(Cli *cli, SnoozeClientPlugin *plugin) {
        JsonObject *object = json_of_properties(G_DBUS_PROXY(plugin));

        for (gsize i = 0; i < G_N_ELEMENTS(details); i++) {
                g_autoptr(GVariant) answer = more(cli, plugin, details[i].method);

                if (answer)
                        json_object_set_member(object, details[i].key, json_of_variant(answer));
        }
        json_print(json_of_object(object));
}

static void print_info_text(Cli *cli, SnoozeClientPlugin *plugin, const char *id) {
        static const char *const titles[] = { "PROPERTY", "VALUE", NULL };
        static const char *const shown[] = {
                "LastError", "Description", "Version",  "Author",      "Trust",      "Category",
                "Tags",      "Contracts",   "Events",   "Permissions", "Runtime",    "Isolation",
                "Unit",      "Pid",         "Restarts", "Homepage",    "Repository", "Dependencies",
        };
        g_autoptr(Table) table = table_new(titles);
        g_autofree char *name = text_clean(snooze_client_plugin_get_display_name(plugin));
        g_autofree char *state = text_clean(snooze_client_plugin_get_state(plugin));

        g_print("%s%s%s (%s): %s, %s%s\n", style_begin(cli, STYLE_BOLD), *name ? name : id, style_end(cli), id, state,
                snooze_client_plugin_get_enabled(plugin) ? "enabled" : "disabled",
                snooze_client_plugin_get_healthy(plugin) ? ", healthy" : "");
        for (gsize i = 0; i < G_N_ELEMENTS(shown); i++) {
                g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(G_DBUS_PROXY(plugin), shown[i]);
                g_autofree char *text = value ? text_of_variant(value) : g_strdup("");

                if (*text)
                        table_add(table, STYLE_DIM, shown[i], text, NULL);
        }
        for (gsize i = 0; i < G_N_ELEMENTS(details); i++) {
                g_autoptr(GVariant) answer = more(cli, plugin, details[i].method);
                g_autofree char *text = answer ? details[i].text(answer) : g_strdup("");

                if (*text)
                        table_add(table, STYLE_DIM, details[i].key, text, NULL);
        }
        table_print(cli, table);
}

static int run_plugin_info(Cli *cli, int argc, char **argv) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_info, NULL, NULL, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        plugin = cli_open_plugin(cli, argv[1], &error);
        if (!plugin)
                return cli_fail(error);
        if (cli->json)
                print_info_json(cli, plugin);
        else
                print_info_text(cli, plugin, argv[1]);
        return EXIT_CODE_OK;
}

static const Verb verb_plugin_info = { "info", "ID", "All that is known of one", run_plugin_info };

static gboolean set_enabled(Cli *cli, SnoozeClientPlugin *plugin, gboolean enabled, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, enabled ? "Enabling it" : "Disabling it");

        cli_need_authorization(cli);
        if (enabled) {
                snooze_client_plugin_call_enable(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
                return snooze_client_plugin_call_enable_finish(plugin, wait_for(wait), error);
        }
        snooze_client_plugin_call_disable(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        return snooze_client_plugin_call_disable_finish(plugin, wait_for(wait), error);
}

static int run_set_enabled(Cli *cli, const Verb *verb, gboolean enabled, int argc, char **argv) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, verb, NULL, NULL, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        plugin = cli_open_plugin(cli, argv[1], &error);
        if (!plugin || !set_enabled(cli, plugin, enabled, &error))
                return cli_fail(error);
        return cli_done(cli, enabled ? "Enabled." : "Disabled.");
}

static int run_plugin_enable(Cli *cli, int argc, char **argv) {
        return run_set_enabled(cli, &verb_plugin_enable, TRUE, argc, argv);
}

static const Verb verb_plugin_enable = { "enable", "ID", "Let it run, and ask it", run_plugin_enable };

static int run_plugin_disable(Cli *cli, int argc, char **argv) {
        return run_set_enabled(cli, &verb_plugin_disable, FALSE, argc, argv);
}

static const Verb verb_plugin_disable = { "disable", "ID", "End it, and do not start it again", run_plugin_disable };

static gboolean restart(Cli *cli, SnoozeClientPlugin *plugin, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Restarting it");

        cli_need_authorization(cli);
        snooze_client_plugin_call_restart(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        return snooze_client_plugin_call_restart_finish(plugin, wait_for(wait), error);
}

static int run_plugin_restart(Cli *cli, int argc, char **argv) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_restart, NULL, NULL, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        plugin = cli_open_plugin(cli, argv[1], &error);
        if (!plugin || !restart(cli, plugin, &error))
                return cli_fail(error);
        return cli_done(cli, "Restarted.");
}

static const Verb verb_plugin_restart = { "restart", "ID", "End it and start it again, also out of quarantine", run_plugin_restart };

static int run_plugin(Cli *cli, int argc, char **argv) {
        static const Verb *const verbs[] = { &verb_plugin_list, &verb_plugin_search, &verb_plugin_info, &verb_plugin_enable,
                                             &verb_plugin_disable, &verb_plugin_restart, &verb_plugin_configure, &verb_plugin_install, &verb_plugin_update,
                                             &verb_plugin_permissions, &verb_plugin_uninstall, &verb_plugin_new, &verb_plugin_test,
                                             &verb_plugin_call, NULL };

        return cli_dispatch(cli, "snooze plugin", verb_plugin.summary, verbs, argc, argv);
}

const Verb verb_plugin = { "plugin", "list|search|info|enable|disable|restart|configure|install|update|permissions|uninstall|new|test|call …",
                           "The programs that know more than the metrics do", run_plugin };
