/* SPDX-License-Identifier: Apache-2.0 */

/* Row "bus call": CheckIdle, for plugins without a channel, by the daemon's call layer (queue, deadline, statistics,
 * check of the answer) of a plugin of the SDK, beside sd_bus_call_async() to a service of bare sd-bus. Both over the
 * same private bus from the same connection, one call after the other, batch by batch in turn, everything on one CPU;
 * medians of the batches. */

#include "callers.h"

#define BATCHES 80U
#define CALLS 100U
#define GOAL 1.2

static double measure(Callers *callers, void (*call)(Callers *callers), unsigned calls) {
        double begun = bench_now_usec();

        for (unsigned i = 0; i < calls; i++)
                call(callers);
        return (bench_now_usec() - begun) / calls;
}

int main(int argc, char **argv) {
        bool smoke = bench_is_smoke(argc, argv);
        unsigned batches = smoke ? 3 : BATCHES, calls = smoke ? 10 : CALLS;
        double through[BATCHES], raw[BATCHES];
        Callers callers = {};

        bench_pin();
        callers_begin(&callers, argv[0]);
        /* The first calls start both, and warm them. */
        (void) measure(&callers, callers_call_plugin, calls);
        callers_without_channel(&callers);
        (void) measure(&callers, callers_call_bare, calls);
        for (unsigned i = 0; i < batches; i++) {
                raw[i] = measure(&callers, callers_call_bare, calls);
                through[i] = measure(&callers, callers_call_plugin, calls);
        }
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "bus call",
                                 .unit = "us",
                                 .value = bench_median(through, batches),
                                 .beside = bench_median(raw, batches),
                                 .goal = GOAL },
                    1);
        return 0;
}
