/* SPDX-License-Identifier: Apache-2.0 */

/* snooze-simulate: what CloudSnooze would have done on the machine that a trace was recorded on. `snooze simulate`
 * runs it. */

#include <errno.h>
#include <locale.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "config.h"
#include "daemon/config/config-load.h"
#include "daemon/simulate/simulation.h"
#include "util/json.h"

#define EXIT_BAD_INPUT 2

typedef struct Options {
        char *config;
        gboolean text, version;
        char **traces;
} Options;

static void options_clear(Options *options) {
        g_free(options->config);
        g_strfreev(options->traces);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static void add_seconds(JsonObject *object, const char *member, uint64_t usec) {
        if (usec % USEC_PER_SEC == 0)
                json_object_set_int_member(object, member, (gint64) (usec / USEC_PER_SEC));
        else
                json_object_set_double_member(object, member, (double) usec / (double) USEC_PER_SEC);
}

static double hours(uint64_t usec) {
        return (double) usec / (double) USEC_PER_HOUR;
}

static void print_object(JsonObject *object) {
        g_autofree char *text = json_object_text(object);

        puts(text);
}

static void report_json(uint64_t t, State state, State previous, const char *reason, void *userdata) {
        g_autoptr(JsonObject) object = json_object_new();

        add_seconds(object, "t", t);
        json_object_set_string_member(object, "state", state_name(state));
        json_object_set_string_member(object, "previous", state_name(previous));
        json_object_set_string_member(object, "reason", reason);
        print_object(object);
}

static void report_text(uint64_t t, State state, State previous, const char *reason, void *userdata) {
        uint64_t seconds = t / USEC_PER_SEC;

        printf("%4u:%02u:%02u  %-8s  %s\n", (unsigned) (seconds / 3600), (unsigned) (seconds / 60 % 60),
               (unsigned) (seconds % 60), state_name(state), reason);
}

static void summarize_json(const SimulationSummary *summary) {
        g_autoptr(JsonObject) object = json_object_new();
        JsonObject *inner = json_object_new();

        add_seconds(inner, "begin", summary->begin);
        add_seconds(inner, "end", summary->end);
        json_object_set_double_member(inner, "hours_on", hours(summary->time_on));
        json_object_set_double_member(inner, "hours_saved", hours(summary->time_saved));
        json_object_set_int_member(inner, "stops", summary->stops);
        json_object_set_int_member(inner, "warnings", summary->warnings);
        json_object_set_int_member(inner, "transitions", summary->transitions);
        json_object_set_string_member(inner, "state", state_name(summary->state));
        json_object_set_object_member(object, "summary", inner);
        print_object(object);
}

static void summarize_text(const SimulationSummary *summary) {
        printf("%.2f h on, %.2f h saved, %u %s, %u %s; %s at the end\n", hours(summary->time_on),
               hours(summary->time_saved), summary->stops, summary->stops == 1 ? "stop" : "stops", summary->warnings,
               summary->warnings == 1 ? "warning" : "warnings", state_name(summary->state));
}

static int complain(int status, const char *message) {
        (void) fflush(stdout);
        fprintf(stderr, "%s: %s\n", g_get_prgname() ?: "snooze-simulate", message);
        return status;
}

static int run(const Options *options, Config *config, FILE *stream, const char *name) {
        g_autoptr(TraceReader) reader = trace_reader_new(stream, name);
        g_autoptr(Simulation) simulation = simulation_new(config, options->text ? report_text : report_json, NULL);
        g_autoptr(GError) error = NULL;
        SimulationSummary summary;
        int r;

        for (;;) {
                g_auto(TraceInstant) instant = {};

                r = trace_reader_next(reader, &instant, &error);
                if (r <= 0)
                        break;
                if (!simulation_feed(simulation, &instant))
                        return complain(EXIT_BAD_INPUT,
                                        "the trace has more than 256 different voters, expected fewer");
        }
        if (r < 0)
                return complain(g_error_matches(error, TRACE_ERROR, TRACE_ERROR_READ) ? EXIT_FAILURE : EXIT_BAD_INPUT,
                                error->message);
        summary = simulation_summary(simulation);
        if (!summary.any)
                return complain(EXIT_BAD_INPUT, "the trace is empty, expected at least one instant");
        if (options->text)
                summarize_text(&summary);
        else
                summarize_json(&summary);
        if (fflush(stdout) == EOF)
                return complain(EXIT_FAILURE, "the output cannot be written");
        return EXIT_SUCCESS;
}

static Config *load_config(const Options *options, GError **error) {
        if (!options->config)
                return config_new_default();
        if (!g_file_test(options->config, G_FILE_TEST_EXISTS)) {
                g_set_error(error, CONFIG_ERROR, CONFIG_ERROR_FILE, "%s: not there", options->config);
                return NULL;
        }
        return config_load(&(ConfigPaths) { .file = options->config }, error);
}

static gboolean parse_arguments(int *argc, char ***argv, Options *options, GError **error) {
        const GOptionEntry entries[] = {
                { "config", 'c', 0, G_OPTION_ARG_FILENAME, &options->config,
                  "Configuration (default: the built-in one)", "FILE" },
                { "text", 't', 0, G_OPTION_ARG_NONE, &options->text, "Print for people instead of JSON Lines", NULL },
                { "version", 0, 0, G_OPTION_ARG_NONE, &options->version, "Print the version", NULL },
                { G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->traces, NULL, "TRACE" },
                {},
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);

        g_option_context_set_summary(context,
                                     "Runs the decision over a recorded trace and prints each change of state.\n"
                                     "TRACE is a file, or - for standard input.");
        g_option_context_set_description(context,
                                         "Exit status: 0 the trace was run to its end; 1 a file could not be read or "
                                         "written; 2 wrong usage, configuration or trace.");
        g_option_context_add_main_entries(context, entries, NULL);
        return g_option_context_parse(context, argc, argv, error);
}

int main(int argc, char **argv) {
        g_auto(Options) options = {};
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) config = NULL;
        _cleanup_(fclosep) FILE *file = NULL;
        const char *trace;

        /* For file names in messages only: numbers are JSON's. */
        setlocale(LC_CTYPE, "");

        if (!parse_arguments(&argc, &argv, &options, &error))
                return complain(EXIT_BAD_INPUT, error->message);
        if (options.version) {
                puts(PACKAGE_VERSION);
                return EXIT_SUCCESS;
        }
        if (!options.traces || g_strv_length(options.traces) != 1)
                return complain(EXIT_BAD_INPUT, "expected exactly one TRACE, see --help");
        config = load_config(&options, &error);
        if (!config)
                return complain(g_error_matches(error, CONFIG_ERROR, CONFIG_ERROR_FILE) ? EXIT_FAILURE
                                                                                        : EXIT_BAD_INPUT,
                                error->message);
        for (char **warning = config->warnings; *warning; warning++)
                complain(0, *warning);

        trace = options.traces[0];
        if (g_str_equal(trace, "-"))
                return run(&options, config, stdin, "stdin");
        file = fopen(trace, "re");
        if (!file) {
                g_autofree char *message = g_strdup_printf("%s: %s", trace, g_strerror(errno));

                return complain(EXIT_FAILURE, message);
        }
        return run(&options, config, file, trace);
}
