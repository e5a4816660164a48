/* SPDX-License-Identifier: Apache-2.0 */

/* snooze, the command line: everything is a call to snoozed on the system bus, decided there, printed here. */

#include <locale.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/agent.h"
#include "cli/cli.h"
#include "config.h"

static const Verb *const verbs[] = {
        &verb_status, &verb_why,    &verb_check,    &verb_hold,   &verb_holds,   &verb_release,  &verb_postpone,
        &verb_cancel, &verb_stop,   &verb_start,    &verb_pause,  &verb_resume,  &verb_history,  &verb_events,
        &verb_event,  &verb_simulate, &verb_record,
        &verb_config, &verb_plugin, &verb_provider, &verb_doctor, &verb_setup,   NULL,
};

static gboolean has_colour(gboolean terminal) {
        const char *no_colour = g_getenv("NO_COLOR");
        const char *type = g_getenv("TERM");

        return terminal && !(no_colour && *no_colour) && type && !g_str_equal(type, "dumb");
}

/* Without a verb it is `snooze status`, whose options may stand there all the same. */
static gboolean lacks_verb(int argc, char **argv) {
        return argc < 2 || g_str_equal(argv[1], "--watch") || g_str_equal(argv[1], "-w");
}

int main(int argc, char **argv) {
        Cli cli = {
                .terminal = isatty(STDOUT_FILENO),
                .interactive = isatty(STDIN_FILENO) && isatty(STDERR_FILENO),
        };
        g_autofree char **completed = NULL;
        int code;

        (void) setlocale(LC_ALL, "");
        cli.colour = has_colour(cli.terminal);
        if (argc == 2 && g_str_equal(argv[1], "--version")) {
                g_print(SNOOZE_COMMAND " %s\n", PACKAGE_VERSION);
                return EXIT_CODE_OK;
        }
        if (!cli_take_options(&cli, SNOOZE_COMMAND, &argc, &argv)) {
                cli_clear(&cli);
                return EXIT_CODE_USAGE;
        }
        if (lacks_verb(argc, argv)) {
                completed = g_new0(char *, (gsize) argc + 2);
                completed[0] = argv[0];
                completed[1] = (char *) "status";
                for (int i = 1; i < argc; i++)
                        completed[i + 1] = argv[i];
                argv = completed;
                argc++;
        }

        code = cli_dispatch(&cli, SNOOZE_COMMAND,
                            "Stops this machine when nobody uses it, and never while somebody does.", verbs, argc,
                            argv);
        agent_stop();
        cli_clear(&cli);
        if (fflush(stdout) != 0 || ferror(stdout)) {
                g_printerr(SNOOZE_COMMAND ": the output could not be written\n");
                return code ?: EXIT_CODE_FAILED;
        }
        return code;
}
