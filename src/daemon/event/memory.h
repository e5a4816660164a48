/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which events of which source have been there: a source that restarts announces what it finds, and the same notice of
 * a cloud must not be acted on twice. Of each source the latest MEMORY_PER_SOURCE_MAX ids. */

#include <glib.h>

#define MEMORY_PER_SOURCE_MAX 1024U

typedef struct Memory Memory;

Memory *memory_new(void);
void memory_free(Memory *memory);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Memory, memory_free)

gboolean memory_has(Memory *memory, const char *source, const char *id);
/* The id that is forgotten for it, or NULL. */
char *memory_add(Memory *memory, const char *source, const char *id);
