/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the rows of the budget share: a clock, one CPU, medians, the form of the result, and a bus of their own on
 * which both sides of a comparison run. Whatever goes wrong ends the program: a figure of half a measurement would be
 * worse than none. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

/* Ends the program unless r is no error. */
void bench_check(int r, const char *what);

double bench_now_usec(void);

/* Stays on this CPU, and with it everything that is started from now on. */
void bench_pin(void);

/* Sorts the values. */
double bench_median(double *values, size_t n);

/* True for --smoke: few iterations, to see that the row comes out at all. */
bool bench_is_smoke(int argc, char **argv);

typedef struct BenchRow {
        const char *name, *unit;
        double value, beside, goal;
} BenchRow;

/* {"row": {"value", "unit", "beside", "ratio", "goal"}, …}; the ratio is value / beside. */
void bench_print(const BenchRow *rows, size_t n);

/* Writes a file below directory, and the folders on the way. */
void bench_write(const char *directory, const char *name, const char *text);

/* A file, or a folder with all that is in it. */
void bench_remove(const char *path);

/* A dbus-daemon that plays the system bus, for this program and for all that it starts. */
typedef struct BenchBus {
        char *directory; /* everything of this run is below it */
        GPid daemon;
} BenchBus;

/* Files are made first, so that the bus knows its services from the start. */
void bench_bus_prepare(BenchBus *bus);
/* NAME is activated by running the command line. */
void bench_bus_add_service(BenchBus *bus, const char *name, const char *command);
/* A plugin with this contract, enabled: PROGRAM is run with its id. */
void bench_bus_add_plugin(BenchBus *bus, const char *id, const char *program, const char *contract);
void bench_bus_start(BenchBus *bus);
void bench_bus_end(BenchBus *bus);

/* Ends with this program; what it says to stderr (and to stdout, where output is negative) stands in
 * bus->directory/log. */
GPid bench_spawn(BenchBus *bus, const char *const *arguments, int output);
void bench_end(GPid pid);

sd_bus *bench_bus_connect(sd_event *event);

/* The metrics that a real round sends along. */
int bench_append_metrics(sd_bus_message *message, void *userdata);
