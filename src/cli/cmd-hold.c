/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gio/gunixfdlist.h>
#include <glib-unix.h>

#include "cli/output.h"
#include "cli/timed-hold.h"
#include "cli/wait.h"
#include "config.h"

#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND 127
#define EXIT_SIGNALLED 128

static volatile sig_atomic_t child = 0;
static volatile sig_atomic_t waiting = 0; /* a signal that came before there was a child */

static void forward(int number) {
        if (child > 0)
                (void) kill(child, number);
        else
                waiting = number;
}

/* Keys go to the whole foreground group, so COMMAND has them already and we only have to outlive it. What kill(1)
 * sends comes to us alone. */
static void prepare_signals(void) {
        static const int keys[] = { SIGINT, SIGQUIT };
        static const int sent[] = { SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };

        for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
                (void) sigaction(keys[i], &(struct sigaction){ .sa_handler = SIG_IGN }, NULL);
        for (gsize i = 0; i < G_N_ELEMENTS(sent); i++)
                (void) sigaction(sent[i], &(struct sigaction){ .sa_handler = forward, .sa_flags = SA_RESTART }, NULL);
}

static void restore_signals(gpointer userdata) {
        static const int changed[] = { SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };

        for (gsize i = 0; i < G_N_ELEMENTS(changed); i++)
                (void) signal(changed[i], SIG_DFL);
}

/* Every descriptor of ours closes on exec, the hold's above all: the machine is held as long as this process lives,
 * not as long as the last daemon that COMMAND may have left behind. */
static int run_command(char **command) {
        g_autoptr(GError) error = NULL;
        int status;
        GPid pid;

        prepare_signals();
        if (!g_spawn_async(NULL, command, NULL,
                           G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN |
                                   G_SPAWN_LEAVE_DESCRIPTORS_OPEN,
                           restore_signals, NULL, &pid, &error)) {
                g_printerr(SNOOZE_COMMAND ": %s\n", error->message);
                return g_error_matches(error, G_SPAWN_ERROR, G_SPAWN_ERROR_NOENT) ? EXIT_NOT_FOUND
                                                                                  : EXIT_NOT_EXECUTABLE;
        }

        child = pid;
        if (waiting)
                (void) kill(pid, waiting);
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR)
                        return EXIT_CODE_FAILED;
        child = 0;
        return WIFSIGNALED(status) ? EXIT_SIGNALLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static gboolean on_interrupt(gpointer loop) {
        g_main_loop_quit(loop);
        return G_SOURCE_CONTINUE;
}

static int hold_until_interrupted(Cli *cli) {
        g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);

        g_unix_signal_add(SIGINT, on_interrupt, loop);
        g_unix_signal_add(SIGTERM, on_interrupt, loop);
        g_unix_signal_add(SIGHUP, on_interrupt, loop);
        if (cli->json) {
                JsonObject *object = json_object_new();

                json_object_set_boolean_member(object, "held", TRUE);
                json_print_line(json_of_object(object));
        } else
                g_print("Held: this machine does not stop itself until you press Ctrl-C.\n");
        g_main_loop_run(loop);
        return EXIT_CODE_OK;
}

static int take_hold(Cli *cli, const char *who, const char *why, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for the hold");
        g_autoptr(GUnixFDList) fds = NULL;
        g_autoptr(GVariant) handle = NULL;

        snooze_client_manager_call_hold(cli->manager, who, why, "block", cli_call_flags(cli), cli_timeout(cli), NULL,
                                        NULL, wait_done, wait);
        if (!snooze_client_manager_call_hold_finish(cli->manager, &handle, &fds, wait_for(wait), error))
                return -1;
        if (!fds) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "snoozed sent no hold with its answer");
                return -1;
        }
        return g_unix_fd_list_get(fds, g_variant_get_handle(handle), error);
}

static int hold_for(Cli *cli, guint64 span, const char *why) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for the hold");
        g_autofree char *until = NULL;
        GError *error = NULL;
        guint cookie;

        snooze_client_manager_call_hold_for(cli->manager, span, why, cli_call_flags(cli), cli_timeout(cli), NULL,
                                            wait_done, wait);
        if (!snooze_client_manager_call_hold_for_finish(cli->manager, &cookie, wait_for(wait), &error))
                return timed_hold_fail(cli, error, (guint64) g_get_real_time() + span);
        if (cli->json) {
                timed_hold_print_json(cookie, (guint64) g_get_real_time() + span, TRUE);
                return EXIT_CODE_OK;
        }
        until = text_moment((guint64) g_get_real_time() + span);
        g_print("Held until %s. End it before: %s release %u\n", until, cli_command(cli), cookie);
        return EXIT_CODE_OK;
}

static int run_hold(Cli *cli, int argc, char **argv) {
        g_autofree char *why = NULL, *span_text = NULL, *name = NULL, *reason = NULL;
        const GOptionEntry entries[] = {
                { "why", 0, 0, G_OPTION_ARG_STRING, &why, "What for; shown to everybody here", "TEXT" },
                { "for", 0, 0, G_OPTION_ARG_STRING, &span_text, "For so long, and return at once: 2h", "SPAN" },
                { NULL }
        };
        GError *error = NULL;
        guint64 span = 0;
        int fd, code;

        if (!cli_parse(cli, &verb_hold,
                       "Holds this machine on while COMMAND runs, or for SPAN, or until Ctrl-C. The hold ends with "
                       "this process,\n"
                       "however it ends. Returns COMMAND's exit status, or 128 and the number of the signal that "
                       "ended it.",
                       entries, PARSE_STOP_AT_ARGUMENT, 0, -1, &argc, &argv) ||
            (span_text && !cli_parse_duration(&verb_hold, "--for", span_text, &span)))
                return EXIT_CODE_USAGE;
        if (span_text && argc > 1)
                return cli_usage(SNOOZE_COMMAND " hold", "--for holds by itself: it takes no COMMAND");
        if (cli->host && !span_text)
                return cli_usage(
                        SNOOZE_COMMAND " hold",
                        "-H goes with --for SPAN alone: what lasts as long as something runs is to run there: "
                        "ssh %s " SNOOZE_COMMAND " hold -- COMMAND",
                        cli->host);
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;
        if (span_text)
                return hold_for(cli, span, why ?: "");

        name = argc > 1 ? g_path_get_basename(argv[1]) : g_strdup(SNOOZE_COMMAND " hold");
        /* The program alone: arguments may be nobody's business. */
        reason = why        ? g_strdup(why)
                 : argc > 1 ? g_strdup_printf("%s is running", name)
                            : g_strdup("asked for on a terminal");
        fd = take_hold(cli, name, reason, &error);
        if (fd < 0)
                return cli_fail(cli, error);
        code = argc > 1 ? run_command(argv + 1) : hold_until_interrupted(cli);
        (void) close(fd);
        return code;
}

const Verb verb_hold = { "hold", "[--why TEXT] [--for SPAN | [--] COMMAND…]",
                         "Keep this machine on while something runs", run_hold };
