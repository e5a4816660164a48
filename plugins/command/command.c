/* SPDX-License-Identifier: Apache-2.0 */

/* The smallest check: a program says by its exit status whether the machine is idle. This plugin runs them, all side
 * by side, and hands on each one's verdict as a vote of its own, `command/NAME`. Its own vote is about itself alone:
 * unknown if it cannot see which checks there are, else idle, so that `sources` decides about every check by its name.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <snooze/plugin.h>

#include "answer.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "checks.h"
#include "config.h"
#include "run/run.h"
#include "util/json.h"

#define ROUND_TIMEOUT (25 * USEC_PER_SEC) /* the manifest's time-out for a check is 30 */
#define ROUNDS_MAX 4U
#define EVIDENCE_MAX (32U * 1024U) /* bytes; what names and reasons of CHECKS_MAX checks leave of 64 KiB */

typedef struct Command {
        SnoozePluginInstance *instance;
        Runner *runner;
        GPtrArray *configured; /* Check */
        GPtrArray *rounds;     /* Round; owns */
        uint64_t timeout;
        unsigned parallel;
        const char *directory;
        uid_t also;
} Command;

typedef struct Round Round;

typedef struct Task {
        Round *round;
        Check *check; /* the round's */
        Run *run;     /* under way, or NULL */
        gboolean answered;
        Answer answer;
} Task;

/* One CheckIdle: of all checks, or of the one that was asked about. */
struct Round {
        Command *command;
        SnoozePluginCall *call;
        GPtrArray *checks;
        Task *tasks;
        guint waiting;
        sd_event_source *deadline;
};

static void round_free(void *data) {
        Round *round = data;

        round->deadline = sd_event_source_disable_unref(round->deadline);
        for (guint i = 0; i < round->checks->len; i++) {
                if (round->tasks[i].run)
                        run_give_up(round->tasks[i].run);
                answer_clear(&round->tasks[i].answer);
        }
        g_ptr_array_unref(round->checks);
        g_free(round->tasks);
        g_free(round);
}

static void fill_values(SnoozePluginDictionary *entry, JsonObject *details) {
        SnoozePluginDictionary *dictionary;
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (!details || json_object_get_size(details) == 0)
                return;
        dictionary = snooze_plugin_dictionary_add_dictionary(entry, "details");
        json_object_iter_init_ordered(&iter, details);
        while (json_object_iter_next_ordered(&iter, &key, &value)) {
                GType type = json_node_get_value_type(value);

                if (type == G_TYPE_STRING)
                        snooze_plugin_dictionary_set_string(dictionary, key, json_node_get_string(value));
                else if (type == G_TYPE_BOOLEAN)
                        snooze_plugin_dictionary_set_bool(dictionary, key, json_node_get_boolean(value));
                else if (type == G_TYPE_INT64)
                        snooze_plugin_dictionary_set_int(dictionary, key, json_node_get_int(value));
                else
                        snooze_plugin_dictionary_set_double(dictionary, key, json_node_get_double(value));
        }
}

static void fill_vote(SnoozePluginDictionary *details, const Task *task) {
        SnoozePluginDictionary *entry = snooze_plugin_dictionary_append_dictionary(details, "votes");
        const Answer *answer = &task->answer;

        snooze_plugin_dictionary_set_string(entry, "name", task->check->name);
        snooze_plugin_dictionary_set_string(entry, "verdict", answer->verdict);
        snooze_plugin_dictionary_set_string(entry, "reason", answer->reason);
        if (answer->last_activity > 0)
                snooze_plugin_dictionary_set_uint(entry, "last_activity", answer->last_activity);
        if (answer->exit_status >= 0)
                snooze_plugin_dictionary_set_int(entry, "exit_status", answer->exit_status);
        if (answer->duration > 0)
                snooze_plugin_dictionary_set_uint(entry, "microseconds", answer->duration);
        if (answer->cut)
                snooze_plugin_dictionary_set_bool(entry, "cut", true);
        if (answer->output)
                snooze_plugin_dictionary_set_string(entry, "output", answer->output);
        fill_values(entry, answer->details);
}

/* The daemon takes 64 KiB of texts in one answer, names of keys included, and refuses the whole of one that has more:
 * what a check says beside its reason is evidence, and cut where all of it would be too much. */
static void cut_evidence(Round *round) {
        g_autofree gsize *sizes = g_new(gsize, round->checks->len);
        gsize share;

        for (guint i = 0; i < round->checks->len; i++)
                sizes[i] = answer_evidence_size(&round->tasks[i].answer);
        share = evidence_share(sizes, round->checks->len, EVIDENCE_MAX);
        for (guint i = 0; i < round->checks->len; i++)
                answer_cut(&round->tasks[i].answer, share);
}

/* Answers, and is gone. */
static void round_end(Round *round) {
        SnoozePluginDictionary *details = snooze_plugin_call_get_result(round->call);
        SnoozePluginCall *call = round->call;
        guint n = round->checks->len;

        cut_evidence(round);
        for (guint i = 0; i < n; i++)
                fill_vote(details, &round->tasks[i]);
        if (n == 0) {
                snooze_plugin_dictionary_set_bool(details, "watching", false);
                snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "no checks");
        } else
                snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "%u check%s, each with a vote of its own", n,
                                               n == 1 ? "" : "s");
        (void) g_ptr_array_remove_fast(round->command->rounds, round);
        snooze_plugin_call_finish(call, 0);
}

static void task_answered(Task *task) {
        task->run = NULL;
        task->answered = TRUE;
        if (--task->round->waiting == 0)
                round_end(task->round);
}

static void on_done(const RunOutcome *outcome, void *userdata) {
        Task *task = userdata;

        answer_read(outcome, &task->answer);
        task_answered(task);
}

static Run *check_start(Command *command, Task *task) {
        const Check *check = task->check;
        g_autofree char *name = g_strconcat("SNOOZE_CHECK=", check->name, NULL);
        const RunParameters parameters = {
                .name = check->name,
                .arguments = check->arguments,
                .environment = (const char *const[]) { name, NULL },
                .timeout = check->timeout > 0 ? check->timeout : command->timeout,
                .output_max = RUN_OUTPUT_MAX,
                .done = on_done,
                .userdata = task,
        };

        return run_start(command->runner, &parameters);
}

/* FALSE: there is no room now. */
static gboolean task_begin(Command *command, Task *task) {
        const Check *check = task->check;

        if (check->problem)
                answer_unknown(check->problem, &task->answer);
        else if (runner_hangs(command->runner, check->name))
                answer_unknown("was told to end and has not", &task->answer);
        else if (runner_count(command->runner) >= command->parallel)
                return FALSE;
        else {
                task->run = check_start(command, task);
                if (task->run)
                        return TRUE;
                answer_unknown("cannot be run now", &task->answer);
        }
        task_answered(task);
        return TRUE;
}

static Task *next_task(Command *command) {
        for (guint i = 0; i < command->rounds->len; i++) {
                Round *round = g_ptr_array_index(command->rounds, i);

                for (guint k = 0; k < round->checks->len; k++)
                        if (!round->tasks[k].run && !round->tasks[k].answered)
                                return &round->tasks[k];
        }
        return NULL;
}

static void pump(void *userdata) {
        Command *command = userdata;
        Task *task;

        while ((task = next_task(command)) && task_begin(command, task))
                ;
}

static void round_cut(Round *round, const char *reason) {
        for (guint i = 0; i < round->checks->len; i++)
                if (!round->tasks[i].answered) {
                        answer_unknown(reason, &round->tasks[i].answer);
                        round->tasks[i].answered = TRUE;
                }
        round_end(round);
}

static int on_round_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Round *round = userdata;

        round_cut(round, "there was no time left for it");
        return 0;
}

/* All of them are listed first: whether one may be run depends on the others' names, too. */
static void keep_only(GPtrArray *checks, const char *name) {
        for (guint i = checks->len; i-- > 0;)
                if (!g_str_equal(((const Check *) g_ptr_array_index(checks, i))->name, name))
                        g_ptr_array_remove_index(checks, i);
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        const char *subject = snooze_plugin_dictionary_get_string(metrics, "subject", NULL);
        Command *command = userdata;
        sd_event *event = snooze_plugin_instance_get_event(command->instance);
        g_autoptr(GPtrArray) checks = NULL;
        g_autoptr(GError) error = NULL;
        Round *round;
        int r;

        if (command->rounds->len >= ROUNDS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_THROTTLED,
                                               "%u rounds of checks are under way", ROUNDS_MAX);
        checks = checks_list(command->directory, command->configured, command->also, &error);
        if (!checks) {
                snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_UNKNOWN, "%s", error->message);
                return 0;
        }
        if (subject)
                keep_only(checks, subject);
        round = g_new0(Round, 1);
        *round = (Round) { .command = command, .call = call, .waiting = checks->len };
        round->tasks = g_new0(Task, checks->len);
        for (guint i = 0; i < checks->len; i++)
                round->tasks[i] = (Task) { .round = round, .check = g_ptr_array_index(checks, i) };
        round->checks = g_steal_pointer(&checks);
        r = sd_event_add_time(event, &round->deadline, CLOCK_MONOTONIC, clock_monotonic() + ROUND_TIMEOUT, 0,
                              on_round_deadline, round);
        if (r < 0) {
                round_free(round);
                return r;
        }
        g_ptr_array_add(command->rounds, round);
        if (round->waiting == 0)
                round_end(round);
        else
                pump(command);
        return SNOOZE_PLUGIN_LATER;
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        Command *command = userdata;
        const char *const *texts = snooze_plugin_dictionary_get_strv(config, "commands", NULL);
        g_autoptr(GPtrArray) configured = g_ptr_array_new_with_free_func(check_free);
        g_autoptr(GError) error = NULL;

        for (; texts && *texts; texts++) {
                Check *check = check_parse(*texts, &error);

                if (!check)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "commands: %s",
                                                       error->message);
                for (guint i = 0; i < configured->len; i++)
                        if (g_str_equal(((Check *) g_ptr_array_index(configured, i))->name, check->name)) {
                                int r = snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                                "commands: two are named %s", check->name);

                                check_free(check);
                                return r;
                        }
                g_ptr_array_add(configured, check);
        }
        g_clear_pointer(&command->configured, g_ptr_array_unref);
        command->configured = g_steal_pointer(&configured);
        command->timeout = (uint64_t) (snooze_plugin_dictionary_get_double(config, "timeout_seconds", 10) *
                                       (double) USEC_PER_SEC);
        command->parallel = (unsigned) snooze_plugin_dictionary_get_int(config, "parallel", 4);
        return 0;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Command *command = userdata;

        command->instance = instance;
        return runner_new(snooze_plugin_instance_get_event(instance), pump, command, &command->runner);
}

static void shut_down(void *userdata) {
        Command *command = userdata;

        while (command->rounds->len > 0)
                round_cut(g_ptr_array_index(command->rounds, 0), "the plugin leaves");
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "commands", SNOOZE_PLUGIN_LIST },
                { "timeout_seconds", SNOOZE_PLUGIN_NUMBER, 0.1, 20, .default_value = "10" },
                { "parallel", SNOOZE_PLUGIN_INTEGER, 1, 16, .default_value = "4" },
                { NULL },
        };
        /* Another directory, whose owner is trusted, for tests. */
        const char *directory = getenv("SNOOZE_CHECKS_DIRECTORY");
        Command command = {
                .configured = g_ptr_array_new_with_free_func(check_free),
                .rounds = g_ptr_array_new_with_free_func(round_free),
                .timeout = 10 * USEC_PER_SEC,
                .parallel = 4,
                .directory = directory ?: PKGSYSCONFDIR "/checks.d",
                .also = directory ? geteuid() : 0,
        };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "command",
                .version = PACKAGE_VERSION,
                .description = "Runs programs that tell by their exit status whether the machine is idle.",
                .userdata = &command,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .shutdown = shut_down,
                .check_idle = check_idle,
        };
        int r;

        r = snooze_plugin_main(&plugin, argc, argv);
        g_ptr_array_unref(command.rounds);
        g_ptr_array_unref(command.configured);
        runner_free(command.runner);
        return r;
}
