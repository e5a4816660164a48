/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Files read with a bound and written whole. */

#include <sys/stat.h>
#include <sys/types.h>

#include <glib.h>

/* Reads a regular file of at most `maximum` bytes, refusing a longer one with G_FILE_ERROR_NOSPC. The text is
 * NUL-terminated after *ret_length bytes; ret_length may be NULL. */
gboolean file_read(const char *path, gsize maximum, char **ret_text, gsize *ret_length, GError **error);
/* And what the very file is like that was read. */
gboolean file_read_status(const char *path, gsize maximum, char **ret_text, gsize *ret_length,
                          struct stat *ret_status, GError **error);

/* Replaces path by the given bytes: temporary file beside it, fsync, rename, fsync of the folder. Killed at any
 * instruction, the old or the new content is there (and possibly a stray ".NAME.XXXXXX" beside it). */
gboolean file_write(const char *path, const void *data, gsize length, mode_t mode, GError **error);

/* The same without waiting for the disk: whole whenever this process is killed, but not where the machine is. For what
 * belongs to this boot, below /run. */
gboolean file_replace(const char *path, const void *data, gsize length, mode_t mode, GError **error);
