/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>
#include <unistd.h>

#include "base/names.h"
#include "cli/cmd-config.h"
#include "cli/cmd-plugin.h"
#include "cli/helper.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"

/* What the daemon, or the helper, would have one type does that step alone. */
static int fail(Cli *cli, const char *id, GError *error) {
        char *advice = strstr(error->message, "; or: ");
        int code;

        if (advice)
                *advice = '\0';
        code = cli_fail(cli, error);
        if (code == EXIT_CODE_REFUSED && advice)
                g_printerr("To uninstall it: %s " SNOOZE_COMMAND " plugin uninstall %s\n", cli_sudo(cli), id);
        return code;
}

/* The helper removes what is left of an earlier one, or says that there is nothing. */
static int uninstall_packaged(Cli *cli, const char *id) {
        g_autofree char *sentence = NULL;
        g_autoptr(GVariant) reply = NULL;
        GError *error = NULL;

        cli_need_authorization(cli);
        reply = helper_call(cli, "Deprovision", g_variant_new("(s)", id), "()", &error);
        if (!reply && snooze_client_error_is(error, "NotSupported")) {
                g_error_free(error);
                g_printerr(SNOOZE_COMMAND ": %s came with a package, which is what to remove; or: %s " SNOOZE_COMMAND
                                          " plugin disable %s\n",
                           id, cli_sudo(cli), id);
                return EXIT_CODE_REFUSED;
        }
        if (!reply)
                return fail(cli, id, error);
        sentence = g_strdup_printf("What an earlier %s had left is gone. The one that came with a package stays; what "
                                   "runs of it is as before until it is started again.",
                                   id);
        return cli_done(cli, sentence);
}

/* TRUE: it may be forgotten. A manifest that is gone, or broken, is no reason to keep the rest. */
static gboolean check_packaged(Cli *cli, const char *id, gboolean *ret_there, int *ret_code) {
        g_autoptr(GVariant) reply = NULL;
        GError *error = NULL;
        gboolean packaged;

        reply = helper_call(cli, "ListPermissions", g_variant_new("(s)", id), "(sba(sbs)as)", &error);
        if (!reply) {
                if (snooze_client_error_is(error, "NoSuchPlugin") ||
                    snooze_client_error_is(error, "InvalidConfiguration")) {
                        *ret_there = !snooze_client_error_is(error, "NoSuchPlugin");
                        g_error_free(error);
                        return TRUE;
                }
                *ret_code = cli_fail(cli, error);
                return FALSE;
        }
        g_variant_get(reply, "(sb@a(sbs)@as)", NULL, &packaged, NULL, NULL);
        *ret_there = TRUE;
        if (packaged)
                *ret_code = uninstall_packaged(cli, id);
        return !packaged;
}

static gboolean unload(Cli *cli, SnoozeClientPlugin *plugin, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Ending it");

        snooze_client_plugin_call_unload(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        return snooze_client_plugin_call_unload_finish(plugin, wait_for(wait), error);
}

/* What it knows it may have told when it has ended. */
static gboolean disable(Cli *cli, const char *id, gboolean *ret_there, GError **error) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(Wait) wait = NULL;
        GError *e = NULL;

        plugin = cli_open_plugin(cli, id, &e);
        if (!plugin) {
                if (!snooze_client_error_is(e, "NoSuchPlugin")) {
                        g_propagate_error(error, e);
                        return FALSE;
                }
                g_error_free(e);
                return TRUE;
        }
        *ret_there = TRUE;
        if (!snooze_client_plugin_get_enabled(plugin))
                return unload(cli, plugin, error);
        wait = wait_new(cli, "Disabling it");
        snooze_client_plugin_call_disable(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        return snooze_client_plugin_call_disable_finish(plugin, wait_for(wait), error) && unload(cli, plugin, error);
}

gboolean plugin_forget(Cli *cli, const char *id, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Removing what is kept of it");

        snooze_client_manager_call_forget_plugin(cli->manager, id, cli_call_flags(cli), cli_timeout(cli), NULL,
                                                 wait_done, wait);
        return snooze_client_manager_call_forget_plugin_finish(cli->manager, wait_for(wait), error);
}

/* FALSE: there was none, which is fine, or *error. */
static gboolean remove_versions(Cli *cli, const char *id, const char *version, GError **error) {
        g_autoptr(GVariant) reply = NULL;
        GError *e = NULL;

        reply = helper_call(cli, "RemoveVersions", g_variant_new("(ss)", id, version), "()", &e);
        if (reply)
                return TRUE;
        if (*version || !snooze_client_error_is(e, "NoSuchPlugin"))
                g_propagate_error(error, e);
        else
                g_error_free(e);
        return FALSE;
}

static int uninstall_version(Cli *cli, const char *id, const char *version) {
        g_autofree char *sentence = g_strdup_printf("Version %s of %s is gone.", version, id);
        GError *error = NULL;

        if (!cli_open_bus(cli, &error))
                return cli_fail(cli, error);
        cli_need_authorization(cli);
        return remove_versions(cli, id, version, &error) ? cli_done(cli, sentence) : cli_fail(cli, error);
}

/* Of the plugin itself or, as ID~1NAME, of one of its subjects. */
static gboolean is_below(const char *pointer, const char *map, const char *id) {
        g_autofree char *own = g_strconcat(map, id, NULL);
        gsize length = strlen(own);

        return strncmp(pointer, own, length) == 0 &&
               (pointer[length] == '\0' || pointer[length] == '/' || strncmp(pointer + length, "~1", 2) == 0);
}

static gboolean is_about(const char *pointer, JsonObject *configuration, const char *id) {
        static const char *const maps[] = { "/plugins/plugin_configs/", "/plugins/timeouts/", "/providers/",
                                            "/sources/" };
        static const char *const choices[] = { "/provider", "/provider_type" };

        for (gsize i = 0; i < G_N_ELEMENTS(maps); i++)
                if (is_below(pointer, maps[i], id))
                        return TRUE;
        for (gsize i = 0; i < G_N_ELEMENTS(choices); i++)
                if (g_str_equal(pointer, choices[i]))
                        return g_str_equal(json_get_string(configuration, choices[i] + 1, ""), id);
        return FALSE;
}

static void add_if_there(GHashTable *files, char *file) {
        if (access(file, F_OK) == 0)
                (void) g_hash_table_add(files, file);
        else
                g_free(file);
}

/* What no origin tells of: the file of secrets, and drop-ins of the administrator's beside the helper's, which are
 * gone by now. Those of another machine are not seen from here. */
static void add_unnamed(const Cli *cli, const char *id, GHashTable *files) {
        const char *directory = g_getenv("SNOOZE_CONFIG_DIRECTORY");

        if (cli->host)
                return;
        add_if_there(files, g_strdup_printf("%s/plugins/%s.env", directory ?: PKGSYSCONFDIR, id));
        add_if_there(files, g_strdup_printf(UNIT_DIRECTORY "/" PLUGIN_UNIT_PREFIX "%s.service.d", id));
        add_if_there(files, g_strdup_printf(UNIT_DIRECTORY "/" PLUGIN_B_UNIT_PREFIX "%s.service.d", id));
}

static gboolean add_origins(Cli *cli, const char *id, GHashTable *files, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(JsonNode) configuration = config_fetch(cli, error);
        g_autoptr(GVariant) origins = NULL;
        const char *pointer, *file;
        GVariantIter iter;

        if (!configuration)
                return FALSE;
        snooze_client_manager_call_get_configuration_origins(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done,
                                                             wait);
        if (!snooze_client_manager_call_get_configuration_origins_finish(cli->manager, &origins, wait_for(wait),
                                                                         error))
                return FALSE;
        g_variant_iter_init(&iter, origins);
        while (g_variant_iter_next(&iter, "{&s&s}", &pointer, &file))
                if (is_about(pointer, json_node_get_object(configuration), id))
                        (void) g_hash_table_add(files, g_strdup(file));
        return TRUE;
}

void plugin_tell_left(Cli *cli, const char *id, const char *heir) {
        g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(GList) sorted = NULL;
        g_autofree char *why = NULL;

        if (cli->manager && !add_origins(cli, id, files, &error)) {
                why = snooze_client_error_message(error);
                g_printerr(SNOOZE_COMMAND ": warning: which files of the configuration say something of %s is not "
                                          "known: %s\n",
                           id, why);
        }
        add_unnamed(cli, id, files);
        sorted = g_list_sort(g_hash_table_get_keys(files), (GCompareFunc) strcmp);
        for (GList *file = sorted; file; file = file->next)
                g_printerr(SNOOZE_COMMAND ": warning: %s says something of %s, which %s gets; it is yours to remove\n",
                           (const char *) file->data, id, heir);
}

/* What an earlier one leaves where it was not uninstalled, or somebody wrote for it. Of another machine only what the
 * daemon tells is seen from here. */
static gboolean is_left(Cli *cli, const char *id) {
        const char *configuration = g_getenv("SNOOZE_CONFIG_DIRECTORY"), *state = g_getenv("SNOOZE_STATE_DIRECTORY");
        g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

        (void) add_origins(cli, id, files, NULL);
        add_unnamed(cli, id, files);
        if (cli->host)
                return g_hash_table_size(files) > 0;
        add_if_there(files, g_strdup_printf("%s/approvals/%s.json", configuration ?: PKGSYSCONFDIR, id));
        add_if_there(files, g_strdup_printf("%s/enabled/%s", state ?: STATE_DIRECTORY, id));
        add_if_there(files, g_strdup_printf("%s/disabled/%s", state ?: STATE_DIRECTORY, id));
        add_if_there(files, g_strdup_printf("/etc/sysusers.d/cloudsnooze-plugin-%s.conf", id));
        add_if_there(files, g_strdup_printf("/usr/local/share/dbus-1/system-services/" PLUGIN_NAME_PREFIX "%s.service",
                                            id));
        return g_hash_table_size(files) > 0;
}

static int uninstall(Cli *cli, const char *id) {
        g_autoptr(GVariant) reply = NULL;
        g_autofree char *sentence = NULL;
        gboolean there = FALSE, installed;
        GError *error = NULL;
        int code;

        code = cli_connect(cli);
        if (code != EXIT_CODE_OK || !check_packaged(cli, id, &there, &code))
                return code;
        there = there || is_left(cli, id);
        cli_need_authorization(cli);
        if (!disable(cli, id, &there, &error) || !plugin_forget(cli, id, &error))
                return fail(cli, id, error);
        reply = helper_call(cli, "Deprovision", g_variant_new("(s)", id), "()", &error);
        if (!reply)
                return fail(cli, id, error);
        installed = remove_versions(cli, id, "", &error);
        if (error)
                return fail(cli, id, error);
        plugin_tell_left(cli, id, "the next plugin of that name");
        if (!there && !installed) {
                g_printerr(SNOOZE_COMMAND ": There is no plugin '%s'%s\n"
                                          "See: %s plugin list\n",
                           id,
                           cli->host ? " there; what the daemon or the helper kept of one of that name is gone."
                                     : ", and nothing that one of that name has left was found.",
                           cli_command(cli));
                return cli->host ? EXIT_CODE_OK : EXIT_CODE_FAILED;
        }
        plugin_discover(cli);
        sentence = g_strdup_printf("%s is disabled; its user, units and permissions are gone, and its state and what "
                                   "was configured for it%s",
                                   id,
                                   installed ? ", and every version of it."
                                             : ". The files in its own directory are yours to remove.");
        return cli_done(cli, sentence);
}

static int run_plugin_uninstall(Cli *cli, int argc, char **argv) {
        if (!cli_parse(cli, &verb_plugin_uninstall,
                       "With a VERSION only that goes, which must not be the one that runs.", NULL, 0, 1, 2, &argc,
                       &argv))
                return EXIT_CODE_USAGE;
        return argc > 2 ? uninstall_version(cli, argv[1], argv[2]) : uninstall(cli, argv[1]);
}

const Verb verb_plugin_uninstall = { "uninstall", "ID [VERSION]", "Forget one that no package brought",
                                     run_plugin_uninstall };
