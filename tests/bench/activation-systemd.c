/* SPDX-License-Identifier: Apache-2.0 */

/* Row "activation systemd": the first call of a plugin that does not run (its unit started, its owner looked at,
 * Handshake, Initialize, CheckIdle, its reply), beside the first reply of a bare sd-bus service in a unit with the
 * same directives, which the bus lets systemd start. In turn, each from the moment that the unit before it is
 * inactive; medians. It runs within a machine that activation_systemd.py has made: activation-systemd ROUNDS
 * PLUGIN-UNIT BARE-UNIT. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "callers.h"

#define ROUNDS_MAX 100U
#define GOAL 1.5
#define SYSTEMD "org.freedesktop.systemd1"
#define POLL_USEC 1000

static bool is_inactive(Callers *callers, const char *unit) {
        _cleanup_free_ char *path = NULL, *state = NULL;

        bench_check(sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path), unit);
        bench_check(sd_bus_get_property_string(callers->connection, SYSTEMD, path, SYSTEMD ".Unit", "ActiveState",
                                               NULL, &state),
                    unit);
        return strcmp(state, "inactive") == 0;
}

static double measure(Callers *callers, void (*call)(Callers *callers), void (*end)(Callers *callers),
                      const char *unit) {
        double begun, taken;

        while (!is_inactive(callers, unit))
                (void) usleep(POLL_USEC);
        begun = bench_now_usec();
        call(callers);
        taken = bench_now_usec() - begun;
        end(callers);
        return taken / 1e3;
}

int main(int argc, char **argv) {
        unsigned rounds = argc == 4 ? (unsigned) CLAMP(atoi(argv[1]), 0, (int) ROUNDS_MAX) : 0;
        double plugin[ROUNDS_MAX], bare[ROUNDS_MAX];
        Callers callers = {};

        if (rounds == 0)
                return 2;
        callers_begin_installed(&callers);
        (void) measure(&callers, callers_call_bare, callers_end_bare, argv[3]);
        (void) measure(&callers, callers_call_plugin, callers_end_plugin, argv[2]);
        for (unsigned i = 0; i < rounds; i++) {
                bare[i] = measure(&callers, callers_call_bare, callers_end_bare, argv[3]);
                plugin[i] = measure(&callers, callers_call_plugin, callers_end_plugin, argv[2]);
        }
        callers_end(&callers);

        bench_print(&(BenchRow){ .name = "activation systemd",
                                 .unit = "ms",
                                 .value = bench_median(plugin, rounds),
                                 .beside = bench_median(bare, rounds),
                                 .goal = GOAL },
                    1);
        return 0;
}
