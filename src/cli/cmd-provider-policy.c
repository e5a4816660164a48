/* SPDX-License-Identifier: Apache-2.0 */

/* `snooze provider policy`: the smallest set of rights with which a provider stops this machine, in the cloud's own
 * format, to be fed to the cloud's own tools. It is a file beside the provider, with @INSTANCE_ID@ where the machine's
 * is to stand, @INSTANCE_GROUP@ where what it lies in (of an id that is a path: what stands before /providers/), and
 * @INSTANCE_TYPE:machines@ where what it is (of such an id: the types behind the name of the service; else machines).
 * A setting that takes more rights has a file of its own, policy+SETTING.json, with @SETTING@ where its value is to
 * stand. */

#include <string.h>

#include "base/names.h"
#include "cli/cmd-provider.h"
#include "cli/output.h"
#include "cli/variant.h"
#include "cli/wait.h"
#include "util/file.h"
#include "util/json.h"

#define POLICY_MAX (64U * 1024U)
#define INSTANCE "@INSTANCE_ID@"
#define GROUP "@INSTANCE_GROUP@"
#define TYPE "@INSTANCE_TYPE:([A-Za-z/]+)@"
/* Nothing that ends a string or a line, nor what stands for more than itself in a policy of a cloud (*, ?, ${…}). */
#define INSTANCE_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/()-"

static char *find_policy(const char *directory, const char *id, const char *beginning) {
        g_autofree char *folder = g_build_filename(directory, id, NULL);
        g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
                if (g_str_has_prefix(name, beginning))
                        return g_build_filename(folder, name, NULL);
        return NULL;
}

static char *policy_path(const char *id, const char *beginning) {
        g_autofree char *installed = g_build_filename(INSTALLED_PLUGINS, id, "current", NULL);
        g_auto(GStrv) own = cli_plugin_directories();
        char *path = NULL;

        for (char **directory = own; !path && *directory; directory++)
                path = find_policy(*directory, id, beginning);
        if (!path)
                path = find_policy(PKGPLUGINDIR, id, beginning);
        if (!path)
                path = find_policy(PKGSYSCONFDIR "/plugins", id, beginning);
        return path ? path : find_policy(installed, ".", beginning);
}

/* That of a setting that is configured, else the common one. */
static char *policy_path_for(const char *id, JsonObject *settings) {
        JsonObjectIter iterator;
        const char *name;
        JsonNode *value;

        if (settings) {
                json_object_iter_init_ordered(&iterator, settings);
                while (json_object_iter_next_ordered(&iterator, &name, &value)) {
                        g_autofree char *beginning = g_strdup_printf("policy+%s.", name);
                        char *path = policy_path(id, beginning);

                        if (path)
                                return path;
                }
        }
        return policy_path(id, "policy.");
}

static char *replace(const char *text, const char *mark, const char *value) {
        g_auto(GStrv) parts = g_strsplit(text, mark, -1);

        return g_strjoinv(value, parts);
}

/* As it stands within a string of JSON. */
static char *quoted_text(JsonNode *value) {
        g_autofree char *quoted = json_text_compact(value);

        return g_strndup(quoted + 1, strlen(quoted) - 2);
}

static char *fill_in_settings(const char *text, JsonObject *settings) {
        char *filled = g_strdup(text);
        JsonObjectIter iterator;
        const char *name;
        JsonNode *value;

        if (!settings)
                return filled;
        json_object_iter_init_ordered(&iterator, settings);
        while (json_object_iter_next_ordered(&iterator, &name, &value)) {
                g_autofree char *before = filled, *mark = g_strdup_printf("@%s@", name), *quoted = NULL;

                if (!JSON_NODE_HOLDS_VALUE(value) || json_node_get_value_type(value) != G_TYPE_STRING) {
                        before = NULL;
                        continue;
                }
                quoted = quoted_text(value);
                filled = replace(before, mark, quoted);
        }
        return filled;
}

static char *replace_quoted(const char *text, const char *mark, const char *value) {
        g_autoptr(JsonNode) node = json_node_init_string(json_node_alloc(), value);
        g_autofree char *quoted = quoted_text(node);

        return replace(text, mark, quoted);
}

/* The word is the provider's, and whoever reads the policy gives rights by it. */
static gboolean can_be_named(const char *instance_id) {
        return instance_id[strspn(instance_id, INSTANCE_CHARACTERS)] == '\0';
}

/* …/providers/Microsoft.Compute/virtualMachineScaleSets/SET/virtualMachines/3 →
 * virtualMachineScaleSets/virtualMachines; NULL: it is no such path. */
static char *type_of(const char *instance_id) {
        const char *end = strstr(instance_id, "/providers/");
        g_auto(GStrv) parts = g_strsplit(end ? end + strlen("/providers/") : "", "/", -1);
        g_autoptr(GString) type = g_string_new(NULL);

        /* The service, then a type and a name, and again. */
        for (guint i = 1; i + 1 < g_strv_length(parts); i += 2)
                g_string_append_printf(type, "%s%s", type->len > 0 ? "/" : "", parts[i]);
        return type->len > 0 ? g_string_free(g_steal_pointer(&type), FALSE) : NULL;
}

static char *fill_in_type(const char *text, const char *instance_id) {
        g_autoptr(GRegex) mark = g_regex_new(TYPE, 0, 0, NULL);
        g_autofree char *type = type_of(instance_id);

        return g_regex_replace(mark, text, -1, 0, type ? type : "\\1", 0, NULL);
}

/* "": it is no such path. */
static char *group_of(const char *instance_id) {
        const char *end = strstr(instance_id, "/providers/");

        return g_strndup(instance_id, end ? (gsize) (end - instance_id) : 0);
}

/* What the text is to name and the id does not tell. Whatever stood there instead would give rights over other
 * machines, too. NULL: nothing. */
static const char *mark_without_value(const char *text, const char *instance_id) {
        g_autofree char *group = group_of(instance_id);

        if (strstr(text, INSTANCE) && !*instance_id)
                return INSTANCE;
        return strstr(text, GROUP) && !*group ? GROUP : NULL;
}

static char *fill_in(const char *text, const char *instance_id) {
        g_autofree char *group = group_of(instance_id), *typed = fill_in_type(text, instance_id),
                        *named = replace_quoted(typed, INSTANCE, instance_id);

        return replace_quoted(named, GROUP, group);
}

static int print_policy(Cli *cli, const char *id, const char *instance_id, JsonObject *settings) {
        g_autofree char *path = policy_path_for(id, settings), *text = NULL, *named = NULL, *filled = NULL;
        const char *unknown;
        GError *error = NULL;
        JsonObject *object;

        if (!path) {
                g_printerr(SNOOZE_COMMAND ": the provider %s asks for no rights of a cloud: there is no policy\n", id);
                return EXIT_CODE_FAILED;
        }
        if (!can_be_named(instance_id)) {
                g_autofree char *shown = g_strescape(instance_id, NULL);

                g_printerr(SNOOZE_COMMAND ": the provider %s calls this machine \"%s\": expected letters, digits and "
                                          "._:/()- alone, so it is named in no policy\n",
                           id, shown);
                return EXIT_CODE_FAILED;
        }
        if (!file_read(path, POLICY_MAX, &text, NULL, &error))
                return cli_fail(cli, error);
        unknown = mark_without_value(text, instance_id);
        if (unknown) {
                g_printerr(SNOOZE_COMMAND ": the provider %s does not know which machine this is (" SNOOZE_COMMAND
                                          " provider check %s says why), and no policy is given for every machine: "
                                          "ask on the machine itself, or put its name for %s in %s\n",
                           id, id, unknown, path);
                return EXIT_CODE_FAILED;
        }
        named = fill_in(text, instance_id);
        filled = fill_in_settings(named, settings);
        if (cli->json) {
                object = json_object_new();
                json_object_set_string_member(object, "provider", id);
                json_object_set_string_member(object, "instance", instance_id);
                json_object_set_string_member(object, "policy", filled);
                json_print(json_of_object(object));
        } else
                g_print("%s", filled);
        return EXIT_CODE_OK;
}

/* What somebody has set of a provider, wherever it stands. Not all is there yet where a policy is wanted first of all:
 * then the common one is printed, and why. */
static JsonObject *settings_fetch(Cli *cli, const char *id) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(JsonObject) settings = json_object_new();
        g_autoptr(GVariant) values = NULL;
        g_autoptr(GError) error = NULL;
        GVariant *entry;
        GVariantIter iterator;
        const char *name;

        plugin = cli_open_plugin(cli, id, &error);
        if (plugin) {
                g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");

                snooze_client_plugin_call_get_configuration(plugin, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
                (void) snooze_client_plugin_call_get_configuration_finish(plugin, &values, wait_for(wait), &error);
        }
        if (!values) {
                g_autofree char *message = snooze_client_error_message(error), *clean = text_clean(message);

                g_printerr(SNOOZE_COMMAND ": warning: rights that settings of %s take besides are not in this policy: "
                                          "%s\n",
                           id, clean);
                return g_steal_pointer(&settings);
        }
        g_variant_iter_init(&iterator, values);
        while (g_variant_iter_loop(&iterator, "{&sv}", &name, &entry)) {
                g_autoptr(GVariant) value = NULL;
                const char *origin;

                if (!g_variant_is_of_type(entry, G_VARIANT_TYPE("(vs)")))
                        continue;
                g_variant_get(entry, "(v&s)", &value, &origin);
                if (!g_str_equal(origin, "default"))
                        json_object_set_member(settings, name, json_of_variant(value));
        }
        return g_steal_pointer(&settings);
}

static int run_provider_policy(Cli *cli, int argc, char **argv) {
        g_autoptr(SnoozeClientProvider) provider = NULL;
        g_autoptr(JsonObject) settings = NULL;
        g_autofree char *id = NULL;
        const char *instance_id;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_provider_policy,
                       "Without ID: the active one. The policy names this machine's instance where the provider knows "
                       "it, and has the rights that its settings take besides; feed it to the cloud's own tools.",
                       NULL, 0, 0, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        provider = cli_open_provider(cli, argc > 1 ? argv[1] : NULL, &error);
        if (!provider)
                return cli_fail(cli, error);
        id = snooze_client_path_id(g_dbus_proxy_get_object_path(G_DBUS_PROXY(provider)));
        instance_id = snooze_client_provider_get_instance_id(provider);
        settings = settings_fetch(cli, id ?: "");
        return print_policy(cli, id ?: "", instance_id ?: "", settings);
}

const Verb verb_provider_policy = { "policy", "[ID]", "The smallest policy with which it may stop this machine",
                                    run_provider_policy, "it reads the files of the machine that it runs on" };
