/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Whose programs are run. Whoever could change a program, or put another into its place, would act as the user that it
 * runs as: so it, its directories and what links lead to belong to root, and nobody else may write there. Since root
 * alone can change what was looked at, it is still the same when it is run. */

#include <sys/types.h>

#include <glib.h>

/* Who besides root may own what is run: the own user where SNOOZE_TRUST_OWN_PROGRAMS is set, for tests; else 0,
 * nobody. */
uid_t program_owner_also(void);

/* The resolved path, of which every step is trusted; NULL with an error that says which is not, and why. Caller frees.
 */
char *path_trusted(const char *path, uid_t also, GError **error);

/* The same for a program: besides, it is a regular file that may be executed, and its path is absolute. */
char *program_trusted(const char *path, uid_t also, GError **error);
