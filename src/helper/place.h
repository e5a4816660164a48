/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where the helper may write, and how it does: only into directories that root alone can change, from the root down
 * and without a link on the way, and each file whole. `root` is a directory that stands for /, for tests; "" is the
 * system's own. */

#include <sys/types.h>

#include <glib.h>

typedef struct Places {
        char *root;
        uid_t also;         /* who besides root may own what is trusted; 0: nobody */
        uid_t service;      /* user snooze; 0: there is none */
} Places;

/* The real path of one of the system's: root + path. Caller frees. */
char *place_path(const Places *places, const char *path);

/* That nobody but root can change the directory, nor swap it for another one. The state directory is the daemon's;
 * what lies below it is trusted all the same if it belongs to root: its owner could only put another directory of
 * root's in its place, and has none. */
gboolean place_trusted(const Places *places, const char *directory, GError **error);

/* That nobody but root can change the file that a real path leads to, nor have the path lead elsewhere; links of
 * root's may be on the way. FALSE, too, where there is none. */
gboolean place_leads_to_roots(const Places *places, const char *real);

/* One level, where it is missing. */
gboolean place_make_directory(const Places *places, const char *directory, GError **error);

/* Makes the file's content this, and its directory (one level) where that is missing; an empty text removes the
 * file. *changed is set to TRUE if that was not so before, else left alone. */
gboolean place_write(const Places *places, const char *path, const char *text, gboolean *changed, GError **error);

/* Removes the file, and then its directory if `with_directory` and nothing else is in it. */
gboolean place_remove(const Places *places, const char *path, gboolean with_directory, gboolean *changed,
                      GError **error);
