/* SPDX-License-Identifier: Apache-2.0 */

/* The way out of the dry run. Nobody should arm what they have not seen: who stops this machine, what that does to the
 * bill, whether it may, which checks are blind, and when it would have happened already. */

#include <string.h>

#include "cli/cmd-config.h"
#include "cli/cmd-doctor.h"
#include "cli/cmd-provider.h"
#include "cli/history.h"
#include "cli/objects.h"
#include "cli/output.h"
#include "cli/status.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"

#define LOOK_BACK_USEC (7 * 24 * G_GUINT64_CONSTANT(3600) * G_USEC_PER_SEC)
#define WEEK_TOLERANCE_USEC (3600 * (guint64) G_USEC_PER_SEC)
#define STOPS_SHOWN 5U

typedef struct Setup {
        Cli *cli;
        gboolean yes;
        char *id; /* of the provider */
        SnoozeClientProvider *provider;
        GVariant *permissions; /* NULL: could not be asked for */
        GVariant *findings;
        GArray *stops;      /* guint64: when it would have stopped, latest first */
        guint64 looked_from; /* the oldest moment on record of those looked at; 0: nothing is */
        gboolean effect_allowed;
} Setup;

static void setup_clear(Setup *setup) {
        g_free(setup->id);
        g_clear_object(&setup->provider);
        g_clear_pointer(&setup->permissions, g_variant_unref);
        g_clear_pointer(&setup->findings, g_variant_unref);
        g_clear_pointer(&setup->stops, g_array_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Setup, setup_clear)

/* Where no cloud was recognized and one provider is there, a person may decide for it; nobody else does. */
static int choose_provider(Setup *setup) {
        g_autoptr(GPtrArray) providers = NULL;
        g_autofree char *question = NULL, *example = NULL;
        const Object *only;
        GError *error = NULL;

        providers = objects_fetch(setup->cli, snooze_client_provider_interface_info()->name, &error);
        if (!providers)
                return cli_fail(setup->cli, error);
        if (providers->len == 0) {
                g_printerr(SNOOZE_COMMAND ": no provider is known: nothing is there that could stop this machine\n");
                return EXIT_CODE_FAILED;
        }

        only = g_ptr_array_index(providers, 0);
        question = g_strdup_printf("No provider recognized this machine. Shall “%s” stop it?", only->id);
        if (providers->len == 1 && !setup->yes && !setup->cli->json && cli_ask(setup->cli, question)) {
                setup->id = g_strdup(only->id);
                return EXIT_CODE_OK;
        }
        example = g_strdup_printf("ID (%s provider list)", cli_command(setup->cli));
        g_printerr(SNOOZE_COMMAND ": no provider recognized this machine; choose one: %s " SNOOZE_COMMAND
                                  " setup --provider %s\n",
                   cli_sudo(setup->cli), providers->len == 1 ? only->id : example);
        return EXIT_CODE_FAILED;
}

static gboolean effect_is_allowed(Setup *setup, JsonObject *configuration) {
        static const char *const refused[] = { "keeps-billing", "terminates", "unknown", NULL };
        const char *effect = snooze_client_provider_get_stop_effect(setup->provider) ?: "";
        JsonArray *allowed = json_get_array(configuration, "allow_stop_effects");

        if (!g_strv_contains(refused, effect))
                return TRUE;
        for (guint i = 0; allowed && i < json_array_get_length(allowed); i++)
                if (g_strcmp0(json_array_get_string_element(allowed, i), effect) == 0)
                        return TRUE;
        return FALSE;
}

/* The daemon keeps a provider that is switched off in mind and asks it nothing: armed with it, nothing ever stops. */
static gboolean check_enabled(Setup *setup, GError **error) {
        g_autoptr(SnoozeClientPlugin) plugin = cli_open_plugin(setup->cli, setup->id, error);

        if (!plugin)
                return FALSE;
        if (snooze_client_plugin_get_enabled(plugin))
                return TRUE;
        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE,
                    "the plugin %s, which is to stop this machine, is not enabled; %s " SNOOZE_COMMAND
                    " plugin enable %s, and then this again",
                    setup->id, cli_sudo(setup->cli), setup->id);
        return FALSE;
}

static int gather(Setup *setup) {
        g_autoptr(Wait) wait = wait_new(setup->cli, "Waiting for snoozed");
        g_autoptr(JsonNode) configuration = NULL;
        g_autoptr(GVariant) rows = NULL;
        g_autoptr(GError) unknown = NULL;
        GError *error = NULL;

        setup->provider = cli_open_provider(setup->cli, setup->id, &error);
        if (!setup->provider || !check_enabled(setup, &error))
                return cli_fail(setup->cli, error);
        setup->permissions = provider_permissions(setup->cli, setup->provider, &unknown);
        /* Asking has started it: only now it has said what it is. */
        snooze_client_refresh(G_DBUS_PROXY(setup->provider), NULL, wait_done, wait);
        if (!snooze_client_refresh_finish(wait_for(wait), &error))
                return cli_fail(setup->cli, error);

        setup->findings = doctor_fetch(setup->cli, &error);
        if (!setup->findings)
                return cli_fail(setup->cli, error);
        configuration = config_fetch(setup->cli, &error);
        if (!configuration)
                return cli_fail(setup->cli, error);
        setup->effect_allowed = effect_is_allowed(setup, json_node_get_object(configuration));

        setup->stops = g_array_new(FALSE, FALSE, sizeof(guint64));
        rows = history_fetch_kind(setup->cli, LOOK_BACK_USEC, "stop", HISTORY_MAX, &setup->looked_from, &error);
        if (!rows)
                return cli_fail(setup->cli, error);
        for (gsize i = 0; i < g_variant_n_children(rows); i++) {
                g_autoptr(GVariant) row = g_variant_get_child_value(rows, i);
                guint64 time = history_time(row);

                /* Not those that a person rehearsed: there was no idleness behind them. */
                if (g_str_equal(history_string(row, "outcome"), "rehearsed") && history_moment(row, "idle_since") > 0)
                        g_array_append_val(setup->stops, time);
        }
        return EXIT_CODE_OK;
}

/* A week, or what is on record of it: "in the last 3 min" is no ground to rely on. */
static char *span_text(const Setup *setup) {
        guint64 now = (guint64) g_get_real_time();
        g_autofree char *span = NULL;

        if (setup->looked_from == 0)
                return NULL;
        if (now - MIN(setup->looked_from, now) + WEEK_TOLERANCE_USEC >= LOOK_BACK_USEC)
                return g_strdup("In the last week");
        span = text_distance(setup->looked_from);
        return g_strdup_printf("In the %s that are on record", span);
}

static void print_stops(const Setup *setup) {
        g_autofree char *span = span_text(setup);

        if (!span) {
                g_print("Nothing is on record yet: when it would have stopped this machine is not known.\n");
                return;
        }
        if (setup->stops->len == 0) {
                g_print("%s it would not have stopped this machine once.\n", span);
                return;
        }
        g_print("%s it would have stopped this machine at ", span);
        for (guint i = 0; i < setup->stops->len && i < STOPS_SHOWN; i++) {
                g_autofree char *when = text_moment(g_array_index(setup->stops, guint64, i));

                g_print("%s%s", i > 0 ? ", " : "", when);
        }
        if (setup->stops->len > STOPS_SHOWN)
                g_print(" and %u times more", setup->stops->len - STOPS_SHOWN);
        g_print(".\n");
}

static void print_report(const Setup *setup) {
        Cli *cli = setup->cli;
        g_autofree char *head = status_provider_text(setup->provider, setup->id);
        const char *effect = snooze_client_provider_get_stop_effect(setup->provider);

        g_print("%s%s.%s\n", style_begin(cli, STYLE_BOLD), head, style_end(cli));
        if (!setup->effect_allowed)
                g_print("%sEvery stop will be refused for that, until you say otherwise: "
                        "%s " SNOOZE_COMMAND " config set allow_stop_effects '[\"%s\"]'%s\n",
                        style_begin(cli, STYLE_BAD), cli_sudo(cli), effect, style_end(cli));
        if (!setup->permissions)
                g_print("%sIt could not be asked what it may do; see: %s provider check %s%s\n",
                        style_begin(cli, STYLE_WARN), cli_command(cli), setup->id, style_end(cli));
        else
                provider_permissions_print(cli, setup->permissions);
        doctor_print_troubles(cli, setup->findings, "dry-run"); /* which is about to end */
        print_stops(setup);
}

static void print_json(const Setup *setup, gboolean armed) {
        JsonObject *object = json_object_new();
        JsonArray *stops = json_array_new();

        for (guint i = 0; i < setup->stops->len; i++)
                json_array_add_int_element(stops, (gint64) g_array_index(setup->stops, guint64, i));
        json_object_set_string_member(object, "provider", setup->id);
        json_object_set_string_member(object, "stop_effect",
                                      snooze_client_provider_get_stop_effect(setup->provider) ?: "");
        json_object_set_boolean_member(object, "stop_effect_allowed", setup->effect_allowed);
        if (setup->permissions)
                json_object_set_member(object, "permissions", json_of_variant(setup->permissions));
        json_object_set_member(object, "findings", json_of_variant(setup->findings));
        json_object_set_array_member(object, "would_have_stopped", stops);
        json_object_set_int_member(object, "looked_from", (gint64) setup->looked_from);
        json_object_set_boolean_member(object, "armed", armed);
        json_print(json_of_object(object));
}

static int arm(Setup *setup, gboolean chosen) {
        g_autoptr(Wait) wait = wait_new(setup->cli, "Waiting for snoozed");
        g_autoptr(JsonNode) patch = NULL;
        g_autofree char *sentence = NULL;
        JsonObject *object = json_object_new();
        GError *error = NULL;

        json_object_set_boolean_member(object, "dry_run", FALSE);
        if (chosen)
                json_object_set_string_member(object, "provider", setup->id);
        patch = json_of_object(object);
        if (!config_patch(setup->cli, patch, &error)) {
                /* The daemon names the verb for a value; here there is a better one. */
                gboolean refused = snooze_client_error_outcome(error) == SNOOZE_CLIENT_REFUSED;
                char *advice = refused ? strstr(error->message, "; or: ") : NULL;
                int code;

                if (advice)
                        *advice = '\0';
                code = cli_fail(setup->cli, error);
                if (refused)
                        g_printerr("To arm it: %s " SNOOZE_COMMAND " setup%s%s\n", cli_sudo(setup->cli),
                                   chosen ? " --provider " : "", chosen ? setup->id : "");
                return code;
        }

        snooze_client_refresh(G_DBUS_PROXY(setup->cli->manager), NULL, wait_done, wait);
        if (!snooze_client_refresh_finish(wait_for(wait), &error))
                return cli_fail(setup->cli, error);
        if (setup->cli->json) {
                print_json(setup, TRUE);
                return EXIT_CODE_OK;
        }
        sentence = status_sentence(setup->cli);
        g_print("%sArmed.%s %s\n", style_begin(setup->cli, STYLE_GOOD), style_end(setup->cli), sentence);
        return EXIT_CODE_OK;
}

static int decide(Setup *setup, gboolean chosen) {
        gboolean dry_run = snooze_client_manager_get_dry_run(setup->cli->manager);

        if (!setup->cli->json) {
                print_report(setup);
                if (!dry_run && !chosen)
                        return cli_done(setup->cli, "It is armed already.");
        } else if (!setup->yes) {
                print_json(setup, !dry_run);
                return dry_run ? EXIT_CODE_FAILED : EXIT_CODE_OK;
        }
        if (!setup->yes && !cli_ask(setup->cli, "Let it stop this machine from now on?")) {
                g_printerr(SNOOZE_COMMAND ": not armed%s\n",
                           setup->cli->interactive ? "" : "; to arm it without being asked: --yes");
                return EXIT_CODE_FAILED;
        }
        return arm(setup, chosen);
}

static int run_setup(Cli *cli, int argc, char **argv) {
        g_auto(Setup) setup = { .cli = cli };
        const GOptionEntry entries[] = { { "yes", 'y', 0, G_OPTION_ARG_NONE, &setup.yes, "Do not ask", NULL },
                                         { "provider", 0, 0, G_OPTION_ARG_STRING, &setup.id,
                                           "This one instead of the one that was recognized", "ID" },
                                         { NULL } };
        gboolean chosen;
        int code;

        if (!cli_parse(cli, &verb_setup, NULL, entries, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        chosen = setup.id != NULL;
        if (!chosen) {
                setup.id = snooze_client_path_id(snooze_client_manager_get_provider(cli->manager));
                if (!setup.id) {
                        code = choose_provider(&setup);
                        if (code != EXIT_CODE_OK)
                                return code;
                        chosen = TRUE;
                }
        }
        code = gather(&setup);
        return code == EXIT_CODE_OK ? decide(&setup, chosen) : code;
}

const Verb verb_setup = { "setup", "[--yes] [--provider ID]", "End the dry run, after a look at what will happen",
                          run_setup };
