/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Texts by their names, in the order of the names, and never more than a ceiling of bytes. As bytes, for the State
 * contract: NAME NUL TEXT NUL, one after the other. */

#include <glib.h>

#define ENTRY_NAME_MAX 128U
/* What travels in a dictionary has 64 KiB in all. */
#define ENTRY_TEXT_MAX (32U * 1024U)
#define ENTRIES_MAX 4096U
#define ENTRIES_BYTES_MAX (3072U * 1024U)
#define ENTRIES_FORMAT 1U

typedef struct Entries Entries;

Entries *entries_new(void);
Entries *entries_free(Entries *entries);

/* A name has 1 to ENTRY_NAME_MAX bytes of UTF-8, and no control characters. */
gboolean entry_name_valid(const char *name);

/* ceiling: of all names and texts together. -E2BIG: the text is too long; -ENOSPC: the ceiling, or too many names;
 * -EINVAL: no name. */
int entries_set(Entries *entries, const char *name, const char *text, gsize ceiling);
/* Borrowed until the next change, or NULL. */
const char *entries_get(const Entries *entries, const char *name);
gboolean entries_remove(Entries *entries, const char *name);
guint entries_count(const Entries *entries);
gsize entries_bytes(const Entries *entries);

/* Names that begin with prefix and come behind `after` (NULL: from the first), at most `maximum`; borrowed. */
GPtrArray *entries_list(const Entries *entries, const char *prefix, const char *after, guint maximum,
                        gboolean *ret_more);

GByteArray *entries_export(const Entries *entries);
/* Replaces all of them, or changes nothing: -EBADMSG for bytes that are no export. */
int entries_import(Entries *entries, const void *data, gsize size);
