/* SPDX-License-Identifier: Apache-2.0 */

/* PostgreSQL: a checkpoint, after which a start has nothing to replay, and old log files are free. Commits are durable
 * already, unless somebody chose otherwise. */

#include "database.h"

#include <poll.h>
#include <string.h>

#include <libpq-fe.h>

#include "base/clock.h"

#define REQUIRE_AUTH_SINCE 160000

static gboolean check(const char *connection, GError **error) {
        char *message = NULL;
        PQconninfoOption *options = PQconninfoParse(connection, &message);

        /* The library's message would show what it could not read. */
        if (message)
                PQfreemem(message);
        if (!options)
                return flush_fail(error, NULL,
                                  "expected a URI that begins with postgresql://, or keyword=value … of PostgreSQL",
                                  "");
        PQconninfoFree(options);
        return TRUE;
}

static gboolean await(const Flush *flush, PGconn *connection, short events) {
        struct pollfd fd = { .fd = PQsocket(connection), .events = events };

        return fd.fd >= 0 && poll(&fd, 1, flush_left(flush)) > 0;
}

static gboolean fail(PGconn *connection, const char *what, GError **error) {
        const char *password = PQpass(connection);

        return flush_fail(error, (const char *const[]) { password ?: "", NULL }, what, PQerrorMessage(connection));
}

static gboolean connect_to(const Flush *flush, PGconn *connection, GError **error) {
        PostgresPollingStatusType status = PGRES_POLLING_WRITING;

        if (PQstatus(connection) == CONNECTION_BAD)
                return fail(connection, "cannot connect", error);
        while (status != PGRES_POLLING_OK) {
                if (!await(flush, connection, status == PGRES_POLLING_READING ? POLLIN : POLLOUT))
                        return flush_fail(error, NULL, "cannot connect", "there was no more time");
                status = PQconnectPoll(connection);
                if (status == PGRES_POLLING_FAILED)
                        return fail(connection, "cannot connect", error);
        }
        return TRUE;
}

static gboolean await_result(const Flush *flush, PGconn *connection, const char *text, GError **error) {
        while (PQisBusy(connection)) {
                if (!await(flush, connection, POLLIN))
                        return flush_fail(error, NULL, text, "there was no more time");
                if (!PQconsumeInput(connection))
                        return fail(connection, text, error);
        }
        return TRUE;
}

static gboolean query(const Flush *flush, PGconn *connection, const char *text, GError **error) {
        gboolean done = TRUE;
        PGresult *result;

        if (!PQsendQuery(connection, text))
                return fail(connection, text, error);
        while (await_result(flush, connection, text, error)) {
                result = PQgetResult(connection);
                if (!result)
                        return done;
                if (done && PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
                        done = fail(connection, text, error);
                PQclear(result);
        }
        return FALSE;
}

/* Notices of the server are nobody's answer, and might show what was sent. */
static void ignore(void *userdata, const char *message) {
}

static gboolean flush_postgresql(const Flush *flush, GError **error) {
        /* Whoever pretends to be the server, on the port of one that does not run, asks for the password as it is.
         * What the connection string says of it counts, since it comes after that. */
        static const char *const keywords[] = { "require_auth", "dbname", "fallback_application_name", NULL };
        const char *const values[] = { "scram-sha-256,md5,gss,none", flush->connection, "cloudsnooze", NULL };
        gboolean knows = PQlibVersion() >= REQUIRE_AUTH_SINCE;
        PGconn *connection = PQconnectStartParams(keywords + !knows, values + !knows, 1);
        g_autofree char *patience = g_strdup_printf("SET statement_timeout = %d", MAX(flush_left(flush), 1));
        gboolean done;

        if (!connection)
                return flush_fail(error, NULL, "no memory", "");
        (void) PQsetNoticeProcessor(connection, ignore, NULL);
        done = connect_to(flush, connection, error) && query(flush, connection, patience, error) &&
               query(flush, connection, "CHECKPOINT", error);
        PQfinish(connection);
        return done;
}

const Database database_postgresql = { .on_low_disk = TRUE, .check = check, .flush = flush_postgresql };
