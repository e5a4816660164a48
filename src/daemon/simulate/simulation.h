/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The decision run over a trace: samples and checks at the configured intervals, on a grid from the first instant; the
 * provider always accepts. docs/traces.md says what each instant does. */

#include "daemon/simulate/trace.h"

typedef struct Simulation Simulation;

/* One transition. t in µs of the trace. */
typedef void (*SimulationReport)(uint64_t t, State state, State previous, const char *reason, void *userdata);

typedef struct SimulationSummary {
        uint64_t begin, end;       /* µs of the trace */
        uint64_t time_on, time_saved;
        unsigned stops, warnings, transitions;
        State state;               /* at the end */
        gboolean any;              /* there was an instant at all */
} SimulationSummary;

Simulation *simulation_new(Config *config, SimulationReport report, void *userdata);
void simulation_free(Simulation *simulation);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Simulation, simulation_free)

/* Runs up to the instant and lets it happen. Instants come in order of t. FALSE: more different voters than
 * TRACE_VOTES_MAX; nothing has changed then. */
gboolean simulation_feed(Simulation *simulation, const TraceInstant *instant);

SimulationSummary simulation_summary(const Simulation *simulation);
