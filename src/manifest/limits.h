/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a plugin may use at most. The manifest asks, or the template of the units says; a configuration may set less.
 */

#include <stdint.h>

#include "manifest/manifest.h"

typedef struct Limits {
        uint64_t memory_max; /* bytes; 0 here and below: as the manifest or the unit's template says */
        double cpu_percent;
        uint64_t tasks_max;
} Limits;

/* What the unit's template gives a manifest without limits. */
#define LIMIT_DEFAULT_MEMORY (64 * UINT64_C(1048576))
#define LIMIT_DEFAULT_CPU_PERCENT 20.0
#define LIMIT_DEFAULT_TASKS UINT64_C(16)

/* The most that the manifest allows of each. */
Limits limits_allowed(const Manifest *manifest);
/* Which of the configured ones (memory_mb, cpu_percent, tasks) the manifest does not allow, in a sentence; NULL: none.
 * Caller frees. */
char *limits_excess(const Manifest *manifest, JsonObject *configured);
