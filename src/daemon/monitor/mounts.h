/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is mounted, as proc(5) has it in mountinfo, and which of it can be asked without a risk. A path is asked of
 * whatever stands there: of the file system that is mounted over the one that was meant, and of each on the way. One
 * whose server or program does not answer (NFS, FUSE) never returns, and takes the asking process along. */

#include <glib.h>

typedef struct Mount {
        const char *id, *parent;   /* of the mount */
        const char *device;        /* "8:1": of the super block, the same for each of its mounts */
        const char *point;         /* where, escaped as the kernel does */
        const char *type;
        const char *super_options; /* of the machine's; those of the mount are this name space's */
        char *line;
} Mount;

typedef struct Mounts Mounts;

Mounts *mounts_parse(const char *text);
Mounts *mounts_free(Mounts *mounts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mounts, mounts_free)

/* In their order; the entries stay theirs. */
const GPtrArray *mounts_list(const Mounts *mounts);
/* It is on a disk, or the root that a container has, can be written, and its path leads to it past nothing that
 * may hang. */
gboolean mounts_can_ask(const Mounts *mounts, const Mount *mount);
