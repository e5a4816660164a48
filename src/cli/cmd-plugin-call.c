/* SPDX-License-Identifier: Apache-2.0 */

/* A question for a plugin's RequestHandler: params as JSON in, its result out. */

#include <unistd.h>

#include "cli/cmd-plugin.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "util/json.h"

static GVariant *variant_of_json(JsonNode *node);

static GVariant *variant_of_object(JsonObject *object) {
        g_auto(GVariantDict) dictionary;
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        g_variant_dict_init(&dictionary, NULL);
        json_object_iter_init_ordered(&iter, object);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                if (!JSON_NODE_HOLDS_NULL(value))
                        g_variant_dict_insert_value(&dictionary, key, variant_of_json(value));
        return g_variant_dict_end(&dictionary);
}

static gboolean all_hold(JsonArray *array, GType type) {
        for (guint i = 0; i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);

                if (type == JSON_TYPE_OBJECT ? !JSON_NODE_HOLDS_OBJECT(element) : json_node_get_value_type(element) != type)
                        return FALSE;
        }
        return TRUE;
}

/* Lists of strings and of dictionaries are what plugins take; any other one is theirs to refuse. */
static GVariant *variant_of_array(JsonArray *array) {
        gboolean strings = all_hold(array, G_TYPE_STRING), objects = !strings && all_hold(array, JSON_TYPE_OBJECT);
        g_auto(GVariantBuilder) builder =
                G_VARIANT_BUILDER_INIT(strings ? G_VARIANT_TYPE_STRING_ARRAY : objects ? G_VARIANT_TYPE("aa{sv}") : G_VARIANT_TYPE("av"));

        for (guint i = 0; i < json_array_get_length(array); i++) {
                GVariant *element = variant_of_json(json_array_get_element(array, i));

                g_variant_builder_add_value(&builder, strings || objects ? element : g_variant_new_variant(element));
        }
        return g_variant_builder_end(&builder);
}

static GVariant *variant_of_json(JsonNode *node) {
        if (JSON_NODE_HOLDS_OBJECT(node))
                return variant_of_object(json_node_get_object(node));
        if (JSON_NODE_HOLDS_ARRAY(node))
                return variant_of_array(json_node_get_array(node));
        switch (json_node_get_value_type(node)) {
        case G_TYPE_BOOLEAN:
                return g_variant_new_boolean(json_node_get_boolean(node));
        case G_TYPE_INT64:
                return g_variant_new_int64(json_node_get_int(node));
        case G_TYPE_DOUBLE:
                return g_variant_new_double(json_node_get_double(node));
        default:
                return g_variant_new_string(json_node_get_string(node) ?: "");
        }
}

/* "-": from stdin, where a value need not pass through the list of processes. */
static char *read_params(const char *text, GError **error) {
        g_autoptr(GString) all = NULL;
        char piece[4096];
        ssize_t n;

        if (!g_str_equal(text, "-"))
                return g_strdup(text);
        all = g_string_new(NULL);
        while (all->len <= JSON_SIZE_MAX && (n = read(STDIN_FILENO, piece, sizeof(piece))) != 0) {
                if (n < 0) {
                        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_IO, "standard input cannot be read");
                        return NULL;
                }
                g_string_append_len(all, piece, n);
        }
        return g_string_free(g_steal_pointer(&all), FALSE);
}

/* NULL: it was not to be understood, and was said so. */
static GVariant *parse_params(const char *text) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = NULL;
        g_autofree char *params = read_params(text, &error);

        if (params)
                node = json_text_parse("JSON", params, -1, &error);
        if (!node) {
                cli_usage("snooze plugin call", "%s", error->message);
                return NULL;
        }
        if (!JSON_NODE_HOLDS_OBJECT(node)) {
                cli_usage("snooze plugin call", "JSON: expected an object, like {\"key\": \"value\"}");
                return NULL;
        }
        return g_variant_ref_sink(variant_of_object(json_node_get_object(node)));
}

static void print_text(GVariant *result) {
        GVariantIter iter;
        const char *key;
        GVariant *value;

        g_variant_iter_init(&iter, result);
        while (g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
                g_autoptr(GVariant) owned = value;
                g_autofree char *name = text_clean(key), *text = text_of_variant(owned);

                g_print("%s: %s\n", name, text);
        }
}

static void print_json(gboolean success, GVariant *result) {
        JsonObject *object = json_object_new();

        json_object_set_boolean_member(object, "success", success);
        json_object_set_member(object, "result", json_of_variant(result));
        json_print(json_of_object(object));
}

static int run_plugin_call(Cli *cli, int argc, char **argv) {
        g_autoptr(SnoozeClientPlugin) plugin = NULL;
        g_autoptr(GVariant) params = NULL, result = NULL;
        g_autoptr(Wait) wait = NULL;
        GError *error = NULL;
        gboolean success;
        int code;

        if (!cli_parse(cli, &verb_plugin_call, NULL, NULL, 0, 2, 3, &argc, &argv))
                return EXIT_CODE_USAGE;
        params = parse_params(argc > 3 ? argv[3] : "{}");
        if (!params)
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        plugin = cli_open_plugin(cli, argv[1], &error);
        if (!plugin)
                return cli_fail(error);
        cli_need_authorization(cli);
        wait = wait_new(cli, "Waiting for its answer");
        snooze_client_plugin_call_call(plugin, argv[2], params, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_plugin_call_call_finish(plugin, &success, &result, wait_for(wait), &error))
                return cli_fail(error);
        if (cli->json)
                print_json(success, result);
        else
                print_text(result);
        return success ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

const Verb verb_plugin_call = { "call", "ID METHOD [JSON|-]", "Ask one that answers requests", run_plugin_call };
