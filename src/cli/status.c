/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/status.h"

#include <string.h>

#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"

/* A reason as a part of a sentence that ends here. */
static char *reason_text(SnoozeClientManager *manager) {
        char *reason = text_clean(snooze_client_manager_get_reason(manager));
        gsize length = strlen(reason);

        if (length > 0 && reason[length - 1] == '.')
                reason[length - 1] = '\0';
        return reason;
}

static char *idle_sentence(SnoozeClientManager *manager, const char *reason) {
        guint64 since = snooze_client_manager_get_idle_since(manager);
        guint64 stop = snooze_client_manager_get_next_stop(manager);
        g_autofree char *from = NULL, *lasted = NULL, *until = NULL, *idle = NULL;

        if (since > 0) {
                from = text_moment(since);
                lasted = text_distance(since);
                idle = g_strdup_printf("Idle since %s (%s)", from, lasted);
        } else
                idle = g_strdup("Idle");
        if (stop == 0)
                return g_strdup_printf("%s, and stays on: %s.", idle, reason);
        until = text_moment(stop);
        return g_strdup_printf("%s: this machine %s at %s if nothing happens.", idle,
                               snooze_client_manager_get_dry_run(manager) ? "would stop" : "stops", until);
}

static char *pause_sentence(const Cli *cli, const char *reason) {
        guint64 until = snooze_client_manager_get_paused_until(cli->manager);
        g_autofree char *end = NULL, *left = NULL, *moment = NULL;

        if (until > 0) {
                moment = text_moment(until);
                left = text_distance(until);
                end = g_strdup_printf(" until %s (in %s)", moment, left);
        }
        if (g_str_equal(reason, "paused"))
                return g_strdup_printf("Paused: nothing is decided%s. Go on: %s " SNOOZE_COMMAND " resume",
                                       end ?: "", cli_sudo(cli));
        return g_strdup_printf("Paused%s, and stays on: %s. Go on: %s " SNOOZE_COMMAND " resume", end ?: "", reason,
                               cli_sudo(cli));
}

static char *warning_sentence(const Cli *cli, const char *reason) {
        guint64 stop = snooze_client_manager_get_next_stop(cli->manager);
        g_autofree char *when = NULL, *left = NULL;
        const char *verb = snooze_client_manager_get_dry_run(cli->manager) ? "would stop" : "stops";

        if (stop == 0)
                return g_strdup_printf("This machine %s soon: %s. Keep it on: %s postpone 2h", verb, reason,
                                       cli_command(cli));
        when = text_moment(stop);
        left = text_distance(stop);
        return g_strdup_printf("This machine %s at %s (in %s): %s. Keep it on: %s postpone 2h", verb, when, left,
                               reason, cli_command(cli));
}

char *status_sentence(const Cli *cli) {
        SnoozeClientManager *manager = cli->manager;
        const char *state = snooze_client_manager_get_state(manager) ?: "";
        g_autofree char *reason = reason_text(manager);
        g_autofree char *name = NULL;

        if (g_str_equal(state, "idle"))
                return idle_sentence(manager, reason);
        if (g_str_equal(state, "warning"))
                return warning_sentence(cli, reason);
        if (g_str_equal(state, "paused"))
                return pause_sentence(cli, reason);
        if (g_str_equal(state, "stopping"))
                return g_strdup_printf("%s: %s.",
                                       snooze_client_manager_get_dry_run(manager) ? "Would stop now" : "Stopping now",
                                       reason);
        name = text_clean(state);
        if (*name)
                *name = g_ascii_toupper(*name);
        return g_strdup_printf("%s: %s.", *name ? name : "In no known state", reason);
}

const char *status_effect_text(const char *effect) {
        static const struct {
                const char *effect, *text;
        } effects[] = {
                { "stops-billing", "a stop ends billing for it" },
                { "saves-power", "a stop saves power (this is no cloud instance)" },
                { "keeps-billing", "a stop does not end billing" },
                { "terminates", "a stop destroys it" },
                { "unknown", "what a stop means here is not known" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(effects); i++)
                if (g_strcmp0(effect, effects[i].effect) == 0)
                        return effects[i].text;
        return "what a stop means here was not said";
}

char *status_provider_text(SnoozeClientProvider *provider, const char *id) {
        g_autofree char *name = text_clean(snooze_client_provider_get_provider_name(provider));

        return g_strdup_printf("%s: %s; %s", id, *name ? name : "no name",
                               status_effect_text(snooze_client_provider_get_stop_effect(provider)));
}

static void print_provider(Cli *cli) {
        const char *path = snooze_client_manager_get_provider(cli->manager);
        g_autofree char *id = snooze_client_path_id(path);
        g_autofree char *problem = text_clean(snooze_client_manager_get_provider_problem(cli->manager));
        g_autoptr(SnoozeClientProvider) provider = NULL;
        g_autofree char *text = NULL;

        if (!id) {
                /* A daemon of before this property says nothing. */
                if (*problem)
                        g_print("  provider  none: %s\n", problem);
                else
                        g_print("  provider  none: nothing is there that could stop this machine; %s provider list\n",
                                cli_command(cli));
                return;
        }
        provider = cli_open_path(cli, SNOOZE_CLIENT_TYPE_PROVIDER_PROXY, path, NULL);
        text = provider ? status_provider_text(provider, id) : g_strdup_printf("%s: does not answer", id);
        g_print("  provider  %s\n", text);
        if (*problem && g_strcmp0(problem, snooze_client_manager_get_refusal(cli->manager)) != 0)
                g_print("%s            %s%s\n", style_begin(cli, STYLE_WARN), problem, style_end(cli));
}

static void append_metric(GString *line, GVariantDict *metrics, const char *key, const char *name, const char *unit) {
        g_autofree char *text = NULL;
        double value;

        if (!g_variant_dict_lookup(metrics, key, "d", &value))
                return;
        text = text_number(value);
        g_string_append_printf(line, "%s%s %s %s", line->len > 0 ? ", " : "", name, text, unit);
}

static void print_metrics(Cli *cli) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(GString) line = g_string_new(NULL);
        g_autoptr(GVariant) metrics = NULL;
        GVariantDict dict;
        double input;

        snooze_client_manager_call_get_metrics(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_get_metrics_finish(cli->manager, &metrics, wait_for(wait), NULL))
                return;
        g_variant_dict_init(&dict, metrics);
        append_metric(line, &dict, "cpu_usage", "cpu", "%");
        append_metric(line, &dict, "memory_usage", "memory", "%");
        append_metric(line, &dict, "network_kbps", "network", "kB/s");
        append_metric(line, &dict, "disk_io_kbps", "disk", "kB/s");
        append_metric(line, &dict, "gpu_usage", "gpu", "%");
        if (g_variant_dict_lookup(&dict, "input_idle_seconds", "d", &input) && input >= 0 && input < 1e9) {
                g_autofree char *ago = text_span((uint64_t) (input * 1e6));

                g_string_append_printf(line, "%slast input %s ago", line->len > 0 ? ", " : "", ago);
        }
        g_variant_dict_clear(&dict);
        if (line->len > 0)
                g_print("  now       %s\n", line->str);
}

#define HOLDERS_SHOWN 3U

/* By name, the first few: whom to ask is what somebody wants to know who waits for it to stop. */
static void print_holds(Cli *cli, guint count) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autoptr(GString) line = g_string_new(NULL);
        g_autoptr(GVariant) holds = NULL;
        const char *who, *why;
        GVariantIter iter;
        guint shown = 0;

        snooze_client_manager_call_list_holds(cli->manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_list_holds_finish(cli->manager, &holds, wait_for(wait), NULL))
                holds = NULL;
        if (holds)
                g_variant_iter_init(&iter, holds);
        while (holds && shown < HOLDERS_SHOWN &&
               g_variant_iter_next(&iter, "(u&s&s&stt)", NULL, &who, &why, NULL, NULL, NULL)) {
                g_autofree char *name = text_clean(who), *reason = text_clean(why);

                g_string_append_printf(line, "%s%s%s%s", shown++ > 0 ? "; " : "", name, *reason ? ": " : "", reason);
        }
        if (shown == 0)
                g_print("  holds     %u (%s holds)\n", count, cli_command(cli));
        else if (g_variant_n_children(holds) > shown)
                g_print("  holds     %s; %zu more (%s holds)\n", line->str,
                        g_variant_n_children(holds) - shown, cli_command(cli));
        else
                g_print("  holds     %s (%s holds)\n", line->str, cli_command(cli));
}

static gboolean is_nobody(SnoozeClientManager *manager) {
        return g_strcmp0(snooze_client_manager_get_provider(manager), "/") == 0;
}

int status_print(Cli *cli) {
        g_autofree char *sentence = status_sentence(cli);
        g_autofree char *greeting = text_clean(snooze_client_manager_get_greeting(cli->manager));
        g_autofree char *refusal = text_clean(snooze_client_manager_get_refusal(cli->manager));
        g_autofree char *problem = text_clean(snooze_client_manager_get_provider_problem(cli->manager));
        guint holds = snooze_client_manager_get_holds(cli->manager);

        if (snooze_client_manager_get_dry_run(cli->manager))
                g_print("%sDry run: every step is taken but the last, nothing is stopped; arm it with: "
                        "%s " SNOOZE_COMMAND " setup%s\n",
                        style_begin(cli, STYLE_WARN), cli_sudo(cli), style_end(cli));
        g_print("%s%s%s\n", style_begin(cli, STYLE_BOLD), sentence, style_end(cli));
        /* Without a provider its line says the same. */
        if (*refusal && !(is_nobody(cli->manager) && g_str_equal(refusal, problem)))
                g_print("%s  refused   %s%s\n", style_begin(cli, STYLE_BAD), refusal, style_end(cli));
        if (*greeting)
                g_print("  last      %s\n", greeting);
        print_provider(cli);
        if (holds > 0)
                print_holds(cli, holds);
        print_metrics(cli);
        return EXIT_CODE_OK;
}
