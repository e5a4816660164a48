/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every verb has in common: how its arguments are read, how it reaches the daemon, waits for it and fails. A verb
 * is one function in a file of its own, entered in the table of main.c; it prints the answer first and the details
 * after. */

#include <gio/gio.h>
#include <json-glib/json-glib.h>

#include "client/client.h"

/* Documented in snooze(1). What `hold -- COMMAND` returns is COMMAND's. */
typedef enum ExitCode {
        EXIT_CODE_OK = 0,
        EXIT_CODE_FAILED = 1, /* also: busy (check), something is wrong (doctor, provider check, config check) */
        EXIT_CODE_USAGE = 2,
        EXIT_CODE_REFUSED = 3,     /* not authorized, or not now */
        EXIT_CODE_UNREACHABLE = 4, /* no bus or no daemon */
        EXIT_CODE_UNKNOWN = 5,     /* `check` only: no verdict */
} ExitCode;

typedef struct Cli {
        gboolean json;
        gboolean terminal; /* stdout is one: tables are drawn, times are short */
        gboolean colour;
        gboolean interactive; /* somebody sits there who could answer a question */
        char *host;           /* -H: the machine that is meant, over ssh; NULL: this one */
        char *command, *sudo; /* see cli_command() and cli_sudo() */
        GDBusConnection *bus;
        SnoozeClientManager *manager;
} Cli;

typedef int (*VerbFunction)(Cli *cli, int argc, char **argv);

/* argv[0] of a verb's function is its name. */
typedef struct Verb {
        const char *name;
        const char *arguments; /* as in the usage line */
        const char *summary;
        VerbFunction run;
        const char *here; /* what of it is on this machine, so that -H cannot be; NULL: nothing */
} Verb;

/* Runs the verb that argv[1] names; group is what stands before it ("snooze plugin"). Prints the list for --help. */
int cli_dispatch(Cli *cli, const char *group, const char *summary, const Verb *const *verbs, int argc, char **argv);

/* Takes --json and -H away from before the verb. FALSE: it was said what is wrong with them. */
gboolean cli_take_options(Cli *cli, const char *group, int *argc, char ***argv);

/* One short line on stderr and the usage status. */
int cli_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

typedef enum ParseFlags {
        PARSE_STOP_AT_ARGUMENT = 1 << 0, /* what follows the first argument belongs to another program */
} ParseFlags;

/* Takes the options out of argv (--json and -H are known to all). minimum and maximum count arguments; maximum -1: any
 * number. FALSE: it was not to be understood, and was said so. */
gboolean cli_parse(Cli *cli, const Verb *verb, const char *description, const GOptionEntry *entries, ParseFlags flags,
                   int minimum, int maximum, int *argc, char ***argv);

/* Connects and reads the properties of the manager, starting the daemon if need be. EXIT_CODE_OK, or what to exit
 * with. */
int cli_connect(Cli *cli);

/* The first half of it: starts nothing. */
gboolean cli_open_bus(Cli *cli, GError **error);

/* Says what was wrong and what to do next, once, on stderr; returns the exit status. Takes the error. */
int cli_fail(const Cli *cli, GError *error);

/* How a sentence that tells what to type next begins it, so that it is about the machine that was meant: "snooze", or
 * "snooze -H HOST". */
const char *cli_command(const Cli *cli);

/* The same for what is root's: "sudo", or "ssh -t HOST sudo", for root here need not be let in there, and a USER in
 * HOST would stay who asks. */
const char *cli_sudo(const Cli *cli);

void cli_clear(Cli *cli);

/* The end of a verb that has no more to tell than that it worked: the sentence, or {"ok": true}. */
int cli_done(const Cli *cli, const char *sentence);

/* Flags and time-out of a call that polkit decides on: it may ask the person who waits there. */
GDBusCallFlags cli_call_flags(const Cli *cli);
#define CLI_TIMEOUT_MSEC (150 * 1000)          /* a provider may have to be started and then asked */
#define CLI_TIMEOUT_QUESTION_MSEC (330 * 1000) /* as long as somebody may look for the password */
int cli_timeout(const Cli *cli);

/* For verbs that are not everybody's: lets polkit ask on this terminal for the time of the process. */
void cli_need_authorization(const Cli *cli);

/* "[y/N]" on the terminal; FALSE without asking where nobody could answer. */
gboolean cli_ask(const Cli *cli, const char *question);

/* Opens the object of a plugin or provider by its id. NULL with error. */
SnoozeClientPlugin *cli_open_plugin(Cli *cli, const char *id, GError **error);
/* id NULL: the active one. */
SnoozeClientProvider *cli_open_provider(Cli *cli, const char *id, GError **error);
gpointer cli_open_path(Cli *cli, GType type, const char *path, GError **error);

/* Where a program of ours is: below SNOOZE_LIBEXEC_DIR, in the build tree if we are run from it, or installed. */
char *cli_program_path(const char *name);

/* Where plugins are looked for besides the installed places: SNOOZE_PLUGIN_DIRECTORY, for tests and for trying. */
char **cli_plugin_directories(void);

/* All of stdin, as long as JSON may be. NULL with error. */
char *cli_read_stdin(GError **error);

/* "2h" → microseconds; FALSE: was not to be understood, and was said so. */
gboolean cli_parse_duration(const Verb *verb, const char *what, const char *text, guint64 *ret_usec);

extern const Verb verb_status, verb_why, verb_check, verb_hold, verb_holds, verb_release, verb_postpone, verb_cancel,
        verb_stop, verb_start, verb_pause, verb_resume, verb_history, verb_events, verb_event, verb_simulate,
        verb_record, verb_config, verb_plugin, verb_provider, verb_doctor, verb_setup;
