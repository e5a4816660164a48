/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a kind of database has to offer: to check how it is reached, and to put what it has in memory on its disk. All
 * but the check run in a thread and may wait, never beyond the deadline. A connection string is a secret: no error, no
 * result and no line of a log has a part of it. */

#include <stdint.h>

#include <glib.h>

#include <snooze/dictionary.h>

typedef struct Flush {
        const char *connection;
        const char *const *server_users; /* whose a server may be that gets a password as it is: listener_check() */
        uint64_t deadline;              /* monotonic µs */
        const gint *called_off; /* atomic: it is for nothing; nobody waits for what has been begun. May be NULL */
        gboolean ending;                /* the machine goes: what comes after this has to be durable, too */
        SnoozePluginDictionary *result; /* of the call */
} Flush;

typedef struct Database {
        const char *const *server_users; /* as distributions name them; NULL: it gets no password as it is */
        gboolean on_low_disk; /* flushing frees space there, or at least takes none */
        /* Whether that is a connection string; what it lacks is told without showing any of it. */
        gboolean (*check)(const char *connection, GError **error);
        gboolean (*flush)(const Flush *flush, GError **error);
        /* The end was called off: what flush changed for the rest of the machine's life, on the servers where it did,
         * whichever the configuration names now. NULL: nothing, as all that follows. */
        gboolean (*restore)(const Flush *flush, GError **error);
        gboolean (*is_changed)(void);
        /* What restore needs, for the next instance: a line for each, "NAME VALUE". From the loop, at any time.
         * import: FALSE: it is none of them. */
        void (*export)(GString *text);
        gboolean (*import)(const char *name, const char *value);
} Database;

extern const Database database_mysql, database_postgresql, database_redis;

/* NULL: there is none, or not in this build; *ret_known then tells which. */
const Database *database_find(const char *name, gboolean *ret_known);

/* Which one has something to restore, whatever is configured now; NULL: none. */
const Database *database_changed(void);
void database_export(GString *text);
/* FALSE: none of them, of those that this build knows, wrote this. */
gboolean database_import(const char *name, const char *value);

/* Milliseconds that are left, for poll(); at least 0, and 0 of what was called off. */
int flush_left(const Flush *flush);
gboolean flush_called_off(const Flush *flush);
/* poll() for one descriptor, which notices that the flush is called off: what is there of the events, and of errors;
 * 0: there is no more time. */
short flush_poll(const Flush *flush, int fd, short events);

/* Sets the error, in which the secrets (NULL-terminated; may have empty ones) are replaced. Returns FALSE. */
gboolean flush_fail(GError **error, const char *const *secrets, const char *what, const char *detail);
