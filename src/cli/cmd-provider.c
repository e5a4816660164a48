/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cmd-provider.h"

#include "base/names.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/status.h"
#include "cli/wait.h"
#include "config.h"

static const Verb verb_provider_list, verb_provider_info, verb_provider_check;

static int run_provider_list(Cli *cli, int argc, char **argv) {
        static const char *const titles[] = { "ID", "ACTIVE", "DETECTED", "STOP EFFECT", "NAME", NULL };
        g_autoptr(Table) table = table_new(titles);
        g_autoptr(GPtrArray) providers = NULL;
        GError *error = NULL;
        const char *active;
        int code;

        if (!cli_parse(cli, &verb_provider_list, NULL, NULL, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        providers = objects_fetch(cli, snooze_client_provider_interface_info()->name, &error);
        if (!providers)
                return cli_fail(cli, error);
        if (cli->json) {
                json_print(objects_json(providers));
                return EXIT_CODE_OK;
        }
        active = snooze_client_manager_get_provider(cli->manager);
        for (guint i = 0; i < providers->len; i++) {
                const Object *provider = g_ptr_array_index(providers, i);
                gboolean is_active = g_strcmp0(provider->path, active) == 0;

                table_add(table, is_active ? STYLE_BOLD : STYLE_PLAIN, provider->id, is_active ? "yes" : "no",
                          object_boolean(provider, "Detected") ? "yes" : "no", object_string(provider, "StopEffect"),
                          object_string(provider, "ProviderName"), NULL);
        }
        if (table_rows(table) > 0)
                table_print(cli, table);
        else if (cli->terminal)
                g_print("No provider is known: nothing is there that could stop this machine.\n");
        return EXIT_CODE_OK;
}

static const Verb verb_provider_list = { "list", "", "Every provider, and which one is active", run_provider_list };

static void print_info(Cli *cli, SnoozeClientProvider *provider, const char *id, GVariant *info) {
        static const char *const titles[] = { "PROPERTY", "VALUE", NULL };
        g_autoptr(Table) table = table_new(titles);
        g_autofree char *head = status_provider_text(provider, id);
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_print("%s%s.%s\n", style_begin(cli, STYLE_BOLD), head, style_end(cli));
        g_variant_iter_init(&iter, info);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
                g_autofree char *text = g_variant_is_of_type(value, G_VARIANT_TYPE_UINT64)
                                                ? text_moment(g_variant_get_uint64(value))
                                                : text_of_variant(value);

                if (*text)
                        table_add(table, STYLE_DIM, key, text, NULL);
                g_variant_unref(value);
        }
        table_print(cli, table);
}

/* The provider that the command line names, else the active one. An exit status. */
static int open_named(Cli *cli, const Verb *verb, const char *text, int argc, char **argv,
                      SnoozeClientProvider **ret) {
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, verb, text, NULL, 0, 0, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        *ret = cli_open_provider(cli, argc > 1 ? argv[1] : NULL, &error);
        return *ret ? EXIT_CODE_OK : cli_fail(cli, error);
}

static int run_provider_info(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Asking the provider");
        g_autoptr(SnoozeClientProvider) provider = NULL;
        g_autoptr(GVariant) info = NULL;
        g_autofree char *id = NULL;
        GError *error = NULL;
        JsonObject *object;
        int code;

        code = open_named(cli, &verb_provider_info, "Without ID: the active one.", argc, argv, &provider);
        if (code != EXIT_CODE_OK)
                return code;
        snooze_client_provider_call_get_instance_info(provider, "", cli_call_flags(cli), cli_timeout(cli), NULL,
                                                      wait_done, wait);
        if (!snooze_client_provider_call_get_instance_info_finish(provider, &info, wait_for(wait), &error))
                return cli_fail(cli, error);
        if (cli->json) {
                object = json_of_properties(G_DBUS_PROXY(provider));
                json_object_set_member(object, "instance", json_of_variant(info));
                json_print(json_of_object(object));
                return EXIT_CODE_OK;
        }
        id = snooze_client_path_id(g_dbus_proxy_get_object_path(G_DBUS_PROXY(provider)));
        print_info(cli, provider, id ?: "", info);
        return EXIT_CODE_OK;
}

static const Verb verb_provider_info = { "info", "[ID]", "What it is, and what it knows of this machine",
                                         run_provider_info };

GVariant *provider_permissions(Cli *cli, SnoozeClientProvider *provider, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Asking the provider what it may do");
        GVariant *permissions = NULL;

        snooze_client_provider_call_check_permissions(provider, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done,
                                                      wait);
        if (!snooze_client_provider_call_check_permissions_finish(provider, &permissions, wait_for(wait), error))
                return NULL;
        return permissions;
}

unsigned provider_permissions_missing(GVariant *permissions) {
        const char *name, *explanation;
        unsigned missing = 0;
        gboolean granted;
        GVariantIter iter;

        g_variant_iter_init(&iter, permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &name, &granted, &explanation))
                missing += !granted && !g_str_has_suffix(name, PERMISSION_OPTIONAL_SUFFIX);
        return missing;
}

void provider_permissions_print(Cli *cli, GVariant *permissions) {
        static const char *const titles[] = { "PERMISSION", "GRANTED", "WHY", NULL };
        g_autoptr(Table) table = table_new(titles);
        const char *name, *explanation;
        gboolean granted;
        GVariantIter iter;

        g_variant_iter_init(&iter, permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &name, &granted, &explanation))
                table_add(table,
                          granted                                                       ? STYLE_GOOD
                                  : g_str_has_suffix(name, PERMISSION_OPTIONAL_SUFFIX) ? STYLE_WARN
                                                                                        : STYLE_BAD,
                          name, granted ? "yes" : "no", explanation, NULL);
        if (table_rows(table) > 0)
                table_print(cli, table);
}

static void print_permissions_json(GVariant *permissions) {
        JsonNode *node = json_node_new(JSON_NODE_ARRAY);
        JsonArray *array = json_array_new();
        const char *name, *explanation;
        gboolean granted;
        GVariantIter iter;

        g_variant_iter_init(&iter, permissions);
        while (g_variant_iter_next(&iter, "(&sb&s)", &name, &granted, &explanation)) {
                JsonObject *entry = json_object_new();

                json_object_set_string_member(entry, "permission", name);
                json_object_set_boolean_member(entry, "granted", granted);
                json_object_set_string_member(entry, "explanation", explanation);
                json_array_add_object_element(array, entry);
        }
        json_node_take_array(node, array);
        json_print(node);
}

static int run_provider_check(Cli *cli, int argc, char **argv) {
        g_autoptr(SnoozeClientProvider) provider = NULL;
        g_autoptr(GVariant) permissions = NULL;
        GError *error = NULL;
        unsigned missing;
        int code;

        code = open_named(cli, &verb_provider_check,
                          "Without ID: the active one. Nothing is changed. Exit status: 1 if it may not.", argc, argv,
                          &provider);
        if (code != EXIT_CODE_OK)
                return code;
        permissions = provider_permissions(cli, provider, &error);
        if (!permissions)
                return cli_fail(cli, error);
        missing = provider_permissions_missing(permissions);
        if (cli->json)
                print_permissions_json(permissions);
        else {
                if (missing > 0)
                        g_print("%sNot all that a stop needs is permitted.%s\n", style_begin(cli, STYLE_BAD),
                                style_end(cli));
                else
                        g_print("%sAll that a stop needs is permitted.%s\n", style_begin(cli, STYLE_GOOD),
                                style_end(cli));
                provider_permissions_print(cli, permissions);
        }
        return missing > 0 ? EXIT_CODE_FAILED : EXIT_CODE_OK;
}

static const Verb verb_provider_check = { "check", "[ID]", "Whether it may stop this machine", run_provider_check };

static int run_provider(Cli *cli, int argc, char **argv) {
        static const Verb *const verbs[] = { &verb_provider_list, &verb_provider_info, &verb_provider_check,
                                             &verb_provider_policy, NULL };

        return cli_dispatch(cli, SNOOZE_COMMAND " provider", verb_provider.summary, verbs, argc, argv);
}

const Verb verb_provider = { "provider", "list|info|check|policy …", "What stops this machine", run_provider };
