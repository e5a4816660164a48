/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as a trace: refused with the line named, or run to its end with times that add up. */

#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/simulate/simulation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ten years of samples are no bug, but no fun either. */
#define SPAN_MAX (2 * USEC_PER_HOUR)

typedef struct Seen {
        uint64_t t;
        State state;
} Seen;

static void report(uint64_t t, State state, State previous, const char *reason, void *userdata) {
        Seen *seen = userdata;

        g_assert_cmpuint(t, >=, seen->t);
        g_assert_cmpint(previous, ==, seen->state);
        g_assert_cmpint(state, !=, previous);
        g_assert_true(g_utf8_validate(reason, -1, NULL));
        g_assert_cmpuint(strlen(reason), >, 0);
        *seen = (Seen) { t, state };
}

static void run(TraceReader *reader, Config *config) {
        Seen seen = { 0, STATE_ACTIVE };
        g_autoptr(Simulation) simulation = simulation_new(config, report, &seen);
        SimulationSummary summary;

        for (;;) {
                g_auto(TraceInstant) instant = {};
                g_autoptr(GError) error = NULL;
                int r = trace_reader_next(reader, &instant, &error);

                if (r < 0) {
                        g_assert_nonnull(strstr(error->message, "fuzzed:"));
                        g_assert_true(g_utf8_validate(error->message, -1, NULL));
                }
                summary = simulation_summary(simulation);
                if (r <= 0 || (summary.any && instant.t > summary.begin + SPAN_MAX) ||
                    !simulation_feed(simulation, &instant))
                        break;
        }
        if (summary.any)
                g_assert_cmpuint(summary.time_on + summary.time_saved, ==, summary.end - summary.begin);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static Config *config;
        _cleanup_(fclosep) FILE *stream = NULL;
        g_autoptr(TraceReader) reader = NULL;

        if (size == 0)
                return 0;
        if (!config)
                config = config_parse(&(ConfigText){ "quick",
                                                     "{\"naptime_minutes\": 2, \"sources\": {\"s\": {\"policy\": "
                                                     "\"sufficient\"}, \"i\": {\"on_error\": \"ignore\"}}}" },
                                      1, NULL);
        stream = fmemopen((void *) data, size, "r");
        g_assert_nonnull(stream);
        reader = trace_reader_new(stream, "fuzzed");
        run(reader, config);
        return 0;
}
