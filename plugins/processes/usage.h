/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How much CPU the processes of one pattern used together over a window. Each look tells what every one of them has
 * used since it began; what it used since the look before is what counts. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "base/clock.h"

/* A shorter time tells nothing about work. */
#define USAGE_SPAN_MIN (4 * USEC_PER_SEC)
/* A window is cut into at most so many pieces. */
#define USAGE_PIECES 60U

typedef struct Usage Usage;

Usage *usage_new(uint64_t window);
Usage *usage_free(Usage *usage);

/* A look: begin, add for each process, end. Times are µs since boot. */
void usage_begin(Usage *usage, uint64_t now);
void usage_add(Usage *usage, pid_t pid, uint64_t started, uint64_t cpu);
/* Percent of one CPU; negative while they have not been watched for long enough. */
double usage_end(Usage *usage);
