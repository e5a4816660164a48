/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A tree of files from somebody who may be an enemy, taken over below a directory of one's own: so many files, so many
 * bytes, so deep, and nothing but directories, regular files and links that stay inside. What was written has modes of
 * ours (directories and programs 0755, other files 0644) and no owner but who wrote it. Every path is walked from the
 * directory's descriptor without following a link, and no file is written twice. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#define TREE_ENTRIES_MAX 2048U
#define TREE_BYTES_MAX (UINT64_C(64) << 20)
#define TREE_DEPTH_MAX 8U            /* directories around a file */
#define TREE_NAME_MAX 128U           /* bytes of one name */

typedef struct TreeWriter {
        int directory;               /* borrowed */
        unsigned entries;            /* so far */
        uint64_t bytes;
        gboolean failed;             /* it is the place that could not be written to, and no fault of the source */
} TreeWriter;

/* path: without a leading slash, . or ..; "" is the directory itself. A directory may be there already, nothing else
 * may. */
gboolean tree_make_directory(TreeWriter *writer, const char *path, GError **error);
/* The descriptor to write to, or -1. mode: of the source; whether its owner could execute it is all that is taken from
 * it. */
int tree_make_file(TreeWriter *writer, const char *path, mode_t mode, GError **error);
gboolean tree_write(TreeWriter *writer, int fd, const char *path, const void *data, size_t size, GError **error);
gboolean tree_make_link(TreeWriter *writer, const char *path, const char *target, GError **error);

/* All that is below `from`. What changes there meanwhile may come along in either form, but never more than the
 * bounds. reader: who wants it; what is not his, and not everybody's to read, is not shown to him by way of a copy. */
gboolean tree_copy(int from, uid_t reader, TreeWriter *writer, GError **error);

/* Whether both hold the same: names, modes, contents. FALSE without *error: they differ. */
gboolean tree_equal(int a, int b, GError **error);

/* Removes what has this name in the directory, with all below it; nothing there is fine. */
gboolean tree_remove(int directory, const char *name, GError **error);

/* A link in a directory so deep that cannot lead out of the tree whichever other links it passes: relative, and ..
 * only at its beginning, no more of them than there are directories above it. */
gboolean tree_link_stays(const char *target, unsigned depth);
