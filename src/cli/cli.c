/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/cli.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/agent.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "config.h"
#include "util/duration.h"
#include "util/json.h"

int cli_usage(const char *verb, const char *format, ...) {
        g_autofree char *message = NULL;
        va_list arguments;

        va_start(arguments, format);
        message = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_printerr(SNOOZE_COMMAND ": %s\nTry: %s --help\n", message, verb);
        return EXIT_CODE_USAGE;
}

static gsize common_prefix(const char *a, const char *b) {
        gsize n = 0;

        while (a[n] && a[n] == b[n])
                n++;
        return n;
}

static int unknown_verb(const char *group, const Verb *const *verbs, const char *typed) {
        const char *best = NULL;
        gsize best_length = 1;

        for (; *verbs; verbs++) {
                gsize length = common_prefix(typed, (*verbs)->name);

                if (length > best_length) {
                        best = (*verbs)->name;
                        best_length = length;
                }
        }
        if (best)
                return cli_usage(group, "there is no “%s %s”; did you mean “%s %s”?", group, typed, group, best);
        return cli_usage(group, "there is no “%s %s”", group, typed);
}

static void print_verbs(const char *group, const char *summary, const Verb *const *verbs) {
        int width = 0;

        for (const Verb *const *verb = verbs; *verb; verb++)
                width = MAX(width, (int) strlen((*verb)->name));
        g_print("Usage:\n  %s VERB [OPTION…]\n\n%s\n\nVerbs:\n", group, summary);
        for (; *verbs; verbs++)
                g_print("  %-*s  %s\n", width, (*verbs)->name, (*verbs)->summary);
        g_print("\nEvery verb knows --help, and --json for programs; -H [USER@]HOST means another machine, over "
                "ssh.\n");
}

static int dispatch_help(Cli *cli, const char *group, const char *summary, const Verb *const *verbs, int argc,
                         char **argv) {
        g_autofree char **moved = g_new0(char *, (gsize) argc + 1);

        if (argc < 3) {
                print_verbs(group, summary, verbs);
                return EXIT_CODE_OK;
        }
        moved[0] = argv[0];
        for (int i = 2; i < argc; i++)
                moved[i - 1] = argv[i];
        moved[argc - 1] = (char *) "--help";
        return cli_dispatch(cli, group, summary, verbs, argc, moved);
}

static void take_words(int n, int *argc, char ***argv) {
        *argc -= n;
        *argv += n;
}

/* How many words name the host; 0: the first is something else, -1: it is missing. */
static int read_host(int argc, char **argv, const char **ret_host) {
        if (g_str_equal(argv[1], "-H") || g_str_equal(argv[1], "--host")) {
                *ret_host = argc > 2 ? argv[2] : NULL;
                return argc > 2 ? 2 : -1;
        }
        if (g_str_has_prefix(argv[1], "--host="))
                *ret_host = argv[1] + strlen("--host=");
        else if (g_str_has_prefix(argv[1], "-H"))
                *ret_host = argv[1] + strlen("-H");
        else
                return 0;
        return 1;
}

gboolean cli_take_options(Cli *cli, const char *group, int *argc, char ***argv) {
        while (*argc > 1) {
                const char *host = NULL;
                int n;

                if (g_str_equal((*argv)[1], "--json")) {
                        cli->json = TRUE;
                        take_words(1, argc, argv);
                        continue;
                }
                n = read_host(*argc, *argv, &host);
                if (n == 0)
                        break;
                if (n < 0) {
                        (void) cli_usage(group, "%s needs a HOST", (*argv)[1]);
                        return FALSE;
                }
                g_free(cli->host);
                cli->host = g_strdup(host);
                take_words(n, argc, argv);
        }
        return TRUE;
}

static void set_commands(Cli *cli) {
        g_autofree char *name = NULL, *port = NULL;

        snooze_client_split_host(cli->host, &name, &port);
        g_free(cli->command);
        cli->command = g_strdup_printf(SNOOZE_COMMAND " -H %s", cli->host);
        g_free(cli->sudo);
        cli->sudo = g_strdup_printf("ssh -t %s%s%s%s sudo", port ? "-p " : "", port ?: "", port ? " " : "", name);
}

const char *cli_command(const Cli *cli) {
        return cli->command ?: SNOOZE_COMMAND;
}

const char *cli_sudo(const Cli *cli) {
        return cli->sudo ?: "sudo";
}

void cli_clear(Cli *cli) {
        g_clear_object(&cli->manager);
        g_clear_object(&cli->bus);
        g_clear_pointer(&cli->host, g_free);
        g_clear_pointer(&cli->command, g_free);
        g_clear_pointer(&cli->sudo, g_free);
}

/* Of both places where -H may stand. */
static gboolean check_host(Cli *cli, const Verb *verb, const char *name) {
        if (!cli->host)
                return TRUE;
        if (verb->here)
                (void) cli_usage(name, "-H cannot be here: %s; log in there: ssh %s", verb->here, cli->host);
        else if (!snooze_client_host_is_valid(cli->host))
                (void) cli_usage(name, "-H: “%s” is no host: [USER@]HOST[:PORT] is expected", cli->host);
        else {
                set_commands(cli);
                return TRUE;
        }
        return FALSE;
}

int cli_dispatch(Cli *cli, const char *group, const char *summary, const Verb *const *verbs, int argc, char **argv) {
        g_autofree char *name = NULL;

        /* Also before the verb, as people type it. */
        if (!cli_take_options(cli, group, &argc, &argv))
                return EXIT_CODE_USAGE;
        if (argc < 2)
                return cli_usage(group, "%s needs a verb", group);
        if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h") || g_str_equal(argv[1], "-?")) {
                print_verbs(group, summary, verbs);
                return EXIT_CODE_OK;
        }

        if (g_str_equal(argv[1], "help"))
                return dispatch_help(cli, group, summary, verbs, argc, argv);

        for (const Verb *const *verb = verbs; *verb; verb++)
                if (g_str_equal(argv[1], (*verb)->name)) {
                        name = g_strdup_printf("%s %s", group, (*verb)->name);
                        g_set_prgname(name);
                        if (!check_host(cli, *verb, name))
                                return EXIT_CODE_USAGE;
                        return (*verb)->run(cli, argc - 1, argv + 1);
                }
        if (argv[1][0] == '-')
                return cli_usage(group, "unknown option %s", argv[1]);
        return unknown_verb(group, verbs, argv[1]);
}

gboolean cli_parse(Cli *cli, const Verb *verb, const char *description, const GOptionEntry *entries, ParseFlags flags,
                   int minimum, int maximum, int *argc, char ***argv) {
        const GOptionEntry common[] = { { "json", 0, 0, G_OPTION_ARG_NONE, &cli->json, "Print JSON", NULL },
                                        { "host", 'H', 0, G_OPTION_ARG_STRING, &cli->host, "Of that machine, over ssh",
                                          "[USER@]HOST" },
                                        { NULL } };
        g_autoptr(GOptionContext) context = g_option_context_new(verb->arguments);
        g_autoptr(GError) error = NULL;
        int n;

        g_option_context_set_summary(context, verb->summary);
        if (description)
                g_option_context_set_description(context, description);
        g_option_context_set_strict_posix(context, (flags & PARSE_STOP_AT_ARGUMENT) != 0);
        if (entries)
                g_option_context_add_main_entries(context, entries, NULL);
        g_option_context_add_main_entries(context, common, NULL);
        if (!g_option_context_parse(context, argc, argv, &error)) {
                (void) cli_usage(g_get_prgname(), "%s", error->message);
                return FALSE;
        }

        if (!check_host(cli, verb, g_get_prgname()))
                return FALSE;
        if (*argc > 1 && g_str_equal((*argv)[1], "--")) {
                memmove(*argv + 1, *argv + 2, (gsize) (*argc - 1) * sizeof(char *));
                (*argc)--;
        }
        n = *argc - 1;
        if (n < minimum) {
                (void) cli_usage(g_get_prgname(), "something is missing: %s %s", g_get_prgname(), verb->arguments);
                return FALSE;
        }
        if (maximum >= 0 && n > maximum) {
                (void) cli_usage(g_get_prgname(), "“%s” is one argument too many: %s %s", (*argv)[1 + maximum],
                                 g_get_prgname(), verb->arguments);
                return FALSE;
        }
        return TRUE;
}

gboolean cli_open_bus(Cli *cli, GError **error) {
        struct sigaction pipe;

        if (cli->bus)
                return TRUE;
        /* GIO ignores SIGPIPE for good when it opens a socket. What reads our output may leave early, and what a hold
         * runs must find what we found. */
        (void) sigaction(SIGPIPE, NULL, &pipe);
        cli->bus = cli->host ? snooze_client_open_remote_bus(cli->host, error) : snooze_client_open_bus(error);
        (void) sigaction(SIGPIPE, &pipe, NULL);
        return cli->bus != NULL;
}

int cli_connect(Cli *cli) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        GError *error = NULL;

        if (!cli_open_bus(cli, &error))
                return cli_fail(cli, error);
        snooze_client_open(cli->bus, SNOOZE_CLIENT_TYPE_MANAGER_PROXY, SNOOZE_CLIENT_PATH, NULL, wait_done, wait);
        cli->manager = snooze_client_open_finish(wait_for(wait), &error);
        return cli->manager ? EXIT_CODE_OK : cli_fail(cli, error);
}

static char *hint_for(const Cli *cli, const GError *error) {
        const char *command = cli_command(cli), *sudo = cli_sudo(cli);

        /* Whether force helps the daemon knows, and says: not against an inhibitor of logind. */
        if (snooze_client_error_is(error, "Held"))
                return g_strdup_printf("See: %s holds", command);
        if (snooze_client_error_is(error, "NoSuchPlugin"))
                return g_strdup_printf("See: %s plugin list", command);
        if (snooze_client_error_is(error, "NoSuchProvider"))
                return g_strdup_printf("See: %s provider list", command);
        if (snooze_client_error_is(error, "NoSuchHold"))
                return g_strdup_printf("See: %s holds", command);
        if (snooze_client_error_is(error, "NoProvider"))
                return g_strdup_printf("See: %s provider list · choose one: %s " SNOOZE_COMMAND
                                       " setup --provider ID",
                                       command, sudo);
        return NULL;
}

/* Which of the three: a daemon that runs well is not to be looked after. */
static void tell_unreachable(const Cli *cli, const GError *error, const char *clean) {
        g_autofree char *journal = NULL;

        /* No way there: nothing is known of the daemon. */
        if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_NOT_CONNECTED)) {
                g_printerr(SNOOZE_COMMAND ": %s\n", clean);
                return;
        }
        journal = cli->host ? g_strdup_printf("%s journalctl", cli_sudo(cli)) : g_strdup("journalctl");
        if (strstr(clean, "io.cloudsnooze.Helper1"))
                g_printerr(SNOOZE_COMMAND ": snooze-helper cannot be reached: %s\nIs it installed? "
                                          "%s -u snooze-helper\n",
                           clean, journal);
        else
                g_printerr(SNOOZE_COMMAND ": snoozed cannot be reached: %s\nIs it installed and running? "
                                          "%s systemctl enable --now snoozed · %s -u snoozed\n",
                           clean, cli_sudo(cli), journal);
}

int cli_fail(const Cli *cli, GError *failure) {
        g_autoptr(GError) error = failure;
        g_autofree char *message = snooze_client_error_message(error);
        g_autofree char *clean = text_clean(message), *hint = NULL;
        SnoozeClientOutcome outcome = snooze_client_error_outcome(error);

        if (outcome == SNOOZE_CLIENT_UNREACHABLE) {
                tell_unreachable(cli, error, clean);
                return EXIT_CODE_UNREACHABLE;
        }
        /* The daemon's own advice is better informed. */
        if (!strstr(clean, SNOOZE_COMMAND " "))
                hint = hint_for(cli, error);
        g_printerr(SNOOZE_COMMAND ": %s\n%s%s", clean, hint ?: "", hint ? "\n" : "");
        return outcome == SNOOZE_CLIENT_REFUSED ? EXIT_CODE_REFUSED : EXIT_CODE_FAILED;
}

int cli_done(const Cli *cli, const char *sentence) {
        JsonObject *object;

        if (cli->json) {
                object = json_object_new();
                json_object_set_boolean_member(object, "ok", TRUE);
                json_print(json_of_object(object));
        } else
                g_print("%s\n", sentence);
        return EXIT_CODE_OK;
}

/* The polkit there finds no agent here, and its caller there has no terminal. */
static gboolean could_answer_polkit(const Cli *cli) {
        return cli->interactive && !cli->host;
}

GDBusCallFlags cli_call_flags(const Cli *cli) {
        return could_answer_polkit(cli) ? G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION : G_DBUS_CALL_FLAGS_NONE;
}

int cli_timeout(const Cli *cli) {
        return could_answer_polkit(cli) ? CLI_TIMEOUT_QUESTION_MSEC : CLI_TIMEOUT_MSEC;
}

void cli_need_authorization(const Cli *cli) {
        if (could_answer_polkit(cli) && geteuid() != 0)
                agent_start();
}

gboolean cli_ask(const Cli *cli, const char *question) {
        char answer[16];

        if (!cli->interactive)
                return FALSE;
        g_printerr("%s [y/N] ", question);
        if (!fgets(answer, sizeof(answer), stdin))
                return FALSE;
        return answer[0] == 'y' || answer[0] == 'Y';
}

gpointer cli_open_path(Cli *cli, GType type, const char *path, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");

        if (!g_variant_is_object_path(path)) {
                g_set_error(error, G_IO_ERROR, G_IO_ERROR_INVALID_DATA, "“%s” is no object", path);
                return NULL;
        }
        snooze_client_open(cli->bus, type, path, NULL, wait_done, wait);
        return snooze_client_open_finish(wait_for(wait), error);
}

SnoozeClientPlugin *cli_open_plugin(Cli *cli, const char *id, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *path = NULL;

        snooze_client_manager_call_get_plugin(cli->manager, id, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_get_plugin_finish(cli->manager, &path, wait_for(wait), error))
                return NULL;
        return cli_open_path(cli, SNOOZE_CLIENT_TYPE_PLUGIN_PROXY, path, error);
}

SnoozeClientProvider *cli_open_provider(Cli *cli, const char *id, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Waiting for snoozed");
        g_autofree char *path = NULL;

        if (id) {
                snooze_client_manager_call_get_provider(cli->manager, id, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done,
                                                        wait);
                if (!snooze_client_manager_call_get_provider_finish(cli->manager, &path, wait_for(wait), error))
                        return NULL;
        } else {
                path = g_strdup(snooze_client_manager_get_provider(cli->manager));
                if (!path || g_str_equal(path, "/")) {
                        *error = g_dbus_error_new_for_dbus_error(
                                SNOOZE_CLIENT_ERROR_PREFIX "NoProvider",
                                "No provider is active: nothing is there that could stop this machine.");
                        return NULL;
                }
        }
        return cli_open_path(cli, SNOOZE_CLIENT_TYPE_PROVIDER_PROXY, path, error);
}

char *cli_program_path(const char *name) {
        const char *override = g_getenv("SNOOZE_LIBEXEC_DIR");
        g_autofree char *self = NULL, *directory = NULL;

        if (override && *override)
                return g_build_filename(override, name, NULL);

        /* In a build tree we are src/cli/cloudsnooze and they are beside. */
        self = g_file_read_link("/proc/self/exe", NULL);
        directory = self ? g_path_get_dirname(self) : NULL;
        if (directory && g_str_has_suffix(directory, "/src/cli")) {
                static const char *const below[] = { "../daemon", "../daemon/simulate", "../plugin-test", "../unpack",
                                                     "../bridge/shell" };

                for (gsize i = 0; i < G_N_ELEMENTS(below); i++) {
                        g_autofree char *built = g_build_filename(directory, below[i], name, NULL);

                        if (g_file_test(built, G_FILE_TEST_IS_EXECUTABLE))
                                return g_steal_pointer(&built);
                }
        }
        return g_build_filename(PKGLIBDIR, name, NULL);
}

char **cli_plugin_directories(void) {
        const char *directories = g_getenv("SNOOZE_PLUGIN_DIRECTORY");

        return directories && *directories ? g_strsplit(directories, G_SEARCHPATH_SEPARATOR_S, -1) : g_new0(char *, 1);
}

char *cli_read_stdin(GError **error) {
        g_autoptr(GString) all = g_string_new(NULL);
        char piece[4096];
        ssize_t n;

        while (all->len <= JSON_SIZE_MAX && (n = read(STDIN_FILENO, piece, sizeof(piece))) != 0) {
                if (n < 0) {
                        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_IO, "standard input cannot be read");
                        return NULL;
                }
                g_string_append_len(all, piece, n);
        }
        return g_string_free(g_steal_pointer(&all), FALSE);
}

gboolean cli_parse_duration(const Verb *verb, const char *what, const char *text, guint64 *ret_usec) {
        g_autoptr(GError) error = NULL;
        uint64_t usec;

        if (!duration_parse(text, &usec, &error)) {
                (void) cli_usage(g_get_prgname(), "%s: %s", what, error->message);
                return FALSE;
        }
        *ret_usec = usec;
        return TRUE;
}
