/* SPDX-License-Identifier: Apache-2.0 */

/* Whether a configuration would be taken (the daemon's own parser says so, run as a program), and whether it would do
 * what its author hopes: a threshold that this machine never falls below keeps it on for ever. */

#include <unistd.h>

#include "cli/cmd-config.h"
#include "cli/output.h"
#include "cli/wait.h"
#include "util/json.h"

#define HOUR_USEC (G_GUINT64_CONSTANT(3600) * G_USEC_PER_SEC)
#define SAMPLES_MIN 12U /* fewer say nothing about a habit */

typedef struct Threshold {
        const char *source, *sample_key, *config_key, *unit;
        gboolean idle_above; /* input: idle at or above */
        const char *default_policy;
} Threshold;

static const Threshold thresholds[] = {
        { "cpu", "cpu_usage", "cpu_threshold_percent", " %", FALSE, "required" },
        { "memory", "memory_usage", "memory_threshold_percent", " %", FALSE, "advisory" },
        { "network", "network_kbps", "network_threshold_kbps", " kB/s", FALSE, "required" },
        { "disk", "disk_io_kbps", "disk_io_threshold_kbps", " kB/s", FALSE, "required" },
        { "gpu", "gpu_usage", "gpu_threshold_percent", " %", FALSE, "required" },
        { "input", "input_idle_seconds", "input_idle_threshold_secs", " s", TRUE, "required" },
};

/* The idlest value of the last hour: the smallest, for input the largest. */
static unsigned idlest_value(GVariant *samples, const Threshold *threshold, double *ret_value) {
        gsize n = g_variant_n_children(samples);
        unsigned found = 0;

        for (gsize i = 0; i < n; i++) {
                g_autoptr(GVariant) sample = g_variant_get_child_value(samples, i);
                double value;

                if (!g_variant_lookup(sample, threshold->sample_key, "d", &value))
                        continue;
                if (found++ == 0 || (threshold->idle_above ? value > *ret_value : value < *ret_value))
                        *ret_value = value;
        }
        return found;
}

static const char *policy_of(JsonObject *configuration, const Threshold *threshold) {
        JsonObject *sources = json_get_object(configuration, "sources");
        JsonObject *source = sources ? json_get_object(sources, threshold->source) : NULL;

        return source ? json_get_string(source, "policy", threshold->default_policy) : threshold->default_policy;
}

/* On many CPUs cpu's threshold is another: one busy thread of 96 is work. */
static double capped_by_cores(JsonObject *configuration, double percent, char **ret_limit) {
        double cores = json_get_double(configuration, "cpu_threshold_cores", 0);
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);

        if (cpus <= 0 || cores <= 0 || 100 * cores / (double) cpus >= percent)
                return percent;
        percent = 100 * cores / (double) cpus;
        g_free(*ret_limit);
        *ret_limit = g_strdup_printf("cpu_threshold_cores is %.3g, %.3g %% of %ld CPUs", cores, percent, cpus);
        return percent;
}

static char *judge(JsonObject *configuration, GVariant *samples, const Threshold *threshold) {
        const char *policy = policy_of(configuration, threshold);
        g_autofree char *seen = NULL, *number = NULL, *limit = NULL;
        double value = 0, bound;

        bound = json_get_double(configuration, threshold->config_key, -1);
        if (bound < 0 || (!g_str_equal(policy, "required") && !g_str_equal(policy, "sufficient")) ||
            idlest_value(samples, threshold, &value) < SAMPLES_MIN)
                return NULL;
        number = text_number(bound);
        limit = g_strdup_printf("%s is %s", threshold->config_key, number);
        if (g_str_equal(threshold->source, "cpu"))
                bound = capped_by_cores(configuration, bound, &limit);
        if (threshold->idle_above ? value >= bound : value < bound)
                return NULL;

        seen = text_number(value);
        return g_strdup_printf(
                threshold->idle_above
                        ? "%s: in the last hour %s was never idle for more than %s%s: it would never stop"
                        : "%s: in the last hour this machine never used less %s than %s%s: it would never stop",
                limit, threshold->source, seen, threshold->unit);
}

/* Where a file is to be checked, its values count before those in force. */
static JsonNode *effective(Cli *cli, const char *file, GError **error) {
        g_autoptr(JsonNode) running = config_fetch(cli, error);
        g_autoptr(JsonNode) candidate = NULL;

        if (!running || !file)
                return g_steal_pointer(&running);
        candidate = json_file_parse(file, error);
        return candidate ? json_merge_patch(g_steal_pointer(&running), candidate) : NULL;
}

static gboolean compare(Cli *cli, const char *file, GPtrArray *findings, GError **error) {
        g_autoptr(Wait) wait = wait_new(cli, "Reading the samples");
        g_autoptr(JsonNode) configuration = NULL;
        g_autoptr(GVariant) samples = NULL;

        configuration = effective(cli, file, error);
        if (!configuration)
                return FALSE;
        snooze_client_manager_call_get_samples(cli->manager, (guint64) g_get_real_time() - HOUR_USEC, 0, 10000,
                                               G_DBUS_CALL_FLAGS_NONE, -1, NULL, wait_done, wait);
        if (!snooze_client_manager_call_get_samples_finish(cli->manager, &samples, wait_for(wait), error))
                return FALSE;
        for (gsize i = 0; i < G_N_ELEMENTS(thresholds); i++) {
                char *finding = judge(json_node_get_object(configuration), samples, &thresholds[i]);

                if (finding)
                        g_ptr_array_add(findings, finding);
        }
        return TRUE;
}

static void add_directory(GPtrArray *argv, const char *option, const char *directory) {
        if (directory && *directory)
                g_ptr_array_add(argv, g_strdup_printf("%s=%s", option, directory));
}

/* The parser's verdict: 0, or what to exit with after having said why. */
static int parse(const char *file, char **ret_message) {
        g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) plugins = cli_plugin_directories();
        g_autoptr(GError) error = NULL;
        int status;

        g_ptr_array_add(argv, cli_program_path("snoozed"));
        g_ptr_array_add(argv, g_strdup("--check-configuration"));
        if (file)
                g_ptr_array_add(argv, g_strdup(file));
        add_directory(argv, "--config-directory", g_getenv("SNOOZE_CONFIG_DIRECTORY"));
        add_directory(argv, "--state-directory", g_getenv("SNOOZE_STATE_DIRECTORY"));
        for (char **plugin = plugins; *plugin; plugin++)
                add_directory(argv, "--plugin-directory", *plugin);
        g_ptr_array_add(argv, NULL);
        if (!g_spawn_sync(NULL, (char **) argv->pdata, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, ret_message, &status,
                          &error)) {
                *ret_message = g_strdup(error->message);
                return EXIT_CODE_FAILED;
        }
        return g_spawn_check_wait_status(status, NULL) ? EXIT_CODE_OK : EXIT_CODE_FAILED;
}

static void print_json(gboolean valid, const char *message, GPtrArray *findings, gboolean compared) {
        JsonObject *object = json_object_new();
        JsonArray *array = json_array_new();

        for (guint i = 0; i < findings->len; i++)
                json_array_add_string_element(array, g_ptr_array_index(findings, i));
        json_object_set_boolean_member(object, "valid", valid);
        json_object_set_string_member(object, "message", message);
        json_object_set_boolean_member(object, "compared", compared);
        json_object_set_array_member(object, "findings", array);
        json_print(json_of_object(object));
}

static void print_text(Cli *cli, GPtrArray *findings, gboolean warned, gboolean compared) {
        if (findings->len == 0 && warned)
                g_print("Valid, apart from that.\n");
        else if (findings->len == 0)
                g_print("Fine%s.\n", compared ? ", also beside the last hour of this machine"
                                              : " (snoozed does not run: the thresholds were held against nothing)");
        else
                g_print("Valid, but:\n");
        for (guint i = 0; i < findings->len; i++)
                g_print("%s  %s%s\n", style_begin(cli, STYLE_WARN), (const char *) g_ptr_array_index(findings, i),
                        style_end(cli));
}

static int run_config_check(Cli *cli, int argc, char **argv) {
        g_autoptr(GPtrArray) findings = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *message = NULL;
        gboolean compared = FALSE;
        GError *error = NULL;
        int code;

        if (!cli_parse(cli, &verb_config_check, "FILE is checked alone; without it all installed files are.", NULL, 0,
                       0, 1, &argc, &argv))
                return EXIT_CODE_USAGE;

        code = parse(argc > 1 ? argv[1] : NULL, &message);
        g_strchomp(message);
        if (*message)
                g_printerr("%s\n", message);
        if (code == EXIT_CODE_OK && cli_open_bus(cli, NULL) && snooze_client_is_running(cli->bus)) {
                code = cli_connect(cli);
                if (code != EXIT_CODE_OK)
                        return code;
                if (!compare(cli, argc > 1 ? argv[1] : NULL, findings, &error))
                        return cli_fail(cli, error);
                compared = TRUE;
        }
        if (cli->json)
                print_json(code == EXIT_CODE_OK, message, findings, compared);
        else if (code == EXIT_CODE_OK)
                print_text(cli, findings, *message != '\0', compared);
        return code;
}

const Verb verb_config_check = { "check", "[FILE]",
                                 "Whether it is valid, and whether this machine would ever stop with it",
                                 run_config_check,
        "it reads the files of the machine that it runs on" };
