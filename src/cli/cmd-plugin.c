/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cmd-plugin.h"

#include <string.h>

#include "cli/objects.h"
#include "cli/output.h"
#include "cli/plugin-filter.h"
#include "cli/plugin-text.h"
#include "cli/wait.h"
#include "config.h"

static const Verb verb_plugin_list, verb_plugin_info, verb_plugin_enable, verb_plugin_disable, verb_plugin_restart;

static Style state_style(const char *state) {
        if (g_str_equal(state, "running"))
                return STYLE_GOOD;
        return g_str_equal(state, "failed") || g_str_equal(state, "quarantined") ? STYLE_BAD : STYLE_PLAIN;
}

/* Takes out what the filter leaves out. FALSE with error. */
static gboolean narrow(Cli *cli, const PluginFilter *filter, GPtrArray *plugins, GError **error) {
        g_autoptr(GHashTable) ids = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GVariant) found = NULL;
        const char *id;

        if (plugin_filter_empty(filter))
                return TRUE;
        found = plugin_filter_search(cli, filter, "", error);
        if (!found)
                return FALSE;
        for (gsize i = 0; i < g_variant_n_children(found); i++) {
                g_autoptr(GVariant) row = g_variant_get_child_value(found, i);

                if (g_variant_lookup(row, "id", "&s", &id))
                        g_hash_table_add(ids, (char *) id);
        }
        for (guint i = plugins->len; i > 0; i--)
                if (!g_hash_table_contains(ids, ((const Object *) g_ptr_array_index(plugins, i - 1))->id))
                        g_ptr_array_remove_index(plugins, i - 1);
        return TRUE;
}

static int run_plugin_list(Cli *cli, int argc, char **argv) {
        static const char *const titles[] = { "ID", "STATE", "ENABLED", "VERSION", "WHAT", NULL };
        g_autoptr(Table) table = table_new(titles);
        g_auto(PluginFilter) filter = {};
        const GOptionEntry entries[] = PLUGIN_FILTER_ENTRIES(filter);
        g_autoptr(GPtrArray) plugins = NULL;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_list, NULL, entries, 0, 0, 0, &argc, &argv) ||
            !plugin_filter_check(&filter, &verb_plugin_list))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        plugins = objects_fetch(cli, snooze_client_plugin_interface_info()->name, &error);
        if (!plugins || !narrow(cli, &filter, plugins, &error))
                return cli_fail(cli, error);
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
                g_print(plugin_filter_empty(&filter) ? "No plugin is known.\n" : "No installed plugin fits.\n");
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
        const char *method, *key, *title;
        char *(*text)(GVariant *answer);
} details[] = {
        { "GetConfiguration", "configuration", "Configuration", text_of_variant },
        { "GetStatistics", "statistics", "Statistics", plugin_statistics_text },
        { "GetResources", "resources", "Resources", plugin_resources_text },
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

/* What each lets it do, a row for each. TRUE: not all of it is approved. */
static gboolean add_permissions(Table *table, SnoozeClientPlugin *plugin) {
        GVariant *permissions = snooze_client_plugin_get_permissions(plugin);
        const char *permission, *title = "Permissions";
        gboolean approved, missing = FALSE;
        GVariantIter iter;

        if (!permissions)
                return FALSE;
        g_variant_iter_init(&iter, permissions);
        while (g_variant_iter_next(&iter, "(&sb)", &permission, &approved)) {
                g_autofree char *text = plugin_permission_text(permission, approved);

                table_add(table, approved ? STYLE_DIM : STYLE_WARN, title, text, NULL);
                title = "";
                missing = missing || !approved;
        }
        return missing;
}

gboolean plugin_lacks_approval(const GError *error) {
        return strstr(error->message, "nobody has approved") != NULL;
}

int plugin_fail(const Cli *cli, GError *error) {
        gboolean refused = plugin_lacks_approval(error);
        int code = cli_fail(cli, error);

        return refused ? EXIT_CODE_REFUSED : code;
}

/* Somebody keeps it to what it asks for and may, as GetResources tells; one that does not answer is believed to. */
static gboolean is_enforced(GVariant *resources) {
        gboolean enforced = TRUE;

        if (resources && g_variant_is_of_type(resources, G_VARIANT_TYPE_VARDICT))
                (void) g_variant_lookup(resources, "enforced", "b", &enforced);
        return enforced;
}

/* It asks for what nobody has approved. One that fails for a reason of its own is not helped by that. */
static void tell_missing(const Cli *cli, const char *id, const char *state, const char *problem, gboolean enforced) {
        gboolean refused = problem && strstr(problem, "nobody has approved"), runs = g_str_equal(state, "running");

        if (problem && *problem && !refused && !runs)
                return;
        if (enforced || (refused && !runs))
                g_print("It is not started%s until all of this is approved: %s " SNOOZE_COMMAND
                        " plugin permissions %s --all\n",
                        runs ? " again" : "", cli_sudo(cli), id);
        else if (runs)
                g_print("Not all of this is approved, and nothing holds it to that: without systemd it may do what "
                        "its user may.\n");
        else
                g_print("Not all of this is approved. Without systemd nothing holds it to that, and where there is "
                        "no snooze-helper either it is started all the same.\n");
}

static void print_info_text(Cli *cli, SnoozeClientPlugin *plugin, const char *id) {
        static const char *const titles[] = { "PROPERTY", "VALUE", NULL };
        static const char *const shown[] = {
                "LastError", "Description", "Version",    "MinHostVersion", "Author", "Trust", "Category",
                "Tags",      "Contracts",   "Events",     "Runtime",        "Isolation", "Unit", "Pid",
                "Restarts",  "Homepage",    "Repository", "Dependencies",
        };
        g_autoptr(Table) table = table_new(titles);
        g_autofree char *name = text_clean(snooze_client_plugin_get_display_name(plugin));
        g_autofree char *state = text_clean(snooze_client_plugin_get_state(plugin));
        gboolean missing, enforced = TRUE;

        g_print("%s%s%s (%s): %s, %s%s\n", style_begin(cli, STYLE_BOLD), *name ? name : id, style_end(cli), id, state,
                snooze_client_plugin_get_enabled(plugin) ? "enabled" : "disabled",
                snooze_client_plugin_get_healthy(plugin) ? ", healthy" : "");
        for (gsize i = 0; i < G_N_ELEMENTS(shown); i++) {
                g_autoptr(GVariant) value = g_dbus_proxy_get_cached_property(G_DBUS_PROXY(plugin), shown[i]);
                g_autofree char *text = value ? text_of_variant(value) : g_strdup("");

                if (*text)
                        table_add(table, STYLE_DIM, shown[i], text, NULL);
        }
        missing = add_permissions(table, plugin);
        for (gsize i = 0; i < G_N_ELEMENTS(details); i++) {
                g_autoptr(GVariant) answer = more(cli, plugin, details[i].method);
                g_autofree char *text = answer ? details[i].text(answer) : g_strdup("");

                if (*text)
                        table_add(table, STYLE_DIM, details[i].title, text, NULL);
                if (g_str_equal(details[i].method, "GetResources"))
                        enforced = is_enforced(answer);
        }
        table_print(cli, table);
        if (missing)
                tell_missing(cli, id, state, snooze_client_plugin_get_last_error(plugin), enforced);
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
                return cli_fail(cli, error);
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

static gboolean discover(Cli *cli, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Looking for it");

        snooze_client_manager_call_discover_plugins(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        return snooze_client_manager_call_discover_plugins_finish(cli->manager, NULL, wait_for(wait), error);
}

void plugin_discover(Cli *cli) {
        g_autoptr(GError) error = NULL;
        g_autofree char *message = NULL;

        if (!cli->manager && (!snooze_client_is_running(cli->bus) || cli_connect(cli) != EXIT_CODE_OK))
                return;
        if (discover(cli, &error))
                return;
        message = snooze_client_error_message(error);
        g_printerr(SNOOZE_COMMAND ": warning: snoozed may not have seen this yet: %s\n", message);
}

SnoozeClientPlugin *plugin_open_just_put(Cli *cli, const char *id, GError **error) {
        g_autoptr(GError) unknown = NULL;
        SnoozeClientPlugin *plugin = cli_open_plugin(cli, id, &unknown);

        if (plugin)
                return plugin;
        if (!snooze_client_error_is(unknown, "NoSuchPlugin")) {
                g_propagate_error(error, g_steal_pointer(&unknown));
                return NULL;
        }
        /* Whether it is there now is what counts. */
        (void) discover(cli, NULL);
        return cli_open_plugin(cli, id, error);
}

/* It may run, and will not. */
static void warn_failed(Cli *cli, const char *id) {
        g_autoptr(SnoozeClientPlugin) plugin = cli_open_plugin(cli, id, NULL);
        g_autofree char *problem = NULL;

        if (!plugin || g_strcmp0(snooze_client_plugin_get_state(plugin), "failed") != 0)
                return;
        problem = text_clean(snooze_client_plugin_get_last_error(plugin));
        g_printerr(SNOOZE_COMMAND ": warning: it is not started: %s\n", problem);
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

        plugin = enabled ? plugin_open_just_put(cli, argv[1], &error) : cli_open_plugin(cli, argv[1], &error);
        if (!plugin || !set_enabled(cli, plugin, enabled, &error))
                return cli_fail(cli, error);
        if (enabled)
                warn_failed(cli, argv[1]);
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
                return plugin_fail(cli, error);
        return cli_done(cli, "Restarted.");
}

static const Verb verb_plugin_restart = { "restart", "ID", "End it and start it again, also out of quarantine",
                                          run_plugin_restart };

static int run_plugin(Cli *cli, int argc, char **argv) {
        static const Verb *const verbs[] = { &verb_plugin_list,        &verb_plugin_search,    &verb_plugin_info,
                                             &verb_plugin_enable,      &verb_plugin_disable,   &verb_plugin_restart,
                                             &verb_plugin_configure,   &verb_plugin_install,   &verb_plugin_update,
                                             &verb_plugin_permissions, &verb_plugin_uninstall, &verb_plugin_new,
                                             &verb_plugin_test,        &verb_plugin_call,      &verb_plugin_process,
                                             NULL };

        return cli_dispatch(cli, SNOOZE_COMMAND " plugin", verb_plugin.summary, verbs, argc, argv);
}

const Verb verb_plugin = {
        "plugin",
        "list|search|info|enable|disable|restart|configure|install|update|permissions|uninstall|new|test|call|"
        "process …",
        "The programs that know more than the metrics do", run_plugin
};
