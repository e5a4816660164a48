/* SPDX-License-Identifier: Apache-2.0 */

/* PostgreSQL: a checkpoint, after which a start has nothing to replay, and old log files are free. Commits are durable
 * already, unless somebody chose otherwise. */

#include "database.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <libpq-fe.h>

#include "aside.h"
#include "base/clock.h"
#include "listener.h"

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

/* Notices of the server are nobody's answer, and might show what was sent. */
static void ignore(void *userdata, const char *message) {
}

static gboolean await(const Flush *flush, PGconn *connection, short events) {
        int fd = PQsocket(connection);

        return fd >= 0 && flush_poll(flush, fd, events) != 0;
}

static gboolean fail(PGconn *connection, const char *what, GError **error) {
        const char *password = PQpass(connection);

        return flush_fail(error, (const char *const[]) { password ?: "", NULL }, what, PQerrorMessage(connection));
}

/* Only a server that has proven its name gets to ask for a password. */
static gboolean is_verified(PGconn *connection) {
        PQconninfoOption *options = PQconninfo(connection);
        gboolean verified = FALSE;

        for (const PQconninfoOption *option = options; option && option->keyword; option++)
                if (g_str_equal(option->keyword, "sslmode"))
                        verified = g_strcmp0(option->val, "verify-full") == 0;
        PQconninfoFree(options);
        /* A socket has no TLS, and one without a path no owner of its directory. */
        return verified && *(PQhost(connection) ?: "") != '@';
}

/* Before the library reads anything from a socket, and so may answer: it tries several, one after the other. */
static gboolean check_listener(const Flush *flush, PGconn *connection, GError **error) {
        const char *password = PQpass(connection);
        struct sockaddr_storage address;
        socklen_t size = sizeof(address);
        g_autoptr(GError) why = NULL;

        if (PQlibVersion() >= REQUIRE_AUTH_SINCE || !password || !*password || is_verified(connection) ||
            (getpeername(PQsocket(connection), (struct sockaddr *) &address, &size) < 0 && errno == ENOTCONN) ||
            listener_check(PQsocket(connection), flush->server_users, &why))
                return TRUE;
        return flush_fail(error, (const char *const[]) { password, NULL }, "cannot connect", why->message);
}

static gboolean reach(const Flush *flush, PGconn *connection, GError **error) {
        PostgresPollingStatusType status = PGRES_POLLING_WRITING;

        if (!connection)
                return flush_fail(error, NULL, "no memory", "");
        (void) PQsetNoticeProcessor(connection, ignore, NULL);
        if (PQstatus(connection) == CONNECTION_BAD)
                return fail(connection, "cannot connect", error);
        while (status != PGRES_POLLING_OK) {
                if (!await(flush, connection, status == PGRES_POLLING_READING ? POLLIN : POLLOUT))
                        return flush_fail(error, NULL, "cannot connect", "there was no more time");
                if (!check_listener(flush, connection, error))
                        return FALSE;
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

/* Beginning a connection, which the library does not do without looking hosts up. */
typedef struct Attempt {
        char *text;
        GStrv server_users;
        PGconn *connection;
        GError *error; /* NULL: it is there */
} Attempt;

static void attempt(const Flush *flush, void *job) {
        /* Whoever pretends to be the server, on the port of one that does not run, asks for the password as it is.
         * What the connection string says of it counts, since it comes after that. For a library that does not know
         * this, check_listener(). */
        static const char *const keywords[] = { "require_auth", "dbname", "fallback_application_name", NULL };
        Attempt *of = job;
        const char *const values[] = { "scram-sha-256,md5,gss,none", of->text, "cloudsnooze", NULL };
        gboolean knows = PQlibVersion() >= REQUIRE_AUTH_SINCE;
        Flush ours = *flush;

        ours.server_users = (const char *const *) of->server_users;
        of->connection = PQconnectStartParams(keywords + !knows, values + !knows, 1);
        (void) reach(&ours, of->connection, &of->error);
}

static void attempt_free(void *job) {
        Attempt *of = job;

        PQfinish(of->connection);
        explicit_bzero(of->text, strlen(of->text));
        g_free(of->text);
        g_strfreev(of->server_users);
        g_clear_error(&of->error);
        g_free(of);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attempt, attempt_free)

/* A path, or @ and a name of the kernel's, is a socket. What stands elsewhere, in a service file, may be a name. */
static gboolean has_name(const char *text) {
        PQconninfoOption *options = PQconninfoParse(text, NULL);
        const char *hosts = NULL, *addresses = NULL;
        gboolean name = FALSE;
        g_auto(GStrv) list = NULL;

        for (const PQconninfoOption *option = options; option && option->keyword; option++) {
                if (g_str_equal(option->keyword, "host"))
                        hosts = option->val;
                else if (g_str_equal(option->keyword, "hostaddr"))
                        addresses = option->val;
                else if (g_str_equal(option->keyword, "service"))
                        name |= option->val != NULL;
        }
        list = g_strsplit(addresses && *addresses ? addresses : hosts ?: "", ",", -1);
        for (char **host = list; *host; host++)
                name |= **host && **host != '/' && **host != '@' && aside_is_name(*host);
        PQconninfoFree(options);
        return name;
}

static gboolean flush_postgresql(const Flush *flush, GError **error) {
        g_autofree char *patience = g_strdup_printf("SET statement_timeout = %d", MAX(flush_left(flush), 1));
        g_autoptr(Attempt) connected = NULL;
        Attempt *of = g_new0(Attempt, 1);

        of->text = g_strdup(flush->connection);
        of->server_users = g_strdupv((GStrv) flush->server_users);
        if (!aside_run(flush, has_name(of->text), attempt, attempt_free, of, error))
                return FALSE;
        connected = of;
        if (connected->error) {
                g_propagate_error(error, g_steal_pointer(&connected->error));
                return FALSE;
        }
        return query(flush, connected->connection, patience, error) &&
                query(flush, connected->connection, "CHECKPOINT", error);
}

static const char *const users[] = { "postgres", NULL };

const Database database_postgresql = {
        .server_users = users, .on_low_disk = TRUE, .check = check, .flush = flush_postgresql
};
