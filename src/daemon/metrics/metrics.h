/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The built-in metrics, from /proc and /sys. Files are opened once and re-read with pread; interfaces and disks that
 * come or go are noticed. Everything below `root` (tests: a recorded tree), so "" is the real machine. */

#include <stdint.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "daemon/decision/sample.h"
#include "daemon/metrics/terminals.h"

typedef struct Metrics Metrics;

Metrics *metrics_new(const char *root);
void metrics_free(Metrics *metrics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Metrics, metrics_free)

/* Input idle time as somebody else knows it (logind, see input-logind.h): the wall-clock moment of the last input, 0
 * if there is none to know, UINT64_MAX while there is input and until told otherwise. Joined with the access times of
 * terminals that metrics_sample() reads itself. Once available, input never becomes absent again. */
void metrics_set_logind_input(Metrics *metrics, gboolean available, uint64_t last_input_realtime);

/* Terminals in which logind knows somebody logged in, names below /dev, NULL-terminated. See terminals.h. */
void metrics_set_logind_terminals(Metrics *metrics, const char *const *names);

/* How often a sample looks at the terminals at most; 0, as in the beginning: each does. Idle time goes on between
 * looks, as it does while nobody types. */
void metrics_set_input_interval(Metrics *metrics, uint64_t interval);

/* The next sample looks, whatever the interval. */
void metrics_look_at_input(Metrics *metrics);

/* See terminals.h; as of the latest look. */
void metrics_tell_closed_terminals(const Metrics *metrics, TerminalsClosed closed, void *userdata);

/* How long this machine has slept since its boot: time in which nobody typed either, though the clock of samples stood
 * still. */
void metrics_set_slept(Metrics *metrics, uint64_t slept);

/* Takes a sample at `monotonic` (and `realtime`, for the terminals' access times). Rates cover the time since the
 * sample before; the first has no rates: its rate metrics are READING_OK with value 0 and span 0, and do not count as
 * evidence of idleness (decision/ ignores samples with span 0 for rates). Never fails as a whole: a metric that cannot
 * be read says so. */
void metrics_sample(Metrics *metrics, uint64_t monotonic, uint64_t realtime, Sample *ret);

/* Those that could be measured at some time, a bit for each Metric: what could be at any time since the boot is never
 * absent for being unreadable, so a daemon that starts anew is told what the one before it knew. */
unsigned metrics_measured(const Metrics *metrics);
void metrics_set_measured(Metrics *metrics, unsigned measured);

/* Evidence for people, of the latest sample: interfaces and disks with their rates, load, pressure (PSI some/full
 * avg10, absent where the kernel has none), CPU busy by mode, reasons of failures by source name. */
JsonObject *metrics_details(Metrics *metrics);
