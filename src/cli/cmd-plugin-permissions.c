/* SPDX-License-Identifier: Apache-2.0 */

/* What a plugin asks for beyond its closed unit, and whether somebody approved it. The helper is asked and told, not
 * the daemon: who approves is this program's caller. */

#include <string.h>

#include "cli/cmd-plugin.h"
#include "cli/helper.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"
#include "manifest/permission.h"

typedef struct Asked {
        const char *version; /* NULL: the one that counts */
        char *digest;
        gboolean packaged;
        GVariant *permissions; /* a(sbs) */
        char **terms;          /* on which they are approved: approvals_terms_of() */
        gboolean widened;      /* systemd cannot tell the addresses apart that some of them name */
} Asked;

static void asked_clear(Asked *asked) {
        g_clear_pointer(&asked->digest, g_free);
        g_clear_pointer(&asked->permissions, g_variant_unref);
        g_clear_pointer(&asked->terms, g_strfreev);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Asked, asked_clear)

typedef struct Changes {
        char **approve, **revoke;
        gboolean all, none;
} Changes;

static gboolean list_version(Cli *cli, const char *id, Asked *asked, GError **error) {
        g_autoptr(GVariant) reply = helper_call(cli, "ListVersionPermissions",
                                                g_variant_new("(ss)", id, asked->version), "(sa(sbs)as)", error);

        if (!reply)
                return FALSE;
        asked_clear(asked);
        g_variant_get(reply, "(s@a(sbs)^as)", &asked->digest, &asked->permissions, &asked->terms);
        asked->packaged = FALSE;
        return TRUE;
}

static gboolean list_current(Cli *cli, const char *id, Asked *ret, GError **error) {
        g_autoptr(GVariant) reply =
                helper_call(cli, "ListPermissions", g_variant_new("(s)", id), "(sba(sbs)as)", error);

        if (!reply)
                return FALSE;
        asked_clear(ret);
        g_variant_get(reply, "(sb@a(sbs)^as)", &ret->digest, &ret->packaged, &ret->permissions, &ret->terms);
        return TRUE;
}

static gboolean any_names_addresses(const Asked *asked) {
        const char *permission;
        GVariantIter iter;

        g_variant_iter_init(&iter, asked->permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &permission, NULL, NULL))
                if (permission_names_addresses(permission))
                        return TRUE;
        return FALSE;
}

static gboolean list(Cli *cli, const char *id, Asked *ret, GError **error) {
        if (!(ret->version ? list_version(cli, id, ret, error) : list_current(cli, id, ret, error)))
                return FALSE;
        ret->widened = any_names_addresses(ret) && !helper_tells_addresses_apart(cli);
        return TRUE;
}

static JsonNode *json_of_asked(const char *id, const Asked *asked) {
        JsonObject *object = json_object_new();
        JsonArray *array = json_array_new(), *terms = json_array_new();
        const char *permission, *words;
        gboolean approved;
        GVariantIter iter;

        g_variant_iter_init(&iter, asked->permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &permission, &approved, &words)) {
                JsonObject *entry = json_object_new();

                json_object_set_string_member(entry, "permission", permission);
                json_object_set_boolean_member(entry, "approved", approved);
                json_object_set_string_member(entry, "meaning", words);
                if (asked->widened && permission_names_addresses(permission))
                        json_object_set_boolean_member(entry, "enforced", FALSE);
                json_array_add_object_element(array, entry);
        }
        for (char **term = asked->terms; *term; term++)
                json_array_add_string_element(terms, *term);
        json_object_set_string_member(object, "id", id);
        json_object_set_boolean_member(object, "packaged", asked->packaged);
        json_object_set_string_member(object, "manifest_sha256", asked->digest);
        json_object_set_array_member(object, "permissions", array);
        json_object_set_array_member(object, "terms", terms);
        return json_of_object(object);
}

static unsigned count_missing(const Asked *asked) {
        gboolean approved;
        GVariantIter iter;
        unsigned n = 0;

        g_variant_iter_init(&iter, asked->permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", NULL, &approved, NULL))
                n += !approved;
        return n;
}

/* "contract:": all of these, as "IdleCheck, EventHandler". NULL: none. */
static char *terms_called(const Asked *asked, const char *prefix) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
        g_auto(GStrv) list = NULL;

        for (char **term = asked->terms; *term; term++)
                if (g_str_has_prefix(*term, prefix))
                        g_strv_builder_add(builder, *term + strlen(prefix));
        list = g_strv_builder_end(builder);
        return list[0] ? g_strjoinv(", ", list) : NULL;
}

static void print_terms(const Asked *asked) {
        g_autofree char *program = terms_called(asked, "program:"), *contracts = terms_called(asked, "contract:"),
                        *events = terms_called(asked, "event:");

        g_print("Approval is for its program %s%s%s%s%s; another program, or one that is more, asks again.\n",
                program ?: "", contracts ? " as " : "", contracts ?: "", events ? ", told of " : "", events ?: "");
}

static void print_text(Cli *cli, const char *id, const Asked *asked) {
        static const char *const titles[] = { "PERMISSION", "APPROVED", "IT", NULL };
        g_autoptr(Table) table = table_new(titles);
        const char *permission, *words;
        gboolean approved;
        GVariantIter iter;

        g_variant_iter_init(&iter, asked->permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &permission, &approved, &words)) {
                table_add(table, approved ? STYLE_GOOD : STYLE_WARN, permission, approved ? "yes" : "no", words, NULL);
                if (asked->widened && permission_names_addresses(permission))
                        table_note(table, "With this it may reach every address of the network: systemd cannot tell "
                                          "addresses apart on this machine.");
        }
        if (table_rows(table) == 0) {
                g_print("%s asks for nothing.\n", id);
                return;
        }
        table_print(cli, table);
        if (asked->packaged)
                g_print("It came with a package, which approved of this; to change it: %s systemctl edit "
                        "snooze-plugin@%s snooze-plugin-b@%s, then %s " SNOOZE_COMMAND " plugin restart %s\n",
                        cli_sudo(cli), id, id, cli_sudo(cli), id);
        else
                print_terms(asked);
        if (!asked->packaged && count_missing(asked) > 0)
                g_print("It is not started until all of this is approved: %s " SNOOZE_COMMAND
                        " plugin permissions %s%s%s --all\n",
                        cli_sudo(cli), id, asked->version ? " --version " : "", asked->version ?: "");
}

/* Every name on the command line is one that it asks for; a misspelt one must not pass for a word about nothing. */
static int check_names(const Cli *cli, const char *id, char **names, const Asked *asked) {
        for (; names && *names; names++) {
                gboolean known = FALSE;
                const char *permission;
                GVariantIter iter;

                g_variant_iter_init(&iter, asked->permissions);
                while (g_variant_iter_next(&iter, "(&sb&s)", &permission, NULL, NULL))
                        known = known || g_str_equal(permission, *names);
                if (!known)
                        return cli_usage(SNOOZE_COMMAND " plugin permissions",
                                         "%s does not ask for “%s”; see: %s plugin permissions %s", id, *names,
                                         cli_command(cli), id);
        }
        return EXIT_CODE_OK;
}

static gboolean named(char **names, const char *permission) {
        return names && g_strv_contains((const char *const *) names, permission);
}

/* All that is to be granted from now on. */
static GVariant *grant(const Asked *asked, const Changes *changes) {
        const char *permission;
        GVariantBuilder builder;
        gboolean approved;
        GVariantIter iter;

        g_variant_builder_init(&builder, G_VARIANT_TYPE_STRING_ARRAY);
        g_variant_iter_init(&iter, asked->permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &permission, &approved, NULL))
                if (!changes->none && !named(changes->revoke, permission) &&
                    (approved || changes->all || named(changes->approve, permission)))
                        g_variant_builder_add(&builder, "s", permission);
        return g_variant_builder_end(&builder);
}

/* Ended for what was taken back, it is not started again, which is what was wanted. */
static int tell_not_restarted(const Cli *cli, gboolean taken, GError *error) {
        if (!taken || !plugin_lacks_approval(error))
                return cli_fail(cli, error);
        g_error_free(error);
        return EXIT_CODE_OK;
}

/* What runs has what it was started with; what was not started for want of an approval may be now. Of one that nobody
 * has asked anything since the daemon began a process may be there from before. */
static int restart(Cli *cli, const char *id, gboolean taken) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(Wait) wait = NULL;
        GError *error = NULL;
        const char *state;
        int code;

        if (!snooze_client_is_running(cli->bus))
                return EXIT_CODE_OK;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        plugin = plugin_open_just_put(cli, id, &error);
        if (!plugin)
                return cli_fail(cli, error);
        state = snooze_client_plugin_get_state(plugin);
        if (!snooze_client_plugin_get_enabled(plugin) || g_strcmp0(state, "stopped") == 0)
                return EXIT_CODE_OK;
        if (g_strcmp0(state, "discovered") == 0) {
                wait = wait_new(cli, "Looking for it");
                snooze_client_plugin_call_unload(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
                return snooze_client_plugin_call_unload_finish(plugin, wait_for(wait), &error) ? EXIT_CODE_OK
                                                                                               : cli_fail(cli, error);
        }
        wait = wait_new(cli, "Restarting it");
        snooze_client_plugin_call_restart(plugin, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        return snooze_client_plugin_call_restart_finish(plugin, wait_for(wait), &error)
                       ? EXIT_CODE_OK
                       : tell_not_restarted(cli, taken, error);
}

/* Whether the one that counts, which is what runs, may do something else now. What is approved of one version counts
 * for each that asks for it. Where it cannot be told, what was taken back is not left to it. */
static gboolean is_touched(const Asked *before, const Asked *now, gboolean taken) {
        if (!before->permissions || !now->permissions)
                return taken;
        return !g_variant_equal(before->permissions, now->permissions);
}

static int approve(Cli *cli, const char *id, Asked *asked, const Changes *changes) {
        gboolean taken = changes->none || changes->revoke;
        g_autoptr(GVariant) reply = NULL;
        g_auto(Asked) before = {}, now = {};
        GError *error = NULL;

        cli_need_authorization(cli);
        if (asked->version)
                (void) list_current(cli, id, &before, NULL);
        reply = helper_call(cli, "ApprovePermissions",
                            g_variant_new("(s@ass)", id, grant(asked, changes), asked->digest), "()", &error);
        if (!reply && snooze_client_error_is(error, "NotSupported")) {
                (void) cli_fail(cli, error);
                return EXIT_CODE_REFUSED;
        }
        if (!reply || !list(cli, id, asked, &error))
                return cli_fail(cli, error);
        if (cli->json)
                json_print(json_of_asked(id, asked));
        else
                print_text(cli, id, asked);
        if (!asked->version)
                return taken || count_missing(asked) == 0 ? restart(cli, id, taken) : EXIT_CODE_OK;
        (void) list_current(cli, id, &now, NULL);
        return is_touched(&before, &now, taken) && (taken || count_missing(&now) == 0) ? restart(cli, id, taken)
                                                                                       : EXIT_CODE_OK;
}

static int show(Cli *cli, const char *id, Asked *asked) {
        const Changes everything = { .all = TRUE };

        if (cli->json) {
                json_print(json_of_asked(id, asked));
                return EXIT_CODE_OK;
        }
        print_text(cli, id, asked);
        if (!cli->interactive || asked->packaged || count_missing(asked) == 0 || !cli_ask(cli, "Approve all of it?"))
                return EXIT_CODE_OK;
        return approve(cli, id, asked, &everything);
}

static int run_plugin_permissions(Cli *cli, int argc, char **argv) {
        g_auto(GStrv) approved = NULL, revoked = NULL;
        g_autofree char *version = NULL;
        g_auto(Asked) asked = {};
        Changes changes = {};
        const GOptionEntry entries[] = {
                { "approve", 0, 0, G_OPTION_ARG_STRING_ARRAY, &approved, "Grant this one; may be given more than once",
                  "PERMISSION" },
                { "revoke", 0, 0, G_OPTION_ARG_STRING_ARRAY, &revoked, "Take this one back", "PERMISSION" },
                { "all", 0, 0, G_OPTION_ARG_NONE, &changes.all, "Grant all that it asks for", NULL },
                { "none", 0, 0, G_OPTION_ARG_NONE, &changes.none, "Take everything back", NULL },
                { "version", 0, 0, G_OPTION_ARG_STRING, &version, "Of this version, where several are installed",
                  "VERSION" },
                { NULL }
        };
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_permissions, NULL, entries, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        asked.version = version;
        changes.approve = approved;
        changes.revoke = revoked;
        if ((changes.all && (changes.none || revoked)) || (changes.none && approved))
                return cli_usage(SNOOZE_COMMAND " plugin permissions",
                                 "--all and --approve cannot go with what takes back");
        if (!cli_open_bus(cli, &error) || !list(cli, argv[1], &asked, &error))
                return cli_fail(cli, error);
        if (!approved && !revoked && !changes.all && !changes.none)
                return show(cli, argv[1], &asked);
        code = check_names(cli, argv[1], approved, &asked);
        if (code == EXIT_CODE_OK)
                code = check_names(cli, argv[1], revoked, &asked);
        return code == EXIT_CODE_OK ? approve(cli, argv[1], &asked, &changes) : code;
}

const Verb verb_plugin_permissions = {
        "permissions", "ID [--version VERSION] [--approve PERMISSION … | --all | --revoke PERMISSION … | --none]",
        "What it may do, and what it asks for", run_plugin_permissions
};
