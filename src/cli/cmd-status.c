/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/output.h"
#include "cli/status.h"
#include "cli/wait.h"

typedef struct Watch {
        Cli *cli;
} Watch;

static void tell_line(const Watch *watch, const char *state, const char *previous, const char *reason) {
        g_autoptr(GDateTime) now = g_date_time_new_now_local();
        g_autofree char *time = g_date_time_format(now, "%H:%M:%S");
        g_autofree char *clean = text_clean(reason);
        g_autofree char *name = text_clean(state), *before = text_clean(previous);

        if (watch->cli->json) {
                JsonObject *line = json_object_new();

                json_object_set_int_member(line, "time", g_get_real_time());
                json_object_set_string_member(line, "state", state);
                json_object_set_string_member(line, "previous", previous);
                json_object_set_string_member(line, "reason", reason);
                json_print_line(json_of_object(line));
                return;
        }
        if (*before)
                g_print("%s  %s → %s%s%s: %s\n", time, before, style_begin(watch->cli, STYLE_BOLD), name,
                        style_end(watch->cli), clean);
        else
                g_print("%s  %s%s%s: %s\n", time, style_begin(watch->cli, STYLE_BOLD), name, style_end(watch->cli),
                        clean);
}

static void on_state_changed(SnoozeClientManager *manager, const char *state, const char *previous, const char *reason,
                             gpointer userdata) {
        tell_line(userdata, state, previous, reason);
}

static void on_problem(SnoozeClientManager *manager, const char *source, const char *message, GVariant *details,
                       gpointer userdata) {
        const Watch *watch = userdata;
        g_autofree char *what = text_clean(message), *where = text_clean(source);

        if (!watch->cli->json)
                g_print("%s          %s: %s%s\n", style_begin(watch->cli, STYLE_WARN), where, what,
                        style_end(watch->cli));
}

static void on_refreshed(GObject *proxy, GAsyncResult *result, gpointer userdata) {
        SnoozeClientManager *manager = SNOOZE_CLIENT_MANAGER(proxy);

        if (snooze_client_refresh_finish(result, NULL))
                tell_line(userdata, snooze_client_manager_get_state(manager) ?: "", "",
                          snooze_client_manager_get_reason(manager) ?: "");
}

/* A restart of the daemon must not end the watching: somebody who looks on wants to see just that. */
static void on_owner(GDBusProxy *proxy, GParamSpec *property, gpointer userdata) {
        g_autofree char *owner = g_dbus_proxy_get_name_owner(proxy);

        if (owner)
                snooze_client_refresh(proxy, NULL, on_refreshed, userdata);
        else
                tell_line(userdata, "gone", "", "snoozed has left the bus; waiting for it to come back");
}

static int watch_run(Cli *cli) {
        g_autoptr(WaitEnd) end = wait_end_new(cli);
        Watch watch = { .cli = cli };
        int code;

        tell_line(&watch, snooze_client_manager_get_state(cli->manager) ?: "", "",
                  snooze_client_manager_get_reason(cli->manager) ?: "");
        g_signal_connect(cli->manager, "state-changed", G_CALLBACK(on_state_changed), &watch);
        g_signal_connect(cli->manager, "problem", G_CALLBACK(on_problem), &watch);
        g_signal_connect(cli->manager, "notify::g-name-owner", G_CALLBACK(on_owner), &watch);
        code = wait_for_end(end);
        g_signal_handlers_disconnect_by_data(cli->manager, &watch);
        return code;
}

static int run_status(Cli *cli, int argc, char **argv) {
        gboolean watch = FALSE;
        const GOptionEntry entries[] = {
                { "watch", 'w', 0, G_OPTION_ARG_NONE, &watch, "Go on, with a line for every change", NULL }, { NULL }
        };
        int code;

        if (!cli_parse(cli, &verb_status, NULL, entries, 0, 0, 0, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        if (!cli->json)
                code = status_print(cli);
        else if (!watch)
                json_print(json_of_object(json_of_properties(G_DBUS_PROXY(cli->manager))));
        return watch ? watch_run(cli) : code;
}

const Verb verb_status = { "status", "[--watch]", "How things stand, and when this machine stops", run_status };
