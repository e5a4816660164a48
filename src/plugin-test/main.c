/* SPDX-License-Identifier: Apache-2.0 */

/* snooze-plugin-test: holds a plugin against its manifest and every contract that it declares, on a bus of its own and
 * without a daemon, as the user who runs it. `snooze plugin test` runs it. */

#include <errno.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <gio/gio.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"
#include "config.h"
#include "plugin-test/trial.h"
#include "util/file.h"
#include "util/json.h"

#define METRICS_SIZE_MAX (16U * 1024U * 1024U)
#define METRICS_MAX 10000U

enum { EXIT_PASSED = 0, EXIT_FAILED = 1, EXIT_UNTRIED = 2 };

/* A quiet minute, a busy one, and what is absent on some machines. */
static const char recorded_metrics[] =
        "{\"t\":0,\"cpu_usage\":0.4,\"memory_usage\":21.5,\"network_kbps\":0.3,\"disk_io_kbps\":1.2,\"input_idle_"
        "seconds\":30}\n"
        "{\"t\":60,\"cpu_usage\":1.1,\"memory_usage\":21.7,\"network_kbps\":2.8,\"disk_io_kbps\":14.0,\"input_idle_"
        "seconds\":90}\n"
        "{\"t\":120,\"cpu_usage\":97.3,\"memory_usage\":63.0,\"network_kbps\":51200,\"disk_io_kbps\":88000,\"gpu_"
        "usage\":99}\n"
        "{\"t\":180,\"cpu_usage\":0,\"memory_usage\":63.0,\"network_kbps\":0,\"disk_io_kbps\":0,\"gpu_usage\":0}\n"
        "{\"t\":240}\n"
        "{\"t\":300,\"cpu_usage\":100,\"memory_usage\":100,\"network_kbps\":10000000,\"disk_io_kbps\":10000000,\"gpu_"
        "usage\":100,"
        "\"input_idle_seconds\":31536000}\n";

static gboolean metrics_line(GPtrArray *metrics, JsonObject *values, const char *name, unsigned number,
                             const char *text, GError **error) {
        static const char *const known[] = { "cpu_usage", "memory_usage", "network_kbps", "disk_io_kbps", "gpu_usage",
                                             "input_idle_seconds" };
        g_autofree char *place = g_strdup_printf("%s:%u", name, number);
        g_autoptr(JsonNode) node = json_text_parse(place, text, -1, error);
        JsonObject *line, *asked;

        if (!node)
                return FALSE;
        if (!JSON_NODE_HOLDS_OBJECT(node)) {
                g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_TYPE, "%s: expected an object", place);
                return FALSE;
        }
        line = json_node_get_object(node);
        asked = json_object_new();
        for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
                if (json_object_has_member(line, known[i]) && json_object_get_null_member(line, known[i]))
                        json_object_remove_member(values, known[i]);
                else if (json_object_has_member(line, known[i]))
                        json_object_set_double_member(values, known[i], json_get_double(line, known[i], 0));
                if (json_object_has_member(values, known[i]))
                        json_object_set_double_member(asked, known[i],
                                                      json_object_get_double_member(values, known[i]));
        }
        json_object_set_int_member(asked, "timestamp", g_get_real_time());
        g_ptr_array_add(metrics, asked);
        return TRUE;
}

/* A trace, as `snooze record` writes it: what a line leaves out keeps its value. */
static gboolean metrics_read(GPtrArray *metrics, const char *path, GError **error) {
        g_autoptr(JsonObject) values = json_object_new();
        g_autofree char *text = NULL;
        g_auto(GStrv) lines = NULL;

        if (path && !file_read(path, METRICS_SIZE_MAX, &text, NULL, error))
                return FALSE;
        lines = g_strsplit(text ? text : recorded_metrics, "\n", -1);
        for (unsigned i = 0; lines[i] && metrics->len < METRICS_MAX; i++)
                if (*lines[i] && !metrics_line(metrics, values, path ? path : "metrics", i + 1, lines[i], error))
                        return FALSE;
        if (metrics->len > 0)
                return TRUE;
        g_set_error(error, JSON_TEXT_ERROR, JSON_ERROR_SYNTAX, "%s: no metrics in it", path);
        return FALSE;
}

static char *manifest_name(const char *path, GError **error) {
        g_autoptr(JsonNode) node = json_file_parse(path, error);
        const char *name;

        if (!node)
                return NULL;
        name = JSON_NODE_HOLDS_OBJECT(node) ? json_get_string(json_node_get_object(node), "name", NULL) : NULL;
        if (name && plugin_id_valid(name))
                return g_strdup(name);
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, "%s: /name: expected " PLUGIN_ID_EXPECTED, path);
        return NULL;
}

/* A build directory may be called as it likes; installed, it is called like the plugin. So it is read through a link
 * of that name. */
static Manifest *read_manifest(const char *host_directory, const char *directory, GError **error) {
        g_autofree char *path = g_build_filename(directory, "plugin.json", NULL), *id = NULL, *link = NULL;
        g_autofree char *message = NULL, *build = NULL, *built = NULL;
        _cleanup_free_ char *absolute = realpath(directory, NULL);
        g_autoptr(GError) e = NULL;
        g_auto(GStrv) pieces = NULL;
        Manifest *manifest;

        id = manifest_name(path, error);
        if (!id)
                return NULL;
        link = g_build_filename(host_directory, id, NULL);
        if (symlink(absolute ? absolute : directory, link) < 0) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "%s: %s", link, g_strerror(errno));
                return NULL;
        }
        manifest = manifest_load(host_directory, id, geteuid(), &e);
        if (manifest)
                return manifest;
        /* The link is nothing that its author knows. */
        pieces = g_strsplit(e->message, link, -1);
        message = g_strjoinv(directory, pieces);
        build = g_build_filename(directory, "build", NULL);
        built = g_build_filename(build, "plugin.json", NULL);
        g_set_error(error, e->domain, e->code, "%s%s%s", message,
                    g_file_test(built, G_FILE_TEST_EXISTS) ? "; it is built in " : "",
                    g_file_test(built, G_FILE_TEST_EXISTS) ? build : "");
        return NULL;
}

static JsonObject *read_config(const Manifest *manifest, const char *path, GError **error) {
        g_autoptr(Settings) settings = NULL;
        g_autoptr(JsonNode) node = NULL;

        if (path) {
                node = json_file_parse(path, error);
                if (!node)
                        return NULL;
        }
        settings =
                schema_resolve(manifest->schema, manifest->id,
                               node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL, NULL, error);
        return settings ? json_object_ref(settings->values) : NULL;
}

static void run(Trial *trial, gboolean quick) {
        g_autoptr(Host) quiet = quick ? NULL : host_new(NULL);
        g_autoptr(Subject) unwanted = quiet ? subject_new(quiet, trial->manifest, NULL, NULL, NULL) : NULL;
        g_autoptr(Subject) subject = NULL;

        check_description(trial);
        subject = check_start(trial);
        if (!subject)
                return;
        check_interfaces(trial, subject);
        check_contracts(trial, subject);
        check_configuration(trial, subject);
        check_memory(trial, subject, "memory", "pss_kb");
        check_garbage(trial, subject);
        check_crowd(trial, subject);
        check_channel(trial, subject);
        check_memory(trial, subject, "memory afterwards", "pss_afterwards_kb");
        check_second_instance(trial, subject);
        check_shutdown(trial, subject);
        /* One that did not leave stands in nobody's way. */
        g_clear_pointer(&subject, subject_free);
        check_signal(trial);
        check_channel_left(trial);
        if (!unwanted) {
                report_skipped(trial->report, "host gone", "--quick");
                report_skipped(trial->report, "not wanted", "--quick");
                return;
        }
        check_host_gone(trial);
        check_not_wanted(trial, unwanted);
}

static char *logs(const Host *host) {
        g_autoptr(GDir) directory = g_dir_open(host->directory, 0, NULL);
        GString *all = g_string_new(NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *path = g_build_filename(host->directory, name, NULL), *text = NULL;

                if (g_str_has_prefix(name, "log-") && g_file_get_contents(path, &text, NULL, NULL))
                        g_string_append(all, text);
        }
        return g_string_free(all, FALSE);
}

static int test(const char *directory, const char *metrics, const char *config, gboolean quick, gboolean events,
                gboolean json) {
        g_autoptr(GPtrArray) asked = g_ptr_array_new_with_free_func((GDestroyNotify) json_object_unref);
        g_autoptr(GError) error = NULL;
        g_autoptr(Host) host = host_new(&error);
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(JsonObject) values = NULL;
        g_autoptr(Report) report = report_new(json);
        g_autofree char *log = NULL, *unserved = NULL;

        if (!host || !metrics_read(asked, metrics, &error)) {
                g_printerr("%s: %s\n", g_get_prgname(), error->message);
                return EXIT_UNTRIED;
        }
        if (!g_file_test(directory, G_FILE_TEST_IS_DIR)) {
                g_printerr("%s: %s: there is no such directory\n", g_get_prgname(), directory);
                return EXIT_UNTRIED;
        }
        manifest = read_manifest(host->directory, directory, &error);
        if (!manifest) {
                report_failed(report, "manifest", "%s", error->message);
                report_end(report, directory, "", NULL);
                return EXIT_FAILED;
        }
        unserved = manifest_unserved(manifest);
        if (unserved) {
                report_failed(report, "manifest", "it %s", unserved);
                report_end(report, manifest->id, manifest->version, NULL);
                return EXIT_FAILED;
        }
        report_passed(report, "manifest", "%s %s", manifest->id, manifest->version);
        if (!g_str_equal(manifest->runtime, "dbus")) {
                report_skipped(report, "runtime", "%s: only programs that speak D-Bus can be tried here",
                               manifest->runtime);
                report_end(report, manifest->id, manifest->version, NULL);
                return EXIT_UNTRIED;
        }
        values = read_config(manifest, config, &error);
        if (!values) {
                g_printerr("%s: %s\nA file given by --config has to have what is required.\n", g_get_prgname(),
                           error->message);
                return EXIT_UNTRIED;
        }
        run(&(Trial){ .manifest = manifest,
                      .config = values,
                      .metrics = asked,
                      .events = events,
                      .host = host,
                      .report = report },
            quick);
        log = logs(host);
        report_end(report, manifest->id, manifest->version, log);
        return report_failures(report) > 0 ? EXIT_FAILED : EXIT_PASSED;
}

int main(int argc, char *argv[]) {
        g_autofree char *metrics = NULL, *config = NULL;
        gboolean quick = FALSE, events = FALSE, json = FALSE;
        const GOptionEntry entries[] = {
                { "metrics", 'm', 0, G_OPTION_ARG_FILENAME, &metrics,
                  "Ask with what this trace recorded (" SNOOZE_COMMAND " record)", "FILE" },
                { "config", 'c', 0, G_OPTION_ARG_FILENAME, &config, "Configure it with this JSON object", "FILE" },
                { "events", 0, 0, G_OPTION_ARG_NONE, &events, "Hand events to its handlers, which act on them", NULL },
                { "quick", 'q', 0, G_OPTION_ARG_NONE, &quick, "Leave out what takes ten seconds", NULL },
                { "json", 0, 0, G_OPTION_ARG_NONE, &json, "Print one JSON object", NULL },
                { NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new("DIRECTORY");
        g_autoptr(GError) error = NULL;

        setlocale(LC_ALL, "");
        g_set_prgname(strchr(argv[0], '/') ? "snooze-plugin-test" : argv[0]);
        g_option_context_set_summary(
                context, "Holds the plugin in DIRECTORY (plugin.json and its program) against its manifest and its "
                         "contracts,\non a bus of its own and without a daemon. It runs as you, not in its sandbox.\n"
                         "Exit status: 0 passed, 1 failed, 2 could not be tried.");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, &error) || argc != 2) {
                g_printerr("%s: %s\n", g_get_prgname(), error ? error->message : "expected one directory");
                return EXIT_UNTRIED;
        }
        if (errors_register() < 0)
                return EXIT_UNTRIED;
        /* Of a stream that the plugin does not read. */
        (void) signal(SIGPIPE, SIG_IGN);
        return test(argv[1], metrics, config, quick, events, json);
}
