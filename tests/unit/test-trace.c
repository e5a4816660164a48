/* SPDX-License-Identifier: Apache-2.0 */

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/simulate/simulation.h"

static gboolean parse(const char *line, TraceInstant *ret, GError **error) {
        return trace_parse_line("trace", 7, line, strlen(line), ret, error);
}

static void test_line(void) {
        g_auto(TraceInstant) instant = {};
        const TraceVote *busy, *gone;

        g_assert_true(
                parse("{\"t\":1.5,\"cpu_usage\":3,\"gpu_usage\":null,\"cpus\":8,\"hold\":\"delay\",\"release\":true,"
                      "\"event\":\"boot\",\"votes\":{\"db\":{\"verdict\":\"busy\",\"reason\":\"3\\nclients\","
                      "\"last_activity\":1,\"watching\":false},\"old\":null}}",
                      &instant, NULL));
        g_assert_cmpuint(instant.t, ==, 1500000);
        g_assert_true(instant.has_metric[METRIC_CPU] && !instant.absent[METRIC_CPU]);
        g_assert_cmpfloat(instant.value[METRIC_CPU], ==, 3);
        g_assert_true(instant.has_metric[METRIC_GPU] && instant.absent[METRIC_GPU]);
        g_assert_false(instant.has_metric[METRIC_INPUT]);
        g_assert_cmpuint(instant.cpus, ==, 8);
        g_assert_cmpint(instant.hold, ==, TRACE_HOLD_DELAY);
        g_assert_true(instant.release);
        g_assert_cmpint(instant.event, ==, TRACE_EVENT_BOOT);
        g_assert_cmpuint(instant.votes->len, ==, 2);
        busy = instant.votes->pdata[0];
        g_assert_cmpint(busy->verdict, ==, VERDICT_BUSY);
        /* Whatever a trace brings along must be harmless on a terminal. */
        g_assert_cmpstr(busy->reason, ==, "3 clients");
        g_assert_cmpuint(busy->last_activity, ==, 1000000);
        g_assert_true(busy->vacuous);
        gone = instant.votes->pdata[1];
        g_assert_true(gone->forget);
}

static void test_refusals(void) {
        static const struct {
                const char *line, *message;
        } cases[] = {
                { "{}", "trace:7: no \"t\", expected seconds" },
                { "[]", "trace:7: line: got an array, expected an object" },
                { "{\"t\":-1}", "trace:7: t: got -1, expected seconds from 0 to ten years" },
                { "{\"t\":\"0\"}", "trace:7: t: got \"0\", expected seconds from 0 to ten years" },
                { "{\"t\":1e12}", "trace:7: t: got 1000000000000.0, expected seconds from 0 to ten years" },
                { "{\"t\":0,\"cpu_usage\":101}",
                  "trace:7: cpu_usage: got 101, expected a number from 0 to 100, or null" },
                { "{\"t\":0,\"cpu_usage\":true}",
                  "trace:7: cpu_usage: got true, expected a number from 0 to 100, or null" },
                { "{\"t\":0,\"network_kbps\":-0.5}",
                  "trace:7: network_kbps: got -0.5, expected a number from 0 on, or null" },
                { "{\"t\":0,\"cpus\":0}", "trace:7: cpus: got 0, expected a whole number from 1 to 65536, or null" },
                { "{\"t\":0,\"cpus\":1.5}",
                  "trace:7: cpus: got 1.5, expected a whole number from 1 to 65536, or null" },
                { "{\"t\":0,\"hold\":\"kept\"}", "trace:7: hold: got \"kept\", expected \"block\" or \"delay\"" },
                { "{\"t\":0,\"release\":1}", "trace:7: release: got 1, expected true or false" },
                { "{\"t\":0,\"event\":\"reboot\"}", "trace:7: event: got \"reboot\", expected one of boot, resume, "
                                                    "pause, unpause, gap, termination, termination-cancelled" },
                { "{\"t\":0,\"votes\":[]}", "trace:7: votes: got an array, expected an object: source → vote" },
                { "{\"t\":0,\"votes\":{\"a\":\"busy\"}}",
                  "trace:7: votes.a: got \"busy\", expected an object with verdict and reason, or null" },
                { "{\"t\":0,\"votes\":{\"a\":{}}}", "trace:7: votes.a: got an object, expected a verdict in it" },
                { "{\"t\":0,\"votes\":{\"a\":{\"verdict\":\"absent\"}}}",
                  "trace:7: votes.a.verdict: got \"absent\", expected \"idle\", \"busy\" or \"unknown\"" },
                { "{\"t\":0,\"votes\":{\"a\":{\"verdict\":\"idle\",\"why\":1}}}",
                  "trace:7: votes.a.why: unknown key \"why\", expected verdict, reason, last_activity or watching" },
                { "{\"t\":0,\"votes\":{\"a\":{\"verdict\":\"idle\",\"watching\":1}}}",
                  "trace:7: votes.a.watching: got 1, expected true or false" },
                { "{\"t\":0,\"votes\":{\"cpu\":{\"verdict\":\"idle\"}}}",
                  "trace:7: votes.cpu: got an object, expected no vote for a built-in metric: its values vote" },
        };

        for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(TraceInstant) instant = {};
                g_autoptr(GError) error = NULL;

                g_assert_false(parse(cases[i].line, &instant, &error));
                g_assert_error(error, TRACE_ERROR, TRACE_ERROR_VALUE);
                g_assert_cmpstr(error->message, ==, cases[i].message);
        }
}

static void test_unknown_key_lists_the_known(void) {
        g_auto(TraceInstant) instant = {};
        g_autoptr(GError) error = NULL;

        g_assert_false(parse("{\"t\":0,\"cpu\":1}", &instant, &error));
        g_assert_true(g_str_has_prefix(error->message, "trace:7: unknown key \"cpu\", expected t, cpu_usage, "));
}

static void test_no_json(void) {
        static const char *const lines[] = {
                "{", "{\"t\":0} {\"t\":1}", "{\"t\":0,\"t\":1}", "{\"t\":1e999}", "{\"t\":NaN}", "t"
        };

        for (gsize i = 0; i < G_N_ELEMENTS(lines); i++) {
                g_auto(TraceInstant) instant = {};
                g_autoptr(GError) error = NULL;

                g_assert_false(parse(lines[i], &instant, &error));
                g_assert_error(error, TRACE_ERROR, TRACE_ERROR_SYNTAX);
                g_assert_true(g_str_has_prefix(error->message, "trace:7: "));
        }
}

static int read_all(const char *text, gsize length, guint *ret_n, GError **error) {
        _cleanup_(fclosep) FILE *stream = fmemopen((void *) text, length, "r");
        g_autoptr(TraceReader) reader = trace_reader_new(stream, "stdin");
        int r;

        *ret_n = 0;
        for (;;) {
                g_auto(TraceInstant) instant = {};

                r = trace_reader_next(reader, &instant, error);
                if (r <= 0)
                        return r;
                ++*ret_n;
        }
}

static void test_reader(void) {
        static const char text[] = "{\"t\":0}\n\n  \n{\"t\":5}\r\n{\"t\":5}\n{\"t\":7}";
        guint n;

        g_assert_cmpint(read_all(text, strlen(text), &n, NULL), ==, 0);
        g_assert_cmpuint(n, ==, 4);
}

static void test_time_goes_back(void) {
        static const char text[] = "{\"t\":5}\n{\"t\":4.5}\n";
        g_autoptr(GError) error = NULL;
        guint n;

        g_assert_cmpint(read_all(text, strlen(text), &n, &error), ==, -1);
        g_assert_cmpstr(error->message, ==, "stdin:2: t: got 4.5, expected at least 5, that of the instant before");
}

static void test_line_too_long(void) {
        g_autofree char *text = g_strnfill(TRACE_LINE_MAX + 1, ' ');
        g_autoptr(GError) error = NULL;
        guint n;

        g_assert_cmpint(read_all(text, TRACE_LINE_MAX, &n, NULL), ==, 0);
        g_assert_cmpint(read_all(text, TRACE_LINE_MAX + 1, &n, &error), ==, -1);
        g_assert_cmpstr(error->message, ==, "stdin:1: line longer than 65536 bytes, expected a short one");
}

static void test_zero_bytes(void) {
        static const char text[] = "{\"t\":0}\0{\"t\":1}\n";
        g_autoptr(GError) error = NULL;
        guint n;

        g_assert_cmpint(read_all(text, sizeof(text) - 1, &n, &error), ==, -1);
        g_assert_error(error, TRACE_ERROR, TRACE_ERROR_SYNTAX);
}

static void ignore_report(uint64_t t, State state, State previous, const char *reason, void *userdata) {
}

static void feed(Simulation *simulation, const char *line, gboolean expected) {
        g_auto(TraceInstant) instant = {};

        g_assert_true(parse(line, &instant, NULL));
        g_assert_true(simulation_feed(simulation, &instant) == expected);
}

static void test_too_many_voters(void) {
        g_autoptr(Config) config = config_new_default();
        g_autoptr(Simulation) simulation = simulation_new(config, ignore_report, NULL);

        for (unsigned i = 0; i < TRACE_VOTES_MAX; i++) {
                g_autofree char *line = g_strdup_printf("{\"t\":0,\"votes\":{\"p%u\":{\"verdict\":\"idle\"}}}", i);

                feed(simulation, line, TRUE);
        }
        feed(simulation, "{\"t\":0,\"votes\":{\"one-more\":{\"verdict\":\"idle\"}}}", FALSE);
        feed(simulation, "{\"t\":0,\"votes\":{\"p7\":null}}", TRUE);
        feed(simulation, "{\"t\":0,\"votes\":{\"one-more\":{\"verdict\":\"idle\"}}}", TRUE);
}

static void test_summary(void) {
        g_autoptr(Config) config = config_new_default();
        g_autoptr(Simulation) simulation = simulation_new(config, ignore_report, NULL);
        SimulationSummary summary = simulation_summary(simulation);

        g_assert_false(summary.any);
        feed(simulation, "{\"t\":100,\"cpu_usage\":0}", TRUE);
        feed(simulation, "{\"t\":3700}", TRUE);
        summary = simulation_summary(simulation);
        g_assert_true(summary.any);
        g_assert_cmpuint(summary.begin, ==, 100 * USEC_PER_SEC);
        g_assert_cmpuint(summary.end, ==, 3700 * USEC_PER_SEC);
        g_assert_cmpuint(summary.time_on, ==, 2100 * USEC_PER_SEC);
        g_assert_cmpuint(summary.time_saved, ==, 1500 * USEC_PER_SEC);
        g_assert_cmpuint(summary.stops, ==, 1);
        g_assert_cmpint(summary.state, ==, STATE_STOPPED);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/trace/line", test_line);
        g_test_add_func("/trace/refusals", test_refusals);
        g_test_add_func("/trace/unknown-key", test_unknown_key_lists_the_known);
        g_test_add_func("/trace/no-json", test_no_json);
        g_test_add_func("/trace/reader", test_reader);
        g_test_add_func("/trace/time-goes-back", test_time_goes_back);
        g_test_add_func("/trace/too-long", test_line_too_long);
        g_test_add_func("/trace/zero-bytes", test_zero_bytes);
        g_test_add_func("/simulation/too-many-voters", test_too_many_voters);
        g_test_add_func("/simulation/summary", test_summary);
        return g_test_run();
}
