/* SPDX-License-Identifier: Apache-2.0 */

/* Tells jobs to save their work before this machine goes: by a signal, or by a command for each, and waits until they
 * have. Each end is told of once: a second signal ends many a program that the first one had made save. */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <syslog.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "base/names.h"
#include "config.h"
#include "job.h"
#include "plugins/spot-handler/handled.h"
#include "plugins/spot-handler/notice.h"
#include "run/program.h"
#include "target.h"

#define RESERVE_SECONDS 5 /* for what else there is to be done before the end */
#define CALL_OFF_TIME (3 * USEC_PER_SEC)

/* What came of those that were told last, until the next ones are. */
typedef struct Kept {
        char *notice, *type; /* announcement_name(); what it said */
        GArray *outcomes;    /* TargetOutcome, whose texts are ours */
        const char *problem;
        gboolean cancelled;
} Kept;

typedef struct Checkpoint {
        SnoozePluginInstance *instance;
        GPtrArray *jobs;         /* Job, in force */
        GPtrArray *told_jobs;    /* those of the targets under way */
        Runner *runner;
        Targets *targets;
        SnoozePluginCall *call;  /* whose result they are */
        GPtrArray *waiting;      /* SnoozePluginCall: told of the same end … */
        GPtrArray *repeated;     /* … and by the notice by which they were told */
        Kept kept;
        GHashTable *announced;   /* by whom: announcements_new() */
        uint64_t handled_until;  /* wall clock µs; 0: nothing is */
        /* What an instance before this one did not live to answer: whom it had told, and of which end. */
        GArray *told;            /* ToldProcess */
        uint64_t told_until;     /* wall clock µs: what its handled_until was */
} Checkpoint;

static const char *const types[] = { "cloud.spot.interrupt",       "cloud.instance.termination",
                                     "cloud.instance.maintenance", "cloud.autoscaling.scale",
                                     EVENT_STOP_PENDING,           NULL };

static int answer_status(SnoozePluginCall *call, const char *status, bool handled) {
        (void) snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", status);
        return snooze_plugin_call_set_answer(call, handled);
}

static int answer_failure(SnoozePluginCall *call, const char *error) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        (void) snooze_plugin_dictionary_set_bool(result, "success", false);
        (void) snooze_plugin_dictionary_set_string(result, "error", error);
        return snooze_plugin_call_set_answer(call, false);
}

static void add_outcome(SnoozePluginDictionary *result, const TargetOutcome *outcome) {
        SnoozePluginDictionary *entry = snooze_plugin_dictionary_append_dictionary(result, "jobs");

        (void) snooze_plugin_dictionary_set_string(entry, "job", outcome->job);
        (void) snooze_plugin_dictionary_set_string(entry, "name", outcome->name);
        (void) snooze_plugin_dictionary_set_int(entry, "pid", outcome->pid);
        (void) snooze_plugin_dictionary_set_bool(entry, "done", outcome->done);
        (void) snooze_plugin_dictionary_set_double(entry, "seconds",
                                                   (double) outcome->duration / (double) USEC_PER_SEC);
        if (outcome->problem)
                (void) snooze_plugin_dictionary_set_string(entry, "problem", outcome->problem);
}

static void outcome_clear(void *data) {
        TargetOutcome *outcome = data;

        g_free((char *) outcome->job);
        g_free((char *) outcome->name);
        g_free((char *) outcome->problem);
}

static void kept_begin(Kept *kept, const SnoozePluginDictionary *event) {
        g_free(kept->notice);
        kept->notice = announcement_name(event);
        g_free(kept->type);
        kept->type = g_strdup(snooze_plugin_dictionary_get_string(event, "type", ""));
        g_array_set_size(kept->outcomes, 0);
        kept->cancelled = FALSE;
}

static void kept_add(Kept *kept, const TargetOutcome *outcomes, guint n) {
        for (guint i = 0; i < n; i++) {
                TargetOutcome copy = outcomes[i];

                copy.job = g_strdup(copy.job);
                copy.name = g_strdup(copy.name);
                copy.problem = g_strdup(copy.problem);
                g_array_append_val(kept->outcomes, copy);
        }
}

/* How many have saved their work. */
static guint answer_kept(const Kept *kept, SnoozePluginCall *call) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        guint done = 0;

        for (guint i = 0; i < kept->outcomes->len; i++) {
                const TargetOutcome *outcome = &g_array_index(kept->outcomes, TargetOutcome, i);

                add_outcome(result, outcome);
                done += outcome->done;
        }
        if (kept->problem)
                (void) snooze_plugin_dictionary_set_string(result, "error", kept->problem);
        else if (kept->cancelled)
                (void) snooze_plugin_dictionary_set_string(result, "error", "it was called off");
        (void) snooze_plugin_dictionary_set_bool(result, "success",
                                                 done == kept->outcomes->len && !kept->problem && !kept->cancelled);
        (void) snooze_plugin_dictionary_set_uint(result, "told", kept->outcomes->len);
        (void) snooze_plugin_dictionary_set_uint(result, "done", done);
        (void) snooze_plugin_call_set_answer(call, kept->outcomes->len > 0);
        return done;
}

static gboolean is_repeated(const Checkpoint *checkpoint, const SnoozePluginDictionary *event) {
        g_autofree char *name = announcement_name(event);

        return g_strcmp0(checkpoint->kept.notice, name) == 0 &&
                g_str_equal(checkpoint->kept.type, snooze_plugin_dictionary_get_string(event, "type", ""));
}

/* The very notice again, which a daemon that was killed repeats: nobody has written down what came of it. */
static int answer_already_handled(const Checkpoint *checkpoint, SnoozePluginCall *call, gboolean repeated) {
        if (repeated)
                (void) answer_kept(&checkpoint->kept, call);
        return answer_status(call, "already_handled", true);
}

static void answer_waiting(const Checkpoint *checkpoint, GPtrArray *waiting, gboolean repeated) {
        while (waiting->len > 0) {
                SnoozePluginCall *call = g_ptr_array_steal_index(waiting, 0);

                (void) answer_already_handled(checkpoint, call, repeated);
                snooze_plugin_call_finish(call, 0);
        }
}

static void on_done(const TargetOutcome *outcomes, guint n, void *userdata) {
        Checkpoint *checkpoint = userdata;
        SnoozePluginCall *call = checkpoint->call;
        const char *problem = checkpoint->kept.problem;
        guint done;

        kept_add(&checkpoint->kept, outcomes, n);
        done = answer_kept(&checkpoint->kept, call);
        snooze_plugin_log(LOG_NOTICE, "%u of %u jobs have saved their work%s%s", done, n, problem ? "; " : "",
                          problem ?: "");
        /* Where nobody was told, the next notice may find somebody. */
        if (n == 0)
                checkpoint->handled_until = 0;
        checkpoint->targets = NULL;
        checkpoint->call = NULL;
        g_clear_pointer(&checkpoint->told_jobs, g_ptr_array_unref);
        snooze_plugin_call_finish(call, 0);
        answer_waiting(checkpoint, checkpoint->repeated, TRUE);
        answer_waiting(checkpoint, checkpoint->waiting, FALSE);
}

static void forget_told(Checkpoint *checkpoint) {
        g_array_set_size(checkpoint->told, 0);
        checkpoint->told_until = 0;
}

static int begin(Checkpoint *checkpoint, SnoozePluginCall *call, const SnoozePluginDictionary *event,
                 const Notice *notice, uint64_t budget) {
        int r;

        if (budget == 0)
                return answer_failure(call, "there is no time left");
        r = targets_begin(&(const TargetsParameters) {
                .event = snooze_plugin_instance_get_event(checkpoint->instance),
                .runner = checkpoint->runner,
                .jobs = checkpoint->jobs,
                .deadline = usec_add(clock_monotonic(), budget),
                .told = notice_is_handled(notice, checkpoint->told_until, clock_realtime()) ? checkpoint->told : NULL,
                .done = on_done,
                .userdata = checkpoint,
        }, &checkpoint->kept.problem, &checkpoint->targets);
        if (r < 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "Cannot read the processes: %s",
                                               strerror(-r));
        forget_told(checkpoint);
        checkpoint->call = call;
        /* Who told of a later end holds to that one: calling it off must not end what is done about this one. */
        if (checkpoint->handled_until <= clock_realtime())
                g_hash_table_remove_all(checkpoint->announced);
        announcements_add(checkpoint->announced, event);
        kept_begin(&checkpoint->kept, event);
        checkpoint->told_jobs = g_ptr_array_ref(checkpoint->jobs);
        checkpoint->handled_until = notice_handled_until(notice);
        return SNOOZE_PLUGIN_LATER;
}

static int called_off(Checkpoint *checkpoint, SnoozePluginCall *call, const SnoozePluginDictionary *event) {
        gboolean was_handled = checkpoint->handled_until > 0 || checkpoint->told->len > 0;

        if (!announcements_call_off(checkpoint->announced, event))
                return answer_status(call, "cancelled", false);
        forget_told(checkpoint);
        if (checkpoint->targets) {
                checkpoint->kept.cancelled = TRUE;
                targets_shorten(checkpoint->targets, usec_add(clock_monotonic(), CALL_OFF_TIME));
        }
        checkpoint->handled_until = 0;
        return answer_status(call, "cancelled", was_handled);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *type = snooze_plugin_dictionary_get_string(event, "type", "");
        Checkpoint *checkpoint = userdata;
        uint64_t now = clock_realtime(), budget;
        gboolean repeated;
        Notice notice;

        if (!g_strv_contains(types, type))
                return snooze_plugin_call_set_answer(call, false);
        if (snooze_plugin_dictionary_get_bool(data, "dry_run", false))
                return answer_status(call, "dry_run", false);
        notice = notice_read(event, now);
        budget = notice_budget(&notice, RESERVE_SECONDS,
                               snooze_plugin_instance_get_integer(checkpoint->instance, "timeout_seconds"));
        if (notice.cancelled)
                return called_off(checkpoint, call, event);
        if (!checkpoint->targets && !notice_is_handled(&notice, checkpoint->handled_until, now))
                return begin(checkpoint, call, event, &notice, budget);
        repeated = is_repeated(checkpoint, event);
        announcements_add(checkpoint->announced, event);
        checkpoint->handled_until = handled_told_again(checkpoint->handled_until, event, &notice, repeated,
                                                       checkpoint->announced, now);
        if (!checkpoint->targets)
                return answer_already_handled(checkpoint, call, repeated);
        targets_shorten(checkpoint->targets, usec_add(clock_monotonic(), budget));
        g_ptr_array_add(repeated ? checkpoint->repeated : checkpoint->waiting, call);
        return SNOOZE_PLUGIN_LATER;
}

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        Checkpoint *checkpoint = userdata;
        g_autoptr(GPtrArray) jobs = NULL;
        g_autoptr(GError) error = NULL;

        jobs = jobs_parse(snooze_plugin_dictionary_get_strv(config, "jobs", NULL), &error);
        if (!jobs)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "jobs: %s", error->message);
        if (jobs->len == 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "jobs: expected at least one");
        for (guint i = 0; i < jobs->len; i++) {
                const Job *job = g_ptr_array_index(jobs, i);
                g_autofree char *program =
                        job->command ? program_trusted(job->command[0], program_owner_also(), &error) : NULL;

                if (job->command && !program)
                        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "jobs: %s: %s",
                                                       job->pattern->name, error->message);
        }
        g_clear_pointer(&checkpoint->jobs, g_ptr_array_unref);
        checkpoint->jobs = g_steal_pointer(&jobs);
        return 0;
}

static void slot_free(void *userdata) {
        Checkpoint *checkpoint = userdata;

        if (checkpoint->targets)
                targets_continue(checkpoint->targets);
}

/* What is under way is not handled yet: commands end with their plugin, and nobody has been answered. */
static int export_state(SnoozePluginCall *call, void *userdata) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GArray) told = g_array_new(FALSE, FALSE, sizeof(ToldProcess));
        const Checkpoint *checkpoint = userdata;
        const GArray *list = checkpoint->targets ? told : checkpoint->told;
        uint64_t until = checkpoint->targets ? checkpoint->handled_until : checkpoint->told_until;

        G_STATIC_ASSERT(TARGETS_MAX <= HANDLED_MORE_MAX);
        if (checkpoint->targets)
                targets_list_told(checkpoint->targets, told);
        for (guint i = 0; i < list->len; i++) {
                const ToldProcess *process = &g_array_index(list, ToldProcess, i);

                g_ptr_array_add(lines, g_strdup_printf("%d %" PRIu64 " %" PRIu64 " %" PRIu64, (int) process->pid,
                                                       process->started, process->when, until));
        }
        return handled_export(call, checkpoint->targets ? 0 : checkpoint->handled_until, checkpoint->announced, lines);
}

static gboolean read_told(const char *line, ToldProcess *ret, uint64_t *ret_until) {
        g_auto(GStrv) words = g_strsplit(line, " ", -1);
        guint64 pid, started, when, until;

        if (g_strv_length(words) != 4 || !g_ascii_string_to_unsigned(words[0], 10, 1, INT32_MAX, &pid, NULL) ||
            !g_ascii_string_to_unsigned(words[1], 10, 0, G_MAXUINT64, &started, NULL) ||
            !g_ascii_string_to_unsigned(words[2], 10, 0, G_MAXUINT64, &when, NULL) ||
            !g_ascii_string_to_unsigned(words[3], 10, 0, G_MAXUINT64, &until, NULL))
                return FALSE;
        *ret = (ToldProcess) { .pid = (pid_t) pid, .started = started, .when = when };
        *ret_until = until;
        return TRUE;
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        Checkpoint *checkpoint = userdata;
        int r;

        r = handled_import(call, version, data, size, &checkpoint->handled_until, checkpoint->announced, lines);
        for (guint i = 0; r >= 0 && i < lines->len; i++) {
                ToldProcess process;

                if (read_told(g_ptr_array_index(lines, i), &process, &checkpoint->told_until))
                        g_array_append_val(checkpoint->told, process);
                else
                        r = snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                                    "the state has “%s”, expected four numbers",
                                                    (const char *) g_ptr_array_index(lines, i));
        }
        if (r < 0)
                forget_told(checkpoint);
        return r;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        Checkpoint *checkpoint = userdata;

        checkpoint->instance = instance;
        return runner_new(snooze_plugin_instance_get_event(instance), slot_free, checkpoint, &checkpoint->runner);
}

static void shut_down(void *userdata) {
        Checkpoint *checkpoint = userdata;

        if (checkpoint->targets)
                targets_shorten(checkpoint->targets, usec_add(clock_monotonic(), CALL_OFF_TIME));
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "jobs", SNOOZE_PLUGIN_LIST, .required = true },
                { "timeout_seconds", SNOOZE_PLUGIN_INTEGER, 1, 3600, .default_value = "90" },
                { NULL },
        };
        Checkpoint checkpoint = { .jobs = g_ptr_array_new(),
                                  .told = g_array_new(FALSE, FALSE, sizeof(ToldProcess)),
                                  .waiting = g_ptr_array_new(),
                                  .repeated = g_ptr_array_new(),
                                  .kept.outcomes = g_array_new(FALSE, FALSE, sizeof(TargetOutcome)),
                                  .announced = announcements_new() };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "checkpoint",
                .version = PACKAGE_VERSION,
                .description = "Has jobs save their work before this machine goes.",
                .userdata = &checkpoint,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .shutdown = shut_down,
                .supported_events = types,
                .handle_event = handle_event,
                .export_state = export_state,
                .import_state = import_state,
        };
        int r;

        g_array_set_clear_func(checkpoint.kept.outcomes, outcome_clear);
        r = snooze_plugin_main(&plugin, argc, argv);
        targets_free(checkpoint.targets);
        runner_free(checkpoint.runner);
        g_clear_pointer(&checkpoint.told_jobs, g_ptr_array_unref);
        g_array_unref(checkpoint.told);
        g_ptr_array_unref(checkpoint.jobs);
        g_ptr_array_unref(checkpoint.waiting);
        g_ptr_array_unref(checkpoint.repeated);
        g_array_unref(checkpoint.kept.outcomes);
        g_free(checkpoint.kept.notice);
        g_free(checkpoint.kept.type);
        g_hash_table_unref(checkpoint.announced);
        return r;
}
