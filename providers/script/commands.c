/* SPDX-License-Identifier: Apache-2.0 */

#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <syslog.h>

#include "base/clock.h"
#include "run/program.h"
#include "util/line.h"

#define GRACE (2 * USEC_PER_SEC)
#define REASON_MAX 300

struct Commands {
        Runner *runner;
        GPtrArray *running; /* Errand */
};

/* One command, run for one call. */
typedef struct Errand {
        Commands *commands;
        const char *setting;
        char *instance_id;
        SnoozePluginCall *call;
        CommandDone done;
        void *userdata;
} Errand;

static void errand_free(void *data) {
        Errand *errand = data;

        g_free(errand->instance_id);
        g_free(errand);
}

int commands_new(sd_event *event, Commands **ret) {
        Commands *commands = g_new0(Commands, 1);
        int r;

        r = runner_new(event, NULL, NULL, &commands->runner);
        if (r < 0) {
                g_free(commands);
                return r;
        }
        commands->running = g_ptr_array_new_with_free_func(errand_free);
        *ret = commands;
        return 0;
}

void commands_free(Commands *commands) {
        if (!commands)
                return;
        runner_free(commands->runner);
        g_ptr_array_unref(commands->running);
        g_free(commands);
}

static char *clean_line(const char *text) {
        char *line = g_utf8_make_valid(text, -1);

        line_clean(line);
        return g_strstrip(line);
}

/* Fails the call for an end that is no success. */
static int fail(const Errand *errand, const RunOutcome *outcome, const char *line) {
        double seconds = (double) outcome->duration / (double) USEC_PER_SEC;
        int length = line_cut(line, REASON_MAX);

        switch (outcome->end) {
        case RUN_EXITED:
                if (outcome->number == EX_TEMPFAIL)
                        return snooze_plugin_call_fail(errand->call, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s: %.*s",
                                                       errand->setting, length > 0 ? length : 16,
                                                       length > 0 ? line : "ask again later");
                if (length > 0)
                        return snooze_plugin_call_fail(errand->call, SNOOZE_PLUGIN_ERROR_REFUSED, "%s: %.*s",
                                                       errand->setting, length, line);
                return snooze_plugin_call_fail(errand->call, SNOOZE_PLUGIN_ERROR_REFUSED, "%s: exit status %d",
                                               errand->setting, outcome->number);
        case RUN_KILLED:
                return snooze_plugin_call_fail(errand->call, SNOOZE_PLUGIN_ERROR_REFUSED,
                                               "%s: was ended by signal %d (%s)", errand->setting, outcome->number,
                                               g_strsignal(outcome->number));
        case RUN_TIMED_OUT:
                /* What it did until then, its state tells. */
                return snooze_plugin_call_fail(errand->call, SNOOZE_PLUGIN_ERROR_THROTTLED,
                                               "%s: had not ended after %.1f s", errand->setting, seconds);
        case RUN_FLOODED:
                return snooze_plugin_call_fail(errand->call, SNOOZE_PLUGIN_ERROR_REFUSED,
                                               "%s: wrote more than %u bytes", errand->setting, RUN_OUTPUT_MAX);
        case RUN_FAILED:
                break;
        }
        return snooze_plugin_call_fail(errand->call, SNOOZE_PLUGIN_ERROR_REFUSED, "%s: cannot be run: %s",
                                       errand->setting, g_strerror(outcome->number));
}

static void on_done(const RunOutcome *outcome, void *userdata) {
        Errand *errand = userdata;
        g_autofree char *line = clean_line(outcome->line);
        guint index;

        if (g_ptr_array_find(errand->commands->running, errand, &index))
                (void) g_ptr_array_steal_index_fast(errand->commands->running, index);
        if (outcome->end == RUN_EXITED && outcome->number == EX_OK)
                errand->done(errand->call, line, errand->userdata);
        else
                snooze_plugin_call_finish(errand->call, fail(errand, outcome, line));
        errand_free(errand);
}

/* One line, whatever somebody gave as a reason. */
static char *variable(const char *name, const char *value) {
        g_autofree char *clean = clean_line(value);

        return g_strconcat(name, "=", clean, NULL);
}

static GStrv environment_of(const Command *command) {
        const char *directory = getenv("CREDENTIALS_DIRECTORY"); /* what the unit was given for the commands */
        GStrv environment = g_new0(char *, 5);

        environment[0] = variable("SNOOZE_ACTION", command->action);
        environment[1] = variable("SNOOZE_INSTANCE_ID", command->instance_id);
        environment[2] = variable("SNOOZE_REASON", command->reason);
        if (directory)
                environment[3] = variable("CREDENTIALS_DIRECTORY", directory);
        return environment;
}

static bool is_under_way(const Commands *commands, const Command *command) {
        for (guint i = 0; i < commands->running->len; i++) {
                const Errand *errand = g_ptr_array_index(commands->running, i);

                if (g_str_equal(errand->setting, command->setting) &&
                    g_str_equal(errand->instance_id, command->instance_id))
                        return true;
        }
        return false;
}

int command_run(Commands *commands, const Command *command, SnoozePluginCall *call, CommandDone done, void *userdata) {
        bool asks = g_str_equal(command->setting, "state_command");
        g_auto(GStrv) environment = environment_of(command);
        g_autoptr(GError) error = NULL;
        g_autofree char *program = NULL;
        Errand *errand;
        Run *run;

        if (!asks && is_under_way(commands, command))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s runs already",
                                               command->setting);
        if (commands->running->len >= COMMANDS_MAX || runner_count(commands->runner) >= 2 * COMMANDS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s: %u commands run already",
                                               command->setting, COMMANDS_MAX);
        /* Each time: files change. */
        program = program_trusted(command->program, program_owner_also(), &error);
        if (!program)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_REFUSED, "%s: %s", command->setting,
                                               error->message);
        errand = g_new0(Errand, 1);
        *errand = (Errand) { commands, command->setting, g_strdup(command->instance_id), call, done, userdata };
        run = run_start(commands->runner, &(const RunParameters) {
                .name = command->setting,
                .arguments = (char *[]) { program, NULL },
                .environment = (const char *const *) environment,
                .timeout = command->timeout,
                .grace = GRACE,
                .output_max = RUN_OUTPUT_MAX,
                .errors_too = TRUE,
                .await_end = TRUE,
                .done = on_done,
                .userdata = errand,
        });
        if (!run) {
                errand_free(errand);
                return -ENOMEM;
        }
        g_ptr_array_add(commands->running, errand);
        return SNOOZE_PLUGIN_LATER;
}
