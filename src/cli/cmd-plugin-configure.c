/* SPDX-License-Identifier: Apache-2.0 */

/* The settings of a plugin as its manifest declares them: shown with what is in force, or changed. The daemon holds
 * every value against the schema; here the schema only says whether 1.5 is a number or a text. */

#include <string.h>

#include "cli/cmd-config.h"
#include "cli/cmd-plugin.h"
#include "cli/config-path.h"
#include "cli/output.h"
#include "cli/variant.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"

static JsonNode *schema_fetch(SnoozeClientPlugin *plugin, GError **error) {
        const char *text = snooze_client_plugin_get_config_schema(plugin);
        g_autoptr(JsonNode) node = json_text_parse("the settings", text && *text ? text : "{}", -1, error);

        if (!node)
                return NULL;
        if (!JSON_NODE_HOLDS_OBJECT(node)) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE, "the settings of this plugin are no JSON object");
                return NULL;
        }
        return g_steal_pointer(&node);
}

static JsonObject *declaration_of(JsonNode *schema, const char *name) {
        return json_get_object(json_node_get_object(schema), name);
}

static GVariant *values_fetch(Cli *cli, SnoozeClientPlugin *plugin, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GVariant *values = NULL;

        snooze_client_plugin_call_get_configuration(plugin, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        return snooze_client_plugin_call_get_configuration_finish(plugin, &values, wait_for(wait), error) ? values
                                                                                                          : NULL;
}

/* What is in force, as a person reads it; an empty list is nothing that could be seen. */
static char *value_text(GVariant *value) {
        g_autofree char *text = text_of_variant(value);

        return *text ? g_steal_pointer(&text) : g_strdup("(empty)");
}

/* FALSE: no value is in force. */
static gboolean find_value(GVariant *values, const char *name, GVariant **ret_value, char **ret_origin) {
        return g_variant_lookup(values, name, "(vs)", ret_value, ret_origin);
}

static char *expected_text(JsonObject *declaration) {
        const char *type = json_get_string(declaration, "type", ""),
                   *constraints = json_get_string(declaration, "constraints", "");

        return g_strdup_printf("%s%s%s%s", type, *constraints ? " " : "", constraints,
                               json_get_boolean(declaration, "required", FALSE) ? ", required" : "");
}

static void print_text(const Cli *cli, JsonNode *schema, GVariant *values) {
        static const char *const titles[] = { "KEY", "VALUE", "FROM", "EXPECTED", "DESCRIPTION", NULL };
        g_autoptr(Table) table = table_new(titles);
        JsonObjectIter iter;
        const char *name;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, json_node_get_object(schema));
        while (json_object_iter_next_ordered(&iter, &name, &node)) {
                JsonObject *declaration = declaration_of(schema, name);
                g_autoptr(GVariant) value = NULL;
                g_autofree char *origin = NULL, *text = NULL, *expected = expected_text(declaration);
                gboolean missing = FALSE;

                if (find_value(values, name, &value, &origin))
                        text = value_text(value);
                else
                        missing = json_get_boolean(declaration, "required", FALSE);
                table_add(table, missing ? STYLE_WARN : STYLE_BOLD, name, text ?: missing ? "missing" : "-",
                          origin ?: "-", expected,
                          json_get_string(declaration, "description", ""), NULL);
        }
        if (table_rows(table) > 0)
                table_print(cli, table);
        else if (cli->terminal)
                g_print("It has no settings.\n");
}

static void print_json(JsonNode *schema, GVariant *values) {
        g_autoptr(JsonNode) copy = json_node_copy(schema);
        JsonObject *settings = json_object_new();
        JsonObjectIter iter;
        const char *name;
        JsonNode *node;

        json_object_iter_init_ordered(&iter, json_node_get_object(copy));
        while (json_object_iter_next_ordered(&iter, &name, &node)) {
                g_autoptr(GVariant) value = NULL;
                g_autofree char *origin = NULL;
                JsonObject *setting;

                if (!JSON_NODE_HOLDS_OBJECT(node))
                        continue;
                setting = json_object_ref(json_node_get_object(node));
                if (find_value(values, name, &value, &origin)) {
                        json_object_set_member(setting, "value", json_of_variant(value));
                        json_object_set_string_member(setting, "origin", origin);
                }
                json_object_set_object_member(settings, name, setting);
        }
        json_print(json_of_object(settings));
}

static int show(const Cli *cli, JsonNode *schema, GVariant *values) {
        if (cli->json)
                print_json(schema, values);
        else
                print_text(cli, schema, values);
        return EXIT_CODE_OK;
}

/* A line: what ends it was typed to end it. */
static JsonNode *secret_from_stdin(GError **error) {
        g_autofree char *text = cli_read_stdin(error);

        if (!text)
                return NULL;
        text[strcspn(text, "\n")] = 0;
        if (!g_utf8_validate(text, -1, NULL)) {
                g_set_error_literal(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                                    "what came from standard input is no UTF-8");
                return NULL;
        }
        /* What was to write it has failed, more likely than not; an empty secret would switch off what it is for. */
        if (!*text) {
                g_set_error_literal(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                                    "nothing came from standard input, expected a line; --reset takes a secret back");
                return NULL;
        }
        return json_node_init_string(json_node_alloc(), text);
}

static JsonNode *list_of(const char *text) {
        JsonNode *node = *text == '[' ? json_text_parse("VALUE", text, -1, NULL) : NULL;
        g_auto(GStrv) items = NULL;
        JsonArray *array;

        if (node)
                return node;
        items = g_strsplit(text, ",", -1);
        array = json_array_new();
        for (char **item = items; *item; item++)
                json_array_add_string_element(array, *item);
        node = json_node_new(JSON_NODE_ARRAY);
        json_node_take_array(node, array);
        return node;
}

/* What is of no type that is known here, or not of its type, is the daemon's to refuse. */
static JsonNode *value_of(JsonObject *declaration, const char *text, GError **error) {
        static const char *const lists[] = { "list", "array", "strings", NULL };
        const char *type = json_get_string(declaration, "type", "string");
        JsonNode *node;

        if (g_str_equal(text, "-") && json_get_boolean(declaration, "secret", FALSE))
                return secret_from_stdin(error);
        if (g_strv_contains(lists, type))
                return list_of(text);
        node = g_str_equal(type, "string") ? NULL : json_text_parse("VALUE", text, -1, NULL);
        if (node && JSON_NODE_HOLDS_VALUE(node))
                return node;
        g_clear_pointer(&node, json_node_unref);
        return json_node_init_string(json_node_alloc(), text);
}

static gboolean is_assignment(const char *text) {
        return text[0] != '=' && strchr(text, '=') && g_utf8_validate(text, -1, NULL);
}

static JsonObject *values_of(JsonNode *schema, char *const *assignments, GError **error) {
        g_autoptr(JsonObject) values = json_object_new();

        for (; *assignments; assignments++) {
                const char *equals = strchr(*assignments, '=');
                g_autofree char *name = g_strndup(*assignments, (gsize) (equals - *assignments));
                JsonNode *value = value_of(declaration_of(schema, name), equals + 1, error);

                if (!value)
                        return NULL;
                json_object_set_member(values, name, value);
        }
        return g_steal_pointer(&values);
}

static gboolean configure(Cli *cli, SnoozeClientPlugin *plugin, JsonObject *values, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");

        cli_need_authorization(cli);
        snooze_client_plugin_call_configure(plugin, variant_of_object(values), cli_call_flags(cli), cli_timeout(cli),
                                            NULL, wait_done, wait);
        return snooze_client_plugin_call_configure_finish(plugin, wait_for(wait), error);
}

/* Takes back what was set: Configure knows no null. */
static gboolean reset(Cli *cli, const char *id, char *const *names, GError **error) {
        char *const segments[] = { (char *) "plugins", (char *) "plugin_configs", (char *) id, NULL };
        g_autoptr(JsonNode) patch = NULL;
        JsonObject *values = json_object_new();

        for (; *names; names++)
                json_object_set_null_member(values, *names);
        patch = config_path_patch(segments, json_of_object(values));
        return config_patch(cli, patch, error);
}

/* What was asked for is not in force where the file of environment variables has the last word. */
static void print_in_force(const char *id, const char *name, GVariant *values) {
        g_autoptr(GVariant) value = NULL;
        g_autofree char *origin = NULL, *text = NULL;

        if (!find_value(values, name, &value, &origin)) {
                g_print("%s has no value now.\n", name);
                return;
        }
        text = value_text(value);
        if (g_str_equal(origin, "environment"))
                g_print("%s stays %s: /etc/cloudsnooze/plugins/%s.env says so.\n", name, text, id);
        else
                g_print("%s is %s now%s.\n", name, text, g_str_equal(origin, "default") ? ", its default" : "");
}

/* done: what to say where the plugin is in no state to tell its values. */
static int tell(Cli *cli, SnoozeClientPlugin *plugin, const char *id, JsonNode *schema, char *const *names,
                const char *done) {
        g_autoptr(GVariant) values = values_fetch(cli, plugin, NULL);

        if (!values)
                return cli_done(cli, done);
        if (cli->json)
                return show(cli, schema, values);
        for (; *names; names++)
                print_in_force(id, *names, values);
        return EXIT_CODE_OK;
}

typedef struct Change {
        char **assignments; /* KEY=VALUE */
        char **names;       /* their keys, or those to take back */
        gboolean resets;
} Change;

static void change_clear(Change *change) {
        g_strfreev(change->names);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_clear)

/* FALSE: it was not to be understood, and was said so. */
static gboolean read_change(char **arguments, gboolean resets, Change *ret) {
        g_auto(GStrv) names = g_new0(char *, g_strv_length(arguments) + 1);
        char **name = names;

        for (char **argument = arguments; *argument; argument++) {
                if (resets ? strchr(*argument, '=') != NULL || !g_utf8_validate(*argument, -1, NULL)
                           : !is_assignment(*argument)) {
                        (void) cli_usage(SNOOZE_COMMAND " plugin configure", "expected %s, got “%s”",
                                         resets ? "KEY" : "KEY=VALUE", *argument);
                        return FALSE;
                }
                *name++ = g_strndup(*argument, strcspn(*argument, "="));
        }
        *ret = (Change) { .assignments = arguments, .names = g_steal_pointer(&names), .resets = resets };
        return TRUE;
}

static gboolean known(const Cli *cli, JsonNode *schema, const char *id, char *const *names, GError **error) {
        for (; *names; names++)
                if (!declaration_of(schema, *names)) {
                        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                                    "%s has no setting “%s”; %s plugin configure %s shows those it has", id,
                                    *names, cli_command(cli), id);
                        return FALSE;
                }
        return TRUE;
}

/* What stands in "providers" beats what Configure writes, for as long as it does. */
static gboolean has_last_word(Cli *cli, const char *id, char *const *names, GError **error) {
        g_autoptr(JsonNode) configuration = config_fetch(cli, error);
        JsonObject *providers, *provider;

        if (!configuration)
                return FALSE;
        providers = json_get_object(json_node_get_object(configuration), "providers");
        provider = providers ? json_get_object(providers, id) : NULL;
        for (; provider && *names; names++)
                if (json_object_has_member(provider, *names)) {
                        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                                    "nothing is changed: providers.%s.%s has the last word; %s " SNOOZE_COMMAND
                                    " config set providers.%s.%s VALUE",
                                    id, *names, cli_sudo(cli), id, *names);
                        return FALSE;
                }
        return TRUE;
}

static gboolean carry_out(Cli *cli, SnoozeClientPlugin *plugin, const char *id, JsonNode *schema, const Change *change,
                          GError **error) {
        g_autoptr(JsonObject) values = NULL;

        if (!known(cli, schema, id, change->names, error))
                return FALSE;
        if (change->resets)
                return reset(cli, id, change->names, error);
        if (!has_last_word(cli, id, change->names, error))
                return FALSE;
        values = values_of(schema, change->assignments, error);
        return values && configure(cli, plugin, values, error);
}

static int run_plugin_configure(Cli *cli, int argc, char **argv) {
        gboolean resets = FALSE;
        const GOptionEntry entries[] = {
                { "reset", 0, 0, G_OPTION_ARG_NONE, &resets, "Take back what was set for each KEY", NULL },
                { NULL },
        };
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(JsonNode) schema = NULL;
        g_autoptr(GVariant) values = NULL;
        g_auto(Change) change = { 0 };
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_plugin_configure,
                       "Without KEY: every setting, with its value and what may be set.\n"
                       "VALUE: as the setting's type wants it; of a list, a,b,c or JSON. \"-\" for a secret: a line "
                       "of standard input.",
                       entries, 0, 1, -1, &argc, &argv))
                return EXIT_CODE_USAGE;
        if (resets && argc < 3)
                return cli_usage(SNOOZE_COMMAND " plugin configure", "--reset needs a KEY");
        if (!read_change(argv + 2, resets, &change))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        plugin = plugin_open_just_put(cli, argv[1], &error);
        if (plugin)
                schema = schema_fetch(plugin, &error);
        if (!schema)
                return cli_fail(cli, error);
        if (argc > 2) {
                if (!carry_out(cli, plugin, argv[1], schema, &change, &error))
                        return cli_fail(cli, error);
                return tell(cli, plugin, argv[1], schema, change.names,
                            change.resets ? "It is taken back." : "It is set.");
        }
        values = values_fetch(cli, plugin, &error);
        return values ? show(cli, schema, values) : cli_fail(cli, error);
}

const Verb verb_plugin_configure = { "configure", "ID [--reset] [KEY=VALUE…]",
                                     "Show what may be set of one, or set it", run_plugin_configure };
