/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which checks there are: the executables of a directory, and those of the configuration. What is listed says by
 * itself whether it may be run: whoever could change the program could say "idle", so it, its directories and the
 * links to it belong to root. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#define CHECKS_MAX 48U      /* so many subjects fit into one answer */
#define CHECK_NAME_MAX 48U

typedef struct Check {
        char *name;         /* [A-Za-z0-9][A-Za-z0-9._-]* */
        char **arguments;   /* the program, an absolute path, and no more */
        uint64_t timeout;   /* µs; 0: as all */
        char *problem;      /* why it is not run; NULL: it is */
} Check;

void check_free(void *check);

/* "NAME[:SECONDS]=PROGRAM", quoted as for a shell, though there is none. */
Check *check_parse(const char *text, GError **error);

/* By name, those of the directory first where both have one; no directory, no checks. also: a user besides root whose
 * files are trusted (0: none). An error where the directory cannot be read, has a name that is none, or there are too
 * many. */
GPtrArray *checks_list(const char *directory, const GPtrArray *configured, uid_t also, GError **error);
