/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The text of every file that makes a plugin known to the system: a pure function of its manifest and of what was
 * approved. What may stand in them was checked before: ids, permissions and paths have no characters that these
 * formats would take for their own. */

#include "manifest/limits.h"
#include "manifest/manifest.h"
#include "manifest/permission.h"

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
/* Such a text, or a bus policy of the helper's, and not one of the administrator's or a package's. */
gboolean text_is_written(const char *text);
/* "" where there are none. */
char *text_unit_limits(const Limits *limits);
/* Back from such a text. */
Limits text_read_limits(const char *text);
char *text_bus_policy(const Grant *grant);
char *text_bus_activation(const Grant *grant);
/* Of one of the two slots, "a" or "b". */
char *text_slot_activation(const Grant *grant, const char *slot);
char *text_user(const char *id);
