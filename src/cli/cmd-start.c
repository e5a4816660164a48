/* SPDX-License-Identifier: Apache-2.0 */

/* `snooze start`: another machine of the same cloud, by the provider of this one. */

#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"

/* A provider that starts nothing says so in the words of the bus. */
static GError *told(const Cli *cli, GError *error, SnoozeClientProvider *provider) {
        g_autofree char *id = NULL, *text = NULL;

        if (!snooze_client_error_is(error, "NotSupported"))
                return error;
        id = snooze_client_path_id(g_dbus_proxy_get_object_path(G_DBUS_PROXY(provider)));
        g_error_free(error);
        text = g_strdup_printf("The provider %s starts no other machines. Name one that does: %s start --provider ID "
                               "INSTANCE; %s provider list shows them",
                               id, cli_command(cli), cli_command(cli));
        return g_dbus_error_new_for_dbus_error("io.cloudsnooze.Snooze1.Error.NotSupported", text);
}

static int run_start(Cli *cli, int argc, char **argv) {
        g_autofree char *provider_id = NULL, *message = NULL;
        g_autoptr(SnoozeClientProvider) provider = NULL;
        g_autoptr(Wait) wait = NULL;
        const GOptionEntry entries[] = {
                { "provider", 0, 0, G_OPTION_ARG_STRING, &provider_id, "Another than the active one", "ID" },
                { NULL }
        };
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_start,
                       "INSTANCE is the cloud's own name for it, as " SNOOZE_COMMAND " provider info shows it there.",
                       entries, 0, 1, 1, &argc, &argv))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        provider = cli_open_provider(cli, provider_id, &error);
        if (!provider)
                return cli_fail(cli, error);
        cli_need_authorization(cli);
        wait = wait_new(cli, "Asking the provider to start it");
        snooze_client_provider_call_start_instance(provider, argv[1], g_variant_new("a{sv}", NULL),
                                                   cli_call_flags(cli), cli_timeout(cli), NULL, wait_done, wait);
        if (!snooze_client_provider_call_start_instance_finish(provider, wait_for(wait), &error))
                return cli_fail(cli, told(cli, error, provider));
        message = g_strdup_printf("%s starts.", argv[1]);
        return cli_done(cli, message);
}

const Verb verb_start = { "start", "[--provider ID] INSTANCE", "Start another machine of this cloud", run_start };
