/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the checks found: a line each for a person, or one JSON object. */

#include <glib.h>
#include <json-glib/json-glib.h>

typedef enum Finding {
        FINDING_PASSED,
        FINDING_FAILED,
        FINDING_SKIPPED,
} Finding;

typedef struct Report Report;

/* json: nothing is printed before the end. */
Report *report_new(gboolean json);
void report_free(Report *report);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

/* What follows is about calls over this ("channel"; NULL: the bus): lines say so, and names of figures begin with it.
 */
void report_over(Report *report, const char *connection);

/* One check: what it looked at, and what was there. */
void report_add(Report *report, Finding finding, const char *check, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
#define report_passed(report, check, ...) report_add(report, FINDING_PASSED, check, __VA_ARGS__)
#define report_failed(report, check, ...) report_add(report, FINDING_FAILED, check, __VA_ARGS__)
#define report_skipped(report, check, ...) report_add(report, FINDING_SKIPPED, check, __VA_ARGS__)

/* A figure for programs: "start_ms", "pss_kb". */
void report_measured(Report *report, const char *name, double value);

unsigned report_failures(const Report *report);

/* The last line, or all of it. log: what the plugin said, shown where something failed; may be NULL. */
void report_end(Report *report, const char *plugin, const char *version, const char *log);
