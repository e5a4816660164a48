/* SPDX-License-Identifier: Apache-2.0 */

/* Row "call": CheckIdle by the daemon's call layer (queue, deadline, statistics, check of the answer) over the channel
 * of a plugin of the SDK, beside sd_bus_call_async() over a socketpair to a process with bare sd-bus. One call after
 * the other on one loop, batch by batch in turn, everything on one CPU; medians of the batches. */

#include "callers.h"
#include "peer.h"

#define BATCHES 80U
#define CALLS 200U
#define GOAL 1.2

static double measure_plugin(Callers *callers, unsigned calls) {
        double begun = bench_now_usec();

        for (unsigned i = 0; i < calls; i++)
                callers_call_plugin(callers);
        return (bench_now_usec() - begun) / calls;
}

static double measure_peer(Callers *callers, Peer *peer, unsigned calls) {
        double begun = bench_now_usec();
        unsigned answers = 0;

        for (unsigned i = 0; i < calls; i++) {
                peer_check(peer, &answers);
                while (answers <= i)
                        bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
        }
        return (bench_now_usec() - begun) / calls;
}

int main(int argc, char **argv) {
        bool smoke = bench_is_smoke(argc, argv);
        unsigned batches = smoke ? 3 : BATCHES, calls = smoke ? 10 : CALLS;
        double through[BATCHES], raw[BATCHES];
        Callers callers = {};
        Peer peer = {};

        bench_pin();
        callers_begin(&callers, argv[0]);
        peer_begin(&peer, callers.event);
        (void) measure_plugin(&callers, calls);
        (void) measure_peer(&callers, &peer, calls);
        for (unsigned i = 0; i < batches; i++) {
                raw[i] = measure_peer(&callers, &peer, calls);
                through[i] = measure_plugin(&callers, calls);
        }
        peer_end(&peer);
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "call",
                                 .unit = "us",
                                 .value = bench_median(through, batches),
                                 .beside = bench_median(raw, batches),
                                 .goal = GOAL },
                    1);
        return 0;
}
