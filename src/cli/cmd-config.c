/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cmd-config.h"

#include <string.h>

#include "cli/cmd-doctor.h"
#include "cli/config-path.h"
#include "cli/output.h"
#include "cli/variant.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"

JsonNode *config_fetch(Cli *cli, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *text = NULL;
        g_autoptr(JsonNode) node = NULL;

        snooze_client_manager_call_get_configuration(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_get_configuration_finish(cli->manager, &text, wait_for(wait), error))
                return NULL;
        node = json_text_parse("the configuration", text, -1, error);
        if (!node)
                return NULL;
        if (!JSON_NODE_HOLDS_OBJECT(node)) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE, "the configuration of snoozed is no JSON object");
                return NULL;
        }
        return g_steal_pointer(&node);
}

/* The daemon calls what it was sent "patch"; who typed a key wrote none. The name of the error stays in front. */
static void forget_patch(GError *error) {
        static const char name[] = ": patch: /";
        char *found = error && error->message ? strstr(error->message, name) : NULL;
        char *rest = found ? found + strlen(name) - strlen("/") : NULL;

        if (found)
                memmove(found + strlen(": "), rest, strlen(rest) + 1);
}

gboolean config_patch(Cli *cli, JsonNode *patch, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *text = json_text_compact(patch);

        cli_need_authorization(cli);
        snooze_client_manager_call_set_configuration(cli->manager, text, cli_call_flags(cli), cli_timeout(cli), NULL,
                                                     wait_done, wait);
        if (snooze_client_manager_call_set_configuration_finish(cli->manager, wait_for(wait), error))
                return TRUE;
        forget_patch(*error);
        return FALSE;
}

static JsonNode *value_at(JsonNode *node, char *const *segments) {
        for (; node && *segments; segments++)
                node = JSON_NODE_HOLDS_OBJECT(node) ? json_object_get_member(json_node_get_object(node), *segments)
                                                    : NULL;
        return node;
}

/* What is in force now: null brought something else, and a secret is not repeated. */
static char *set_message(Cli *cli, const char *key, char *const *segments) {
        g_autoptr(JsonNode) configuration = config_fetch(cli, NULL);
        JsonNode *value = value_at(configuration, segments);
        g_autofree char *text = value ? config_value_text(value) : NULL;

        if (!configuration)
                return g_strdup_printf("%s is set.", key);
        return text ? g_strdup_printf("%s is %s now.", key, text) : g_strdup_printf("%s has its default now.", key);
}

/* What is in force now may still be not what was meant: an id of a plugin that is not there. */
static void print_warnings(Cli *cli) {
        g_autoptr(GVariant) findings = cli->json ? NULL : doctor_fetch(cli, NULL);

        for (gsize i = 0; findings && i < g_variant_n_children(findings); i++) {
                g_autoptr(GVariant) finding = g_variant_get_child_value(findings, i);
                const char *check = "", *status = "", *message = "";
                g_autofree char *clean = NULL;

                (void) g_variant_lookup(finding, "check", "&s", &check);
                (void) g_variant_lookup(finding, "status", "&s", &status);
                (void) g_variant_lookup(finding, "message", "&s", &message);
                if (!g_str_equal(check, "configuration") || !g_str_equal(status, "warning"))
                        continue;
                clean = text_clean(message);
                g_printerr(SNOOZE_COMMAND ": warning: %s\n", clean);
        }
}

/* Types of events have dots, which a key with dots between its names cannot hold. */
static void advise_pointer(const char *key, char *const *segments) {
        guint n = g_strv_length((char **) segments), events = 0;
        g_autoptr(GString) pointer = g_string_new(NULL);

        while (events < n && !g_str_equal(segments[events], "events"))
                events++;
        if (key[0] == '/' || events + 3 >= n)
                return;
        for (guint i = 0; i < n; i++) {
                g_autofree char *escaped = config_path_escape(segments[i]);

                g_string_append_printf(pointer, "%c%s", i > events + 1 && i < n - 1 ? '.' : '/', escaped);
        }
        g_printerr("Where the dots are those of a type of events, the key is '%s'\n", pointer->str);
}

static const Verb verb_config_set;

static int run_config_set(Cli *cli, int argc, char **argv) {
        g_auto(GStrv) segments = NULL;
        g_autoptr(JsonNode) patch = NULL;
        g_autofree char *message = NULL;
        GError *error = NULL;
        int code;

        /* The first argument ends the options, for VALUE may be a negative number. */
        if (argc > 3 && g_str_equal(argv[argc - 1], "--json")) {
                cli->json = TRUE;
                argv[--argc] = NULL;
        }
        if (!cli_parse(cli, &verb_config_set,
                       "KEY: naptime_minutes, sources.memory.policy or /sources/memory/policy.\n"
                       "VALUE: JSON, or a bare string; null takes an earlier change back.",
                       NULL, PARSE_STOP_AT_ARGUMENT, 2, 2, &argc, &argv))
                return EXIT_CODE_USAGE;
        segments = config_path_split(argv[1]);
        if (!segments)
                return cli_usage(SNOOZE_COMMAND " config set",
                                 "“%s” is no key: names with dots between them are expected", argv[1]);
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        patch = config_path_patch(segments, json_of_text(argv[2]));
        if (!config_patch(cli, patch, &error)) {
                code = cli_fail(cli, error);
                if (code == EXIT_CODE_FAILED)
                        advise_pointer(argv[1], segments);
                return code;
        }
        message = set_message(cli, argv[1], segments);
        print_warnings(cli);
        return cli_done(cli, message);
}

static const Verb verb_config_set = { "set", "KEY VALUE", "Change one value, for good", run_config_set };

static const Verb verb_config_reload;

static int run_config_reload(Cli *cli, int argc, char **argv) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_config_reload, NULL, NULL, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        cli_need_authorization(cli);
        snooze_client_manager_call_reload(cli->manager, cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_manager_call_reload_finish(cli->manager, wait_for(wait), &error))
                return cli_fail(cli, error);
        print_warnings(cli);
        return cli_done(cli, "Reloaded.");
}

static const Verb verb_config_reload = { "reload", "", "Read the files again", run_config_reload };

static int run_config(Cli *cli, int argc, char **argv) {
        static const Verb *const verbs[] = { &verb_config_get, &verb_config_set, &verb_config_check,
                                             &verb_config_reload, NULL };

        return cli_dispatch(cli, SNOOZE_COMMAND " config", verb_config.summary, verbs, argc, argv);
}

const Verb verb_config = { "config", "get|set|check|reload …", "Read, change and check the configuration",
                           run_config };
