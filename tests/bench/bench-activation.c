/* SPDX-License-Identifier: Apache-2.0 */

/* Row "activation": the first call of a plugin that does not run (started by the bus, looked at, Handshake,
 * Initialize, CheckIdle, its reply), beside the first reply of a bare sd-bus service that the same bus starts. In
 * turn, on one CPU, each from the moment the process before it is gone; medians. Under systemd on a booted machine it
 * is another row. */

#include "callers.h"

#define ROUNDS 60U
#define GOAL 1.5

static double measure(Callers *callers, void (*call)(Callers *callers), void (*end)(Callers *callers)) {
        double begun = bench_now_usec(), taken;

        call(callers);
        taken = bench_now_usec() - begun;
        end(callers);
        return taken / 1e3;
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 3 : ROUNDS;
        double plugin[ROUNDS], bare[ROUNDS];
        Callers callers = {};

        bench_pin();
        callers_begin(&callers, argv[0]);
        /* Once for the page cache. */
        (void) measure(&callers, callers_call_bare, callers_end_bare);
        (void) measure(&callers, callers_call_plugin, callers_end_plugin);
        for (unsigned i = 0; i < rounds; i++) {
                bare[i] = measure(&callers, callers_call_bare, callers_end_bare);
                plugin[i] = measure(&callers, callers_call_plugin, callers_end_plugin);
        }
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "activation",
                                 .unit = "ms",
                                 .value = bench_median(plugin, rounds),
                                 .beside = bench_median(bare, rounds),
                                 .goal = GOAL },
                    1);
        return 0;
}
