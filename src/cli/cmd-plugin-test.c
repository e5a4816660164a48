/* SPDX-License-Identifier: Apache-2.0 */

/* The harness is a program of its own, because it reads manifests and speaks the plugins' side of the bus, which the
 * command line must not contain. */

#include "cli/cmd-plugin.h"
#include "config.h"

#include <errno.h>
#include <unistd.h>

static int run_plugin_test(Cli *cli, int argc, char **argv) {
        g_autofree char *program = cli_program_path("snooze-plugin-test");
        g_autoptr(GPtrArray) arguments = g_ptr_array_new();

        g_ptr_array_add(arguments,
                        (char *) SNOOZE_COMMAND " plugin test"); /* what its help and its messages call it */
        for (int i = 1; i < argc; i++)
                g_ptr_array_add(arguments, argv[i]);
        if (cli->json)
                g_ptr_array_add(arguments, (char *) "--json");
        g_ptr_array_add(arguments, NULL);
        (void) execv(program, (char **) arguments->pdata);
        g_printerr(SNOOZE_COMMAND ": %s cannot be run: %s\n", program, g_strerror(errno));
        return EXIT_CODE_FAILED;
}

const Verb verb_plugin_test = { "test", "[--quick] [--events] [--metrics FILE] [--config FILE] DIRECTORY",
                                "Hold one against its contracts, without a daemon", run_plugin_test,
        "it runs the plugin" };
