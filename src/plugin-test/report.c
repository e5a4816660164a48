/* SPDX-License-Identifier: Apache-2.0 */

#include "plugin-test/report.h"

#include <unistd.h>

#include "util/json.h"

#define LOG_LINES 12U

static const char *const finding_names[] = {
        [FINDING_PASSED] = "passed", [FINDING_FAILED] = "failed", [FINDING_SKIPPED] = "skipped"
};

struct Report {
        gboolean json;
        gboolean colour;
        const char *over; /* NULL: the bus */
        unsigned counts[G_N_ELEMENTS(finding_names)];
        JsonArray *checks;
        JsonObject *measured;
};

Report *report_new(gboolean json) {
        Report *report = g_new0(Report, 1);

        report->json = json;
        report->colour = !json && isatty(STDOUT_FILENO) && !g_getenv("NO_COLOR");
        report->checks = json_array_new();
        report->measured = json_object_new();
        return report;
}

void report_free(Report *report) {
        if (!report)
                return;
        json_array_unref(report->checks);
        json_object_unref(report->measured);
        g_free(report);
}

void report_over(Report *report, const char *connection) {
        report->over = connection;
}

static void print_line(const Report *report, Finding finding, const char *check, const char *text) {
        static const char *const words[] = { "ok", "FAILED", "skipped" };
        static const char *const colours[] = { "\x1b[32m", "\x1b[1;31m", "\x1b[2m" };

        g_autofree char *name = g_strconcat(report->over ? report->over : "", report->over ? ": " : "", check, NULL);

        g_print("%s%-8s%s %-22s %s\n", report->colour ? colours[finding] : "", words[finding],
                report->colour ? "\x1b[0m" : "", name, text);
}

void report_add(Report *report, Finding finding, const char *check, const char *format, ...) {
        JsonObject *line = json_object_new();
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        report->counts[finding]++;
        json_object_set_string_member(line, "check", check);
        json_object_set_string_member(line, "over", report->over ? report->over : "bus");
        json_object_set_string_member(line, "result", finding_names[finding]);
        json_object_set_string_member(line, "detail", text);
        json_array_add_object_element(report->checks, line);
        if (!report->json)
                print_line(report, finding, check, text);
}

void report_measured(Report *report, const char *name, double value) {
        g_autofree char *full = g_strconcat(report->over ? report->over : "", report->over ? "_" : "", name, NULL);

        json_object_set_double_member(report->measured, full, value);
}

unsigned report_failures(const Report *report) {
        return report->counts[FINDING_FAILED];
}

static void print_log(const char *log) {
        g_auto(GStrv) lines = g_strsplit(log, "\n", -1);
        guint n = g_strv_length(lines);

        g_print("\nThe last that the plugin said:\n");
        for (guint i = n > LOG_LINES ? n - LOG_LINES : 0; i < n; i++)
                if (*lines[i])
                        g_print("        %s\n", lines[i]);
}

static void end_json(Report *report, const char *plugin, const char *version, const char *log) {
        g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);
        JsonObject *object = json_object_new();
        g_autofree char *text = NULL;

        json_object_set_string_member(object, "plugin", plugin);
        json_object_set_string_member(object, "version", version);
        for (size_t i = 0; i < G_N_ELEMENTS(finding_names); i++)
                json_object_set_int_member(object, finding_names[i], report->counts[i]);
        json_object_set_array_member(object, "checks", json_array_ref(report->checks));
        json_object_set_object_member(object, "measured", json_object_ref(report->measured));
        json_object_set_string_member(object, "log", log ? log : "");
        json_node_take_object(node, object);
        text = json_text_pretty(node);
        g_print("%s", text);
}

void report_end(Report *report, const char *plugin, const char *version, const char *log) {
        if (report->json) {
                end_json(report, plugin, version, log);
                return;
        }
        if (report_failures(report) > 0 && log && *log)
                print_log(log);
        g_print("\n%s%s%s: %u passed, %u failed, %u skipped\n", plugin, *version ? " " : "", version,
                report->counts[FINDING_PASSED], report->counts[FINDING_FAILED], report->counts[FINDING_SKIPPED]);
}
