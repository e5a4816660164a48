/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of every file that makes a plugin known to the system: a pure function of its manifest and of what was
 * approved. What may stand in them was checked before: ids, permissions and paths have no characters that these
 * formats would take for their own. */

#include "manifest/manifest.h"
#include "manifest/permission.h"

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

typedef struct Grant {
        const Manifest *manifest;
        const char *const *permissions; /* those approved */
        const char *const *programs;    /* what the plugin's own program needs to be run: interpreters */
        GroupExists group_exists;
        void *userdata;
} Grant;

/* NULL with *error: a path in it cannot stand in a unit. */
char *text_unit_permissions(const Grant *grant, GError **error);
/* Back from such a text: the version that it runs, NULL where that has none beside it. Caller frees. */
char *text_read_version(const char *text);
/* "" where there are none. */
char *text_unit_limits(const Limits *limits);
/* Back from such a text. */
Limits text_read_limits(const char *text);
char *text_bus_policy(const Grant *grant);
char *text_bus_activation(const Grant *grant);
/* Of one of the two slots, "a" or "b". */
char *text_slot_activation(const Grant *grant, const char *slot);
char *text_user(const char *id);
