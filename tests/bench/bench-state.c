/* SPDX-License-Identifier: Apache-2.0 */

/* Row "state": a megabyte of state out of a plugin, durable, and into it again, beside two transfers of as much to and
 * from a bare sd-bus process over a socketpair and one commit of as much to the same database; ms. In turn, on one
 * CPU; medians. */

#include "callers.h"
#include "daemon/plugin/plugin.h"
#include "peer.h"

#define ROUNDS 60U
#define STATE_SIZE 1000000
#define GOAL 1.5

static void run_until(Callers *callers, const bool *done) {
        while (!*done)
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
}

static void on_transferred(PluginProcess *process, const char *problem, void *userdata) {
        if (problem)
                g_error("the plugin's state: %s", problem);
        *(bool *) userdata = true;
}

static void on_committed(const GError *error, void *userdata) {
        if (error)
                g_error("the store: %s", error->message);
        *(bool *) userdata = true;
}

static double measure_plugin(Callers *callers, GBytes *state) {
        double begun = bench_now_usec();
        bool saved = false, imported = false;

        state_save(callers->plugin->process, on_transferred, &saved);
        run_until(callers, &saved);
        state_import(callers->plugin->process, 1, state, on_transferred, &imported);
        run_until(callers, &imported);
        return (bench_now_usec() - begun) / 1e3;
}

/* A block that comes back is two transfers. */
static double measure_bare(Callers *callers, Peer *peer, GBytes *state) {
        double begun = bench_now_usec();
        unsigned answers = 0;
        bool committed = false;

        peer_process(peer, state, &answers);
        while (answers == 0)
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
        bench_check(store_put_state(callers->store, "bare", 1, "1.0.0", state, on_committed, &committed), "the store");
        run_until(callers, &committed);
        return (bench_now_usec() - begun) / 1e3;
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 3 : ROUNDS;
        g_autoptr(GBytes) state = g_bytes_new_take(g_malloc0(STATE_SIZE), STATE_SIZE);
        double plugin[ROUNDS], bare[ROUNDS];
        Callers callers = { .contract = "State" };
        Peer peer = {};

        g_setenv("BENCH_STATE_SIZE", G_STRINGIFY(STATE_SIZE), TRUE);
        bench_pin();
        callers_begin(&callers, argv[0]);
        callers_start_plugin(&callers);
        peer_begin(&peer, callers.event);
        (void) measure_bare(&callers, &peer, state);
        (void) measure_plugin(&callers, state);
        for (unsigned i = 0; i < rounds; i++) {
                bare[i] = measure_bare(&callers, &peer, state);
                plugin[i] = measure_plugin(&callers, state);
        }
        peer_end(&peer);
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "state",
                                 .unit = "ms",
                                 .value = bench_median(plugin, rounds),
                                 .beside = bench_median(bare, rounds),
                                 .goal = GOAL },
                    1);
        return 0;
}
