/* SPDX-License-Identifier: Apache-2.0 */

/* Row "round": 100 plugins of the SDK asked in one round, over their channels, until the last vote is there; beside
 * 100 calls in flight at once over socketpairs to 100 processes with bare sd-bus. In turn, everything on one CPU;
 * medians. */

#include "callers.h"
#include "peer.h"

#define PLUGINS 100U
#define ROUNDS 60U
#define GOAL 1.5

static void on_round(void *userdata) {
        *(unsigned *) userdata = 1;
}

static double measure_plugins(Callers *callers, JsonObject *metrics) {
        double begun = bench_now_usec();
        unsigned over = 0;

        plugins_check(callers->plugins, metrics, TRUE, on_round, &over);
        while (!over)
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
        return (bench_now_usec() - begun) / 1e3;
}

static double measure_peers(Callers *callers, Peer *peers) {
        double begun = bench_now_usec();
        unsigned answers = 0;

        for (unsigned i = 0; i < PLUGINS; i++)
                peer_check(&peers[i], &answers);
        while (answers < PLUGINS)
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
        return (bench_now_usec() - begun) / 1e3;
}

static JsonObject *round_metrics(void) {
        JsonObject *metrics = json_object_new();

        json_object_set_double_member(metrics, "cpu_usage", 1.5);
        json_object_set_double_member(metrics, "memory_usage", 23);
        json_object_set_double_member(metrics, "network_kbps", 0.4);
        json_object_set_double_member(metrics, "disk_io_kbps", 12);
        json_object_set_double_member(metrics, "input_idle_seconds", 1800);
        json_object_set_int_member(metrics, "timestamp", G_GINT64_CONSTANT(1700000000000000));
        return metrics;
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 3 : ROUNDS;
        g_autoptr(JsonObject) metrics = round_metrics();
        double through[ROUNDS], raw[ROUNDS];
        Callers callers = { .more = PLUGINS - 1 };
        Peer peers[PLUGINS] = {};

        bench_pin();
        callers_begin(&callers, argv[0]);
        for (unsigned i = 0; i < PLUGINS; i++)
                peer_begin(&peers[i], callers.event);
        /* The first round starts them. */
        (void) measure_plugins(&callers, metrics);
        (void) measure_peers(&callers, peers);
        for (unsigned i = 0; i < rounds; i++) {
                raw[i] = measure_peers(&callers, peers);
                through[i] = measure_plugins(&callers, metrics);
        }
        for (unsigned i = 0; i < PLUGINS; i++)
                peer_end(&peers[i]);
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "round",
                                 .unit = "ms",
                                 .value = bench_median(through, rounds),
                                 .beside = bench_median(raw, rounds),
                                 .goal = GOAL },
                    1);
        return 0;
}
