/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Rows of GetHistory as people read them. */

#include "cli/cli.h"

/* How many rows the daemon returns at most at once. */
#define HISTORY_MAX 10000U

/* The latest rows of the last `span` microseconds (0: all), of `kind` (NULL: of each), at most `maximum`, newest
 * first: aa{sv}, or NULL with error. */
GVariant *history_fetch(Cli *cli, guint64 span, const char *kind, guint maximum, GError **error);
/* The same, and the time of the oldest row of any kind among which it was looked for; 0: there is none. */
GVariant *history_fetch_kind(Cli *cli, guint64 span, const char *kind, guint maximum, guint64 *ret_oldest,
                             GError **error);

/* One row's time and kind, and what it says in one line. */
guint64 history_time(GVariant *row);
const char *history_kind(GVariant *row); /* borrowed from the row */
char *history_text(GVariant *row);
const char *history_string(GVariant *row, const char *key); /* "" where it is missing */
guint64 history_moment(GVariant *row, const char *key);     /* 0 where it is missing */
