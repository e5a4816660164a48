/* SPDX-License-Identifier: Apache-2.0 */

/* Runs the administrator's script when the cloud is about to take this machine. Each notice runs it once: whoever
 * tells of the same end again, under another name or in another way, waits for the run that is under way, and learns
 * that it was done. A daemon that was killed repeats the very notice, and is told what came of the run: nobody else
 * has written it down. */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "config.h"
#include "handled.h"
#include "notice.h"
#include "run/program.h"
#include "run/run.h"
#include "util/line.h"

#define GRACE (5 * USEC_PER_SEC) /* between SIGTERM and SIGKILL, at most; all of it lies within the margin */
#define OUTPUT_MAX (16U * 1024U)
#define ERROR_SIZE 256U

/* What came of the last run, until the next one. */
typedef struct Kept {
        char *notice; /* announcement_name(); NULL: nothing was run */
        char *output;
        char *error;  /* NULL: it succeeded */
} Kept;

typedef struct SpotHandler {
        SnoozePluginInstance *instance;
        Runner *runner;
        Run *run;                /* under way */
        SnoozePluginCall *call;  /* whose result the run is */
        GPtrArray *waiting;      /* SnoozePluginCall: told of the same end … */
        GPtrArray *repeated;     /* … and by the notice that began the run */
        Kept kept;
        GHashTable *announced;   /* by whom: announcements_new() */
        uint64_t remaining;      /* µs, when the run began */
        gboolean cancelled;      /* the run under way is for nothing */
        gboolean leaving;
        uint64_t handled_until;  /* wall clock µs: whatever is announced until then was handled; 0: nothing was */
} SpotHandler;

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *path = snooze_plugin_dictionary_get_string(config, "shutdown_script_path", "");
        g_autoptr(GError) error = NULL;
        g_autofree char *program = program_trusted(path, program_owner_also(), &error);

        /* Now, rather than in the two minutes that there are. */
        if (!program)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "shutdown_script_path: %s",
                                               error->message);
        return 0;
}

static void describe_end(const RunOutcome *outcome, const SpotHandler *handler, char *text) {
        double seconds = (double) outcome->duration / (double) USEC_PER_SEC;

        if (handler->cancelled)
                g_snprintf(text, ERROR_SIZE, "was ended after %.1f s: it was called off", seconds);
        else if (handler->leaving)
                g_snprintf(text, ERROR_SIZE, "was ended after %.1f s: the plugin leaves", seconds);
        else if (outcome->end == RUN_TIMED_OUT)
                g_snprintf(text, ERROR_SIZE, "was ended after %.1f s: there was no more time", seconds);
        else if (outcome->end == RUN_KILLED)
                g_snprintf(text, ERROR_SIZE, "was ended by signal %d (%s)", outcome->number,
                           g_strsignal(outcome->number));
        else if (outcome->end == RUN_FAILED)
                g_snprintf(text, ERROR_SIZE, "cannot be run: %s", g_strerror(outcome->number));
        else
                g_snprintf(text, ERROR_SIZE, "exit status %d", outcome->number);
}

static void kept_clear(Kept *kept) {
        g_clear_pointer(&kept->notice, g_free);
        g_clear_pointer(&kept->output, g_free);
        g_clear_pointer(&kept->error, g_free);
}

static void answer_kept(SpotHandler *handler, SnoozePluginCall *call) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        snooze_plugin_dictionary_set_string(result, "script_output", handler->kept.output);
        snooze_plugin_dictionary_set_int(result, "time_remaining", (int64_t) (handler->remaining / USEC_PER_SEC));
        snooze_plugin_dictionary_set_bool(result, "success", !handler->kept.error);
        if (handler->kept.error)
                snooze_plugin_dictionary_set_string(result, "error", handler->kept.error);
        (void) snooze_plugin_call_set_answer(call, true);
}

static gboolean is_repeated(const SpotHandler *handler, const SnoozePluginDictionary *event) {
        g_autofree char *name = announcement_name(event);

        return g_strcmp0(handler->kept.notice, name) == 0;
}

static void answer_already_handled(SpotHandler *handler, SnoozePluginCall *call, gboolean repeated) {
        if (repeated)
                answer_kept(handler, call);
        snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", "already_handled");
        (void) snooze_plugin_call_set_answer(call, true);
}

static void answer_waiting(SpotHandler *handler, GPtrArray *waiting, gboolean repeated) {
        while (waiting->len > 0) {
                SnoozePluginCall *call = g_ptr_array_steal_index(waiting, 0);

                answer_already_handled(handler, call, repeated);
                snooze_plugin_call_finish(call, 0);
        }
}

static void on_done(const RunOutcome *outcome, void *userdata) {
        SpotHandler *handler = userdata;
        SnoozePluginCall *call = handler->call;
        char error[ERROR_SIZE];

        handler->kept.output = g_strdup(outcome->output);
        if (outcome->end != RUN_EXITED || outcome->number != 0 || handler->cancelled) {
                describe_end(outcome, handler, error);
                handler->kept.error = g_strdup(error);
                snooze_plugin_log(LOG_WARNING, "The script %s", error);
        }
        answer_kept(handler, call);
        if (handler->cancelled || handler->leaving)
                handler->handled_until = 0;
        handler->run = NULL;
        handler->call = NULL;
        handler->cancelled = FALSE;
        snooze_plugin_call_finish(call, 0);
        answer_waiting(handler, handler->repeated, TRUE);
        answer_waiting(handler, handler->waiting, FALSE);
}

/* Nothing is run, and why. */
static int answer_failure(SnoozePluginCall *call, const Notice *notice, const char *error) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        snooze_plugin_log(LOG_WARNING, "The script is not run: %s", error);
        snooze_plugin_dictionary_set_string(result, "script_output", "");
        snooze_plugin_dictionary_set_int(result, "time_remaining", (int64_t) (notice->remaining / USEC_PER_SEC));
        snooze_plugin_dictionary_set_bool(result, "success", false);
        snooze_plugin_dictionary_set_string(result, "error", error);
        return snooze_plugin_call_set_answer(call, false);
}

/* A rehearsal is no notice of an end: the real one that follows must find nothing handled. */
static int answer_dry_run(SnoozePluginCall *call) {
        snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", "dry_run");
        return snooze_plugin_call_set_answer(call, false);
}

/* One line, whatever somebody put into an event. */
static char *variable(const char *name, const char *value) {
        g_autofree char *clean = g_strdup(value);

        line_clean(clean);
        return g_strconcat(name, "=", clean, NULL);
}

static char **environment_of(const SnoozePluginDictionary *event, const Notice *notice, uint64_t budget) {
        g_autofree char *remaining = g_strdup_printf("%" PRIu64, notice->remaining / USEC_PER_SEC);
        g_autofree char *seconds = g_strdup_printf("%" PRIu64, budget / USEC_PER_SEC);
        g_autofree char *deadline = g_strdup_printf("%" PRIu64, notice->deadline / USEC_PER_SEC);
        char **environment = g_new0(char *, 7);

        environment[0] = variable("SNOOZE_EVENT_ID", snooze_plugin_dictionary_get_string(event, "id", ""));
        environment[1] = variable("SNOOZE_EVENT_TYPE", snooze_plugin_dictionary_get_string(event, "type", ""));
        environment[2] = variable("SNOOZE_EVENT_SOURCE", snooze_plugin_dictionary_get_string(event, "source", ""));
        environment[3] = variable("SNOOZE_DEADLINE", deadline);
        environment[4] = variable("SNOOZE_TIME_REMAINING", remaining);
        environment[5] = variable("SNOOZE_SCRIPT_SECONDS", seconds);
        return environment;
}

static int run_script(SpotHandler *handler, SnoozePluginCall *call, const SnoozePluginDictionary *event,
                      const Notice *notice) {
        const char *path = snooze_plugin_instance_get_string(handler->instance, "shutdown_script_path") ?: "";
        uint64_t budget = notice_budget(notice, NOTICE_RESERVE_SECONDS,
                                        snooze_plugin_instance_get_integer(handler->instance, "timeout_seconds"));
        g_auto(GStrv) environment = NULL;
        g_autoptr(GError) error = NULL;
        g_autofree char *program = NULL;
        char text[ERROR_SIZE];

        if (budget == 0) {
                g_snprintf(text, sizeof(text),
                           "%" PRIu64 " s are left, of which %d are kept for the rest of the machine",
                           notice->remaining / USEC_PER_SEC, NOTICE_RESERVE_SECONDS);
                return answer_failure(call, notice, text);
        }
        /* Once more: files change. */
        program = program_trusted(path, program_owner_also(), &error);
        if (!program)
                return answer_failure(call, notice, error->message);
        environment = environment_of(event, notice, budget);
        handler->run = run_start(handler->runner, &(const RunParameters) {
                .name = "shutdown script",
                .arguments = (char *[]) { program, NULL },
                .environment = (const char *const *) environment,
                .timeout = budget,
                .grace = MIN(GRACE, notice_margin(notice, NOTICE_RESERVE_SECONDS) / 6 * 5),
                .output_kept = OUTPUT_MAX,
                .errors_too = TRUE,
                .await_end = TRUE,
                .done = on_done,
                .userdata = handler,
        });
        if (!handler->run)
                return answer_failure(call, notice, "there is no timer to bound it");
        snooze_plugin_log(LOG_NOTICE,
                          "%s says that this machine goes in %" PRIu64 " s: running %s for at most %" PRIu64 " s",
                          environment[2] + strlen("SNOOZE_EVENT_SOURCE="), notice->remaining / USEC_PER_SEC, program,
                          budget / USEC_PER_SEC);
        handler->call = call;
        /* Who told of a later end holds to that one: calling it off must not end what is done about this one. */
        if (handler->handled_until <= clock_realtime())
                g_hash_table_remove_all(handler->announced);
        announcements_add(handler->announced, event);
        kept_clear(&handler->kept);
        handler->kept.notice = announcement_name(event);
        handler->remaining = notice->remaining;
        handler->handled_until = notice_handled_until(notice);
        return SNOOZE_PLUGIN_LATER;
}

static int called_off(SpotHandler *handler, SnoozePluginCall *call, const SnoozePluginDictionary *event) {
        gboolean was_handled = handler->handled_until > 0;

        snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", "cancelled");
        if (!announcements_call_off(handler->announced, event))
                return snooze_plugin_call_set_answer(call, false);
        /* A script that knows how to undo what it did learns of it as SIGTERM. */
        if (handler->run) {
                handler->cancelled = TRUE;
                run_shorten(handler->run, 0);
        }
        handler->handled_until = 0;
        return snooze_plugin_call_set_answer(call, was_handled);
}

static int wait_for_run(SpotHandler *handler, SnoozePluginCall *call, const Notice *notice, gboolean repeated) {
        uint64_t budget = notice_budget(notice, NOTICE_RESERVE_SECONDS,
                                        snooze_plugin_instance_get_integer(handler->instance, "timeout_seconds"));

        /* Put off or not, the script has the time that it was told. */
        run_shorten(handler->run, usec_add(clock_monotonic(), budget));
        g_ptr_array_add(repeated ? handler->repeated : handler->waiting, call);
        return SNOOZE_PLUGIN_LATER;
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *type = snooze_plugin_dictionary_get_string(event, "type", "");
        SpotHandler *handler = userdata;
        uint64_t now = clock_realtime();
        gboolean repeated;
        Notice notice;

        if (strcmp(type, "cloud.spot.interrupt") != 0 && strcmp(type, "cloud.instance.termination") != 0)
                return snooze_plugin_call_set_answer(call, false);
        notice = notice_read(event, now);
        if (notice.cancelled)
                return called_off(handler, call, event);
        if (snooze_plugin_dictionary_get_bool(data, "dry_run", false))
                return answer_dry_run(call);
        if (!handler->run && !notice_is_handled(&notice, handler->handled_until, now))
                return run_script(handler, call, event, &notice);
        repeated = is_repeated(handler, event);
        announcements_add(handler->announced, event);
        handler->handled_until = handled_told_again(handler->handled_until, event, &notice, repeated,
                                                    handler->announced, now);
        if (handler->run)
                return wait_for_run(handler, call, &notice, repeated);
        answer_already_handled(handler, call, repeated);
        return 0;
}

/* A script that was cut is run again. */
static int export_state(SnoozePluginCall *call, void *userdata) {
        const SpotHandler *handler = userdata;

        return handled_export(call, handler->run ? 0 : handler->handled_until, handler->announced, NULL);
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        SpotHandler *handler = userdata;

        return handled_import(call, version, data, size, &handler->handled_until, handler->announced, NULL);
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        SpotHandler *handler = userdata;

        handler->instance = instance;
        return runner_new(snooze_plugin_instance_get_event(instance), NULL, NULL, &handler->runner);
}

static void shut_down(void *userdata) {
        SpotHandler *handler = userdata;

        handler->leaving = TRUE;
        if (handler->run)
                run_shorten(handler->run, 0);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "shutdown_script_path", SNOOZE_PLUGIN_STRING, .required = true },
                { "timeout_seconds", SNOOZE_PLUGIN_INTEGER, 1, 3600, .default_value = "90" },
                { NULL },
        };
        static const char *const events[] = { "cloud.spot.interrupt", "cloud.instance.termination", NULL };
        SpotHandler handler = { .waiting = g_ptr_array_new(),
                                .repeated = g_ptr_array_new(),
                                .announced = announcements_new() };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "spot-handler",
                .version = PACKAGE_VERSION,
                .description = "Runs a script before the cloud takes this machine.",
                .userdata = &handler,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .shutdown = shut_down,
                .supported_events = events,
                .handle_event = handle_event,
                .export_state = export_state,
                .import_state = import_state,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        runner_free(handler.runner);
        g_ptr_array_unref(handler.waiting);
        g_ptr_array_unref(handler.repeated);
        kept_clear(&handler.kept);
        g_hash_table_unref(handler.announced);
        return r;
}
