/* SPDX-License-Identifier: Apache-2.0 */

/* Row "channel": blocks through a plugin's DataProcessor, 64 calls in flight, beside the same with bare sd-bus over a
 * socketpair; µs a call. Batch by batch in turn, everything on one CPU; medians of the batches. The goal of at least
 * 0.8 times as many calls a second is one of at most 1.25 times as long a call. */

#include "callers.h"
#include "peer.h"

#define BATCHES 60U
#define CALLS 2000U
#define IN_FLIGHT 64U
#define BLOCK_SIZE 64U
#define GOAL 1.25

static void on_block(Plugin *plugin, GBytes *output, const sd_bus_error *error, void *userdata) {
        unsigned *answers = userdata;

        if (error || g_bytes_get_size(output) != BLOCK_SIZE)
                g_error("the plugin's answer: %s", error ? error->message : "another size");
        (*answers)++;
}

static double measure(Callers *callers, Peer *peer, GBytes *block, unsigned calls) {
        double begun = bench_now_usec();
        unsigned sent = 0, answers = 0;

        while (answers < calls) {
                for (; sent < calls && sent - answers < IN_FLIGHT; sent++)
                        if (peer)
                                peer_process(peer, block, &answers);
                        else
                                bench_check(plugin_process_data(callers->plugin, block, 0, on_block, &answers),
                                            "ProcessData");
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
        }
        return (bench_now_usec() - begun) / calls;
}

int main(int argc, char **argv) {
        bool smoke = bench_is_smoke(argc, argv);
        unsigned batches = smoke ? 3 : BATCHES, calls = smoke ? 100 : CALLS;
        static const char zeros[BLOCK_SIZE];
        g_autoptr(GBytes) block = g_bytes_new_static(zeros, sizeof(zeros));
        double through[BATCHES], raw[BATCHES];
        Callers callers = { .contract = "DataProcessor" };
        Peer peer = {};

        bench_pin();
        callers_begin(&callers, argv[0]);
        peer_begin(&peer, callers.event);
        (void) measure(&callers, NULL, block, calls);
        (void) measure(&callers, &peer, block, calls);
        for (unsigned i = 0; i < batches; i++) {
                raw[i] = measure(&callers, &peer, block, calls);
                through[i] = measure(&callers, NULL, block, calls);
        }
        peer_end(&peer);
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "channel",
                                 .unit = "us",
                                 .value = bench_median(through, batches),
                                 .beside = bench_median(raw, batches),
                                 .goal = GOAL },
                    1);
        return 0;
}
