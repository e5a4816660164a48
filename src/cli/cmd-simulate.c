/* SPDX-License-Identifier: Apache-2.0 */

/* The simulator is a program of its own, because it runs the daemon's decision, which the command line must not
 * contain. */

#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"
#include "config.h"

static int run_simulate(Cli *cli, int argc, char **argv) {
        g_autofree char *program = cli_program_path("snooze-simulate");
        g_autoptr(GPtrArray) arguments = g_ptr_array_new();

        g_ptr_array_add(arguments, (char *) SNOOZE_COMMAND " simulate"); /* what its help and its messages call it */
        for (int i = 1; i < argc; i++)
                if (!g_str_equal(argv[i], "--json")) /* what it prints unless told otherwise */
                        g_ptr_array_add(arguments, argv[i]);
        g_ptr_array_add(arguments, NULL);
        (void) execv(program, (char **) arguments->pdata);
        g_printerr(SNOOZE_COMMAND ": %s cannot be run: %s\n", program, g_strerror(errno));
        return EXIT_CODE_FAILED;
}

const Verb verb_simulate = { "simulate", "[--config FILE] [--text] TRACE",
                             "What would have been decided over a recorded trace", run_simulate,
        "it asks nobody" };
