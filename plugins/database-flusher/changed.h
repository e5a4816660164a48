/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which settings of which MySQL servers are others now, and what they were: of each server that was flushed, for the
 * configuration may name another one by the time that the end is called off. A server is known by a digest of what it
 * says of itself, whichever way it was reached, which is also how the next instance hears of it; the way is a secret,
 * and is kept in memory alone. All may be called from any thread. */

#include <glib.h>

enum { CHANGED_COMMIT, CHANGED_SYNC, CHANGED_DIRTY, CHANGED_COUNT };
extern const char *const changed_names[CHANGED_COUNT];

/* Of so many servers at most. */
#define CHANGED_SERVERS_MAX 8U

/* Caller frees. */
char *changed_server(const char *says);

/* Caller frees; NULL: it is what it was. */
char *changed_get(const char *server, gsize i);
/* connection: by which it is reached. FALSE: it was not noted, for there are too many of them. */
gboolean changed_put(const char *server, const char *connection, gsize i, const char *value);
/* It is what it was again. */
void changed_drop(const char *server, gsize i);

/* Those where something is changed. Free with g_strfreev(). */
char **changed_servers(void);
/* Caller wipes and frees; NULL: an instance before this one knew. */
char *changed_connection(const char *server);

/* A line for each: "NAME VALUE SERVER". */
void changed_export(GString *text);
/* text: what stands behind the name. FALSE: it is none of them. */
gboolean changed_import(const char *name, const char *text);

/* A number as servers write them. */
gboolean changed_is_number(const char *text);
