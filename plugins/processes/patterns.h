/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the administrator wrote about processes, one text each:
 *
 *         encode: name=^ffmpeg$ owner=media cpu=20
 *         train:  cmdline='python3? .*train\.py'
 *
 * All conditions of a pattern have to hold. Words are quoted as for a shell. */

#include <regex.h>
#include <sys/types.h>

#include <glib.h>

#include "scan.h"

/* As many as there may be votes of one plugin, with room to spare. */
#define PATTERNS_MAX 48U
#define PATTERN_NAME_MAX 64U
#define PATTERN_REGEX_MAX 512U

typedef struct Pattern {
        char *name;
        regex_t *process; /* NULL: any name */
        regex_t *cmdline; /* NULL: any */
        char *owner;      /* NULL: anybody; else a user's name or number */
        double cpu;       /* percent of one CPU that they have to use together; 0: to be there is enough */
} Pattern;

/* A word of a pattern that is none of these, for those who have more to say about a process. text: the whole pattern,
 * for messages. */
typedef gboolean (*PatternWord)(const char *text, const char *word, void *userdata, GError **error);

/* One text. other: NULL: there are no other words. NULL with error if it is no pattern. */
Pattern *pattern_parse(const char *text, PatternWord other, void *userdata, GError **error);
void pattern_free(Pattern *pattern);

/* Pattern; NULL with error if one of the NULL-terminated texts is none. NULL texts: no patterns. */
GPtrArray *patterns_parse(const char *const *texts, GError **error);

/* Whether any of them asks for the command line, which costs a file more per process. */
gboolean patterns_need_cmdline(const GPtrArray *patterns);

/* The user that a pattern is about. FALSE: there is no such user (yet). (uid_t) -1: anybody. */
gboolean pattern_owner(const Pattern *pattern, uid_t *ret_uid);

gboolean pattern_matches(const Pattern *pattern, uid_t owner, const ScannedProcess *process);
