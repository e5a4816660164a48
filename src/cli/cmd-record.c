/* SPDX-License-Identifier: Apache-2.0 */

/* Writes what the daemon sees as a trace for the simulator (docs/traces.md). A line has only what changed: a key that
 * is left out keeps its value. A rate stands at the end of the span that it was measured over, so that a replay is
 * late by one sample, which errs on the side of leaving the machine on. */

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <glib-unix.h>

#include "cli/cmd-config.h"
#include "cli/output.h"
#include "cli/record-clock.h"
#include "cli/wait.h"
#include "config.h"
#include "util/json.h"

static const char *const metric_keys[] = {
        "cpu_usage", "memory_usage", "network_kbps", "disk_io_kbps", "gpu_usage", "input_idle_seconds",
};
static const char *const metric_sources[] = { "cpu", "memory", "network", "disk", "gpu", "input", NULL };

#define METRICS G_N_ELEMENTS(metric_keys)

typedef struct Recorder {
        Cli *cli;
        FILE *file;
        GMainLoop *loop;
        gint64 begun;
        guint64 interval;
        RecordClock seen; /* when the daemon last answered */
        guint64 lines;
        int code;
        gboolean lost;  /* the daemon does not answer; said once */
        gboolean ended; /* the next line is the last */

        double last[METRICS];
        gboolean known[METRICS];
        gint64 input_at; /* when last[input] was read */
        gint64 cpus;
        guint64 timestamp;
        GHashTable *votes; /* source → Said */
        char *hold;        /* "block", "delay" or NULL */
        gboolean paused;
} Recorder;

/* The latest word of one source. */
typedef struct Said {
        char *verdict, *reason;
        gint64 activity; /* on the wall clock, in µs; 0: none, or that of its answer */
        gboolean vacuous;
} Said;

static void said_free(void *data) {
        Said *said = data;

        g_free(said->verdict);
        g_free(said->reason);
        g_free(said);
}

static void recorder_clear(Recorder *recorder) {
        g_clear_pointer(&recorder->votes, g_hash_table_unref);
        g_clear_pointer(&recorder->loop, g_main_loop_unref);
        g_free(recorder->hold);
        if (recorder->file && recorder->file != stdout)
                (void) fclose(recorder->file);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Recorder, recorder_clear)

static void set_number(JsonObject *line, const char *key, double value) {
        double rounded = round(value * 1000) / 1000;

        if (rounded == floor(rounded) && fabs(rounded) < 1e15)
                json_object_set_int_member(line, key, (gint64) rounded);
        else
                json_object_set_double_member(line, key, rounded);
}

/* Input runs on by itself between the lines; only what differs from that is news. */
static gboolean is_news(const Recorder *recorder, gsize metric, double value, gint64 now) {
        double expected = recorder->last[metric];

        if (!recorder->known[metric])
                return TRUE;
        if (!g_str_equal(metric_keys[metric], "input_idle_seconds"))
                return value != expected;
        expected += (double) (now - recorder->input_at) / G_USEC_PER_SEC;
        return fabs(value - expected) >= 1;
}

static void add_cpus(Recorder *recorder, GVariant *metrics, JsonObject *line) {
        g_autoptr(GVariant) details = g_variant_lookup_value(metrics, "details", G_VARIANT_TYPE_VARDICT);
        g_autoptr(GVariant) cpu = details ? g_variant_lookup_value(details, "cpu", G_VARIANT_TYPE_VARDICT) : NULL;
        gint64 cpus;

        if (!cpu || !g_variant_lookup(cpu, "online", "x", &cpus))
                cpus = sysconf(_SC_NPROCESSORS_ONLN);
        if (cpus > 0 && cpus != recorder->cpus)
                json_object_set_int_member(line, "cpus", cpus);
        recorder->cpus = cpus;
}

static void add_metrics(Recorder *recorder, GVariant *metrics, JsonObject *line, gint64 now) {
        guint64 timestamp = 0;

        /* The same sample once more is no second measurement. */
        if (g_variant_lookup(metrics, "timestamp", "t", &timestamp) && timestamp == recorder->timestamp)
                return;
        recorder->timestamp = timestamp;
        for (gsize i = 0; i < METRICS; i++) {
                double value;

                if (!g_variant_lookup(metrics, metric_keys[i], "d", &value) || !isfinite(value)) {
                        if (recorder->known[i])
                                json_object_set_null_member(line, metric_keys[i]);
                        recorder->known[i] = FALSE;
                        continue;
                }
                if (is_news(recorder, i, value, now)) {
                        set_number(line, metric_keys[i], value);
                        recorder->last[i] = value;
                        recorder->known[i] = TRUE;
                        recorder->input_at =
                                g_str_equal(metric_keys[i], "input_idle_seconds") ? now : recorder->input_at;
                }
        }
        add_cpus(recorder, metrics, line);
}

static void forget_silent(Recorder *recorder, GHashTable *heard, JsonObject *votes) {
        GHashTableIter iter;
        gpointer source;

        g_hash_table_iter_init(&iter, recorder->votes);
        while (g_hash_table_iter_next(&iter, &source, NULL))
                if (!g_hash_table_contains(heard, source)) {
                        json_object_set_null_member(votes, source);
                        g_hash_table_iter_remove(&iter);
                }
}

/* When there was activity. Of what is busy a replay takes the moment of the answer anyway. */
static gint64 activity_of(const char *verdict, GVariant *evidence) {
        double age = 0;
        gint64 activity = 0;

        g_variant_lookup(evidence, "age_seconds", "d", &age);
        g_variant_lookup(evidence, "last_activity", "x", &activity);
        if (g_str_equal(verdict, "busy") && (double) (g_get_real_time() - activity) < (age + 1) * G_USEC_PER_SEC)
                return 0;
        return activity;
}

/* The wall clock runs beside the monotonic one to less than that. */
static gboolean is_known(const Said *known, const Said *said) {
        return known && g_str_equal(known->verdict, said->verdict) && g_str_equal(known->reason, said->reason) &&
               known->vacuous == said->vacuous && ABS(known->activity - said->activity) < G_USEC_PER_SEC;
}

static JsonObject *vote_of(const Recorder *recorder, const Said *said) {
        JsonObject *vote = json_object_new();

        json_object_set_string_member(vote, "verdict", said->verdict);
        json_object_set_string_member(vote, "reason", said->reason);
        if (said->activity > 0) {
                gint64 moment = g_get_monotonic_time() - (g_get_real_time() - said->activity);

                set_number(vote, "last_activity", (double) MAX(moment - recorder->begun, 0) / G_USEC_PER_SEC);
        }
        if (said->vacuous)
                json_object_set_boolean_member(vote, "watching", FALSE);
        return vote;
}

static void add_votes(Recorder *recorder, GVariant *explained, JsonObject *line) {
        g_autoptr(GHashTable) heard = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(JsonObject) votes = json_object_new();
        const char *source, *verdict, *reason;
        GVariant *evidence;
        GVariantIter iter;

        g_variant_iter_init(&iter, explained);
        while (g_variant_iter_loop(&iter, "(&s&s&s@a{sv})", &source, &verdict, &reason, &evidence)) {
                gboolean watching = TRUE;
                Said *said;

                if (g_strv_contains(metric_sources, source))
                        continue;
                g_variant_lookup(evidence, "watching", "b", &watching);
                said = g_new(Said, 1);
                *said = (Said) { g_strdup(verdict), g_strdup(reason), activity_of(verdict, evidence), !watching };
                g_hash_table_add(heard, g_strdup(source));
                if (is_known(g_hash_table_lookup(recorder->votes, source), said)) {
                        said_free(said);
                        continue;
                }
                json_object_set_object_member(votes, source, vote_of(recorder, said));
                g_hash_table_replace(recorder->votes, g_strdup(source), said);
        }
        forget_silent(recorder, heard, votes);
        if (json_object_get_size(votes) > 0)
                json_object_set_object_member(line, "votes", g_steal_pointer(&votes));
}

/* Whoever holds it on and why is not for a file that is passed around: that somebody does, is. */
static const char *hold_of(GVariant *holds) {
        const char *kind, *held = NULL;
        GVariantIter iter;

        g_variant_iter_init(&iter, holds);
        while (g_variant_iter_next(&iter, "(uss&stt)", NULL, NULL, NULL, &kind, NULL, NULL))
                if (!g_str_equal(kind, "delay"))
                        return "block";
                else
                        held = "delay";
        return held;
}

static void write_line(Recorder *recorder, JsonObject *line) {
        g_autofree char *text = json_object_text(line);

        if (fprintf(recorder->file, "%s\n", text) < 0 || fflush(recorder->file) != 0) {
                g_printerr(SNOOZE_COMMAND ": the trace could not be written: %s\n", g_strerror(errno));
                recorder->code = EXIT_CODE_FAILED;
                g_main_loop_quit(recorder->loop);
        }
        recorder->lines++;
}

static JsonObject *line_new(const Recorder *recorder, gint64 now) {
        JsonObject *line = json_object_new();

        set_number(line, "t", (double) (now - recorder->begun) / G_USEC_PER_SEC);
        return line;
}

static void forget_written(JsonObject *line) {
        g_autoptr(GList) keys = json_object_get_members(line);
        double t = json_object_get_double_member(line, "t");

        for (GList *l = keys; l; l = l->next)
                json_object_remove_member(line, l->data);
        set_number(line, "t", t);
}

static void add_holds(Recorder *recorder, GVariant *holds, JsonObject *line) {
        const char *held = hold_of(holds);

        if (g_strcmp0(held, recorder->hold) == 0)
                return;
        if (recorder->hold)
                json_object_set_boolean_member(line, "release", TRUE);
        if (recorder->hold && held) { /* released and held anew are two instants */
                write_line(recorder, line);
                forget_written(line);
        }
        if (held)
                json_object_set_string_member(line, "hold", held);
        g_free(recorder->hold);
        recorder->hold = g_strdup(held);
}

/* Lines have only what changed, so the last one may be of long before: the time in between was measured, and what came
 * then was not. */
static void add_event(Recorder *recorder, JsonObject *line, const RecordClock *now) {
        const RecordClock before = recorder->seen;
        const char *event = recorder->lines > 0 ? record_clock_event(&before, now, recorder->interval) : NULL;
        g_autoptr(JsonObject) last = NULL;

        recorder->seen = *now;
        if (!event)
                return;
        last = line_new(recorder, MAX(before.monotonic, recorder->begun));
        write_line(recorder, last);
        json_object_set_string_member(line, "event", event);
}

static gboolean read_state(Recorder *recorder, GVariant **metrics, GVariant **votes, GVariant **holds,
                           GError **error) {
        SnoozeClientManager *manager = recorder->cli->manager;
        g_autoptr(Wait) first = wait_new(recorder->cli, "Waiting for snoozed");
        g_autoptr(Wait) second = wait_new(recorder->cli, "Waiting for snoozed");
        g_autoptr(Wait) third = wait_new(recorder->cli, "Waiting for snoozed");
        g_autofree char *state = NULL, *reason = NULL;

        snooze_client_manager_call_get_metrics(manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, first);
        if (!snooze_client_manager_call_get_metrics_finish(manager, metrics, wait_for(first), error))
                return FALSE;
        snooze_client_manager_call_explain(manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, second);
        if (!snooze_client_manager_call_explain_finish(manager, &state, &reason, votes, wait_for(second), error))
                return FALSE;
        snooze_client_manager_call_list_holds(manager, G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, third);
        return snooze_client_manager_call_list_holds_finish(manager, holds, wait_for(third), error);
}

static void record_instant(Recorder *recorder) {
        g_autoptr(GVariant) metrics = NULL, votes = NULL, holds = NULL;
        g_autoptr(JsonObject) line = NULL;
        g_autoptr(GError) error = NULL;
        RecordClock clock;
        gboolean paused;
        gint64 now;

        if (!read_state(recorder, &metrics, &votes, &holds, &error)) {
                if (!recorder->lost)
                        g_printerr(SNOOZE_COMMAND ": nothing to record, snoozed does not answer: %s\n",
                                   error->message);
                recorder->lost = TRUE;
                return;
        }
        recorder->lost = FALSE;
        clock = record_clock_now();
        now = recorder->lines == 0 ? recorder->begun : clock.monotonic;
        paused = snooze_client_manager_get_paused(recorder->cli->manager);
        line = line_new(recorder, now);
        add_event(recorder, line, &clock);
        add_metrics(recorder, metrics, line, now);
        add_votes(recorder, votes, line);
        if (paused != recorder->paused) {
                if (json_object_has_member(line, "event")) { /* one an instant */
                        write_line(recorder, line);
                        forget_written(line);
                }
                json_object_set_string_member(line, "event", paused ? "pause" : "unpause");
        }
        recorder->paused = paused;
        add_holds(recorder, holds, line);
        if (json_object_get_size(line) > 1 || recorder->lines == 0 || recorder->ended)
                write_line(recorder, line);
}

static gboolean on_interval(gpointer userdata) {
        record_instant(userdata);
        return G_SOURCE_CONTINUE;
}

static gboolean on_end(gpointer userdata) {
        Recorder *recorder = userdata;

        g_main_loop_quit(recorder->loop);
        return G_SOURCE_CONTINUE;
}

static guint64 sample_interval(Cli *cli) {
        g_autoptr(JsonNode) configuration = config_fetch(cli, NULL);
        double seconds =
                configuration ? json_get_double(json_node_get_object(configuration), "sample_interval_seconds", 5) : 5;

        return (guint64) (CLAMP(seconds, 0.1, 3600) * G_USEC_PER_SEC);
}

static int record(Recorder *recorder, guint64 span) {
        recorder->loop = g_main_loop_new(NULL, FALSE);
        recorder->votes = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, said_free);
        recorder->begun = g_get_monotonic_time();

        g_unix_signal_add(SIGINT, on_end, recorder);
        g_unix_signal_add(SIGTERM, on_end, recorder);
        g_timeout_add((guint) MIN(recorder->interval / 1000, G_MAXUINT), on_interval, recorder);
        if (span > 0)
                g_timeout_add((guint) MIN(span / 1000, G_MAXUINT), on_end, recorder);
        record_instant(recorder);
        if (recorder->code == EXIT_CODE_OK)
                g_main_loop_run(recorder->loop);
        /* A trace ends with its last instant: say how long the last values held. */
        recorder->ended = TRUE;
        if (recorder->code == EXIT_CODE_OK)
                record_instant(recorder);
        return recorder->code;
}

static int run_record(Cli *cli, int argc, char **argv) {
        g_autofree char *span_text = NULL, *interval_text = NULL;
        const GOptionEntry entries[] = { { "for", 0, 0, G_OPTION_ARG_STRING, &span_text,
                                           "Stop recording after SPAN (Ctrl-C)", "SPAN" },
                                         { "interval", 0, 0, G_OPTION_ARG_STRING, &interval_text,
                                           "Look so often (as the daemon samples)", "SPAN" },
                                         { NULL } };
        g_auto(Recorder) recorder = { .cli = cli, .file = stdout };
        guint64 span = 0, interval = 0;
        int code;

        if (!cli_parse(cli, &verb_record, "Without FILE, or with -, the trace goes to standard output.", entries, 0, 0,
                       1, &argc, &argv) ||
            (span_text && !cli_parse_duration(&verb_record, "--for", span_text, &span)) ||
            (interval_text && !cli_parse_duration(&verb_record, "--interval", interval_text, &interval)))
                return EXIT_CODE_USAGE;
        code = cli_connect(cli);
        if (code != EXIT_CODE_OK)
                return code;

        if (argc > 1 && !g_str_equal(argv[1], "-")) {
                recorder.file = fopen(argv[1], "we");
                if (!recorder.file) {
                        g_printerr(SNOOZE_COMMAND ": %s: %s\n", argv[1], g_strerror(errno));
                        return EXIT_CODE_FAILED;
                }
                g_printerr("Recording to %s%s\n", argv[1], span > 0 ? "" : " until you press Ctrl-C");
        }
        recorder.interval = interval > 0 ? interval : sample_interval(cli);
        code = record(&recorder, span);
        if (code == EXIT_CODE_OK && recorder.file != stdout)
                g_printerr("%" G_GUINT64_FORMAT " lines. Try it: " SNOOZE_COMMAND " simulate %s\n", recorder.lines,
                           argv[1]);
        return code;
}

const Verb verb_record = { "record", "[--for SPAN] [--interval SPAN] [FILE]",
                           "Write a trace of this machine for simulate", run_record,
        "it goes by the clocks of the machine that it runs on" };
