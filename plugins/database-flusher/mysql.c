/* SPDX-License-Identifier: Apache-2.0 */

/* MySQL and MariaDB. Tables and logs are flushed; InnoDB writes its dirty pages at once instead of when it pleases;
 * and where the machine goes, every commit from then on is on the disk when it is answered, whatever was configured.
 * Without waiting inside of the library, which knows no deadline. */

#include "database.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <mysql.h>

#include "address.h"
#include "aside.h"
#include "base/clock.h"
#include "changed.h"

#define PORT 3306
#define LOOK_INTERVAL (200 * USEC_PER_MSEC)
#define PROGRESS_TIME (3 * USEC_PER_SEC)
#define UNDO_TIME (2 * USEC_PER_SEC) /* for what has to be taken back even if the time is over */
/* By these nobody learns the password who pretends to be the server: any user of this machine may, on the port of one
 * that does not run. All others send it as it is, or for a key that whoever asks for it has chosen. */
#define AUTHENTICATION_IN_THE_OPEN "mysql_native_password,client_ed25519,auth_gssapi_client"
/* Numbers of what the client library itself says, of MariaDB and of MySQL. */
#define IS_CLIENT_ERROR(n) (((n) >= 2000 && (n) < 3000) || ((n) >= 5000 && (n) < 6000))

typedef struct Session {
        MYSQL *mysql;
        const Flush *flush;
        uint64_t deadline;
        const gint *called_off; /* what is under way may be cut when that is set; NULL: it has to be ended */
        const char *secrets[3];
        char *server; /* as changed.h knows it */
} Session;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for all work */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static gboolean parse(const char *connection, Address *address, GError **error) {
        static const char *const schemes[] = { "mysql", "mariadb", NULL };

        return strstr(connection, "://") ? address_parse_uri(connection, schemes, PORT, address, error)
                                         : address_parse_dsn(connection, PORT, address, error);
}

static gboolean check(const char *connection, GError **error) {
        g_auto(Address) address = {};

        return parse(connection, &address, error);
}

static gboolean session_fail(const Session *session, const char *what, GError **error) {
        return flush_fail(error, session->secrets, what, mysql_error(session->mysql));
}

/* What has come of what the library waits for; 0: there is no more time. */
static int await(const Session *session, int status) {
        const Flush bound = { .deadline = session->deadline, .called_off = session->called_off };
        short events = (short) ((status & MYSQL_WAIT_READ ? POLLIN : 0) | (status & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                                (status & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
        short got = flush_poll(&bound, mysql_get_socket(session->mysql), events);

        return (got & POLLIN ? MYSQL_WAIT_READ : 0) | (got & POLLOUT ? MYSQL_WAIT_WRITE : 0) |
               (got & POLLPRI ? MYSQL_WAIT_EXCEPT : 0) |
               (got & (POLLERR | POLLHUP | POLLNVAL) ? status & ~MYSQL_WAIT_TIMEOUT : 0);
}

static gboolean query(const Session *session, const char *text, GError **error) {
        int failed = 0, status, got;

        status = mysql_real_query_start(&failed, session->mysql, text, strlen(text));
        while (status) {
                got = await(session, status);
                if (!got)
                        return flush_fail(error, NULL, text, "there was no more time");
                status = mysql_real_query_cont(&failed, session->mysql, got);
        }
        return failed ? session_fail(session, text, error) : TRUE;
}

/* The last column of the first row; NULL without one. Caller frees. */
static char *query_value(const Session *session, const char *text, GError **error) {
        MYSQL_RES *rows = NULL;
        char *value = NULL;
        MYSQL_ROW row;
        int status, got;

        if (!query(session, text, error))
                return NULL;
        status = mysql_store_result_start(&rows, session->mysql);
        while (status) {
                got = await(session, status);
                if (!got) {
                        flush_fail(error, NULL, text, "there was no more time");
                        return NULL;
                }
                status = mysql_store_result_cont(&rows, session->mysql, got);
        }
        if (!rows) {
                session_fail(session, text, error);
                return NULL;
        }
        row = mysql_fetch_row(rows);
        if (row && mysql_num_fields(rows) > 0)
                value = g_strdup(row[mysql_num_fields(rows) - 1]);
        mysql_free_result(rows);
        if (!value)
                flush_fail(error, NULL, text, "it has no value");
        return value;
}

static char *variable(const Session *session, const char *name, GError **error) {
        g_autofree char *text = g_strconcat("SELECT @@GLOBAL.", name, NULL);

        return query_value(session, text, error);
}

/* value: a number, from the server itself. */
static gboolean set_variable(const Session *session, const char *name, const char *value, GError **error) {
        g_autofree char *text = g_strconcat("SET GLOBAL ", name, " = ", value, NULL);

        return changed_is_number(value) ? query(session, text, error) : flush_fail(error, NULL, name, "is no number");
}

/* Localhost would be a socket for the library. NULL: it is one. */
static const char *host_of(const Address *address) {
        if (address->socket)
                return NULL;
        return g_str_equal(address->host, "localhost") ? "127.0.0.1" : address->host;
}

static gboolean connect_to(Session *session, const Address *address, GError **error) {
        unsigned protocol = address->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP, off = 0;
        const char *host = host_of(address);
        my_bool verify = 1;
        MYSQL *connected = NULL;
        int status, got;

        mysql_options(session->mysql, MYSQL_OPT_NONBLOCK, 0);
        mysql_options(session->mysql, MYSQL_OPT_PROTOCOL, &protocol);
        /* The server must not ask for files of ours. */
        mysql_options(session->mysql, MYSQL_OPT_LOCAL_INFILE, &off);
        if (!address->tls && !address->socket)
                mysql_optionsv(session->mysql, MARIADB_OPT_RESTRICTED_AUTH, AUTHENTICATION_IN_THE_OPEN);
        if (address->tls) {
                mysql_options(session->mysql, MYSQL_OPT_SSL_ENFORCE, &verify);
                mysql_options(session->mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
        }
        status = mysql_real_connect_start(&connected, session->mysql, host, address->user, address->password,
                                          address->database, address->port, address->socket, 0);
        while (status) {
                got = await(session, status);
                if (!got)
                        return flush_fail(error, NULL, "cannot connect", "there was no more time");
                status = mysql_real_connect_cont(&connected, session->mysql, got);
        }
        return connected ? TRUE : session_fail(session, "cannot connect", error);
}

static void add_problem(GPtrArray *problems, GError *error) {
        g_ptr_array_add(problems, g_strdup(error->message));
        g_error_free(error);
}

/* The server said no, as opposed to: nothing, or something that was not heard. */
static gboolean was_refused(const Session *session) {
        unsigned number = mysql_errno(session->mysql);

        return number != 0 && !IS_CLIENT_ERROR(number);
}

/* What was changed already, perhaps by an instance before this one, stays known by what it was then. Noted before the
 * server is told, since it outlives us. */
static gboolean change(const Session *session, gsize i, const char *now, const char *value, GError **error) {
        g_autofree char *known = changed_get(session->server, i);

        /* What could not be taken back is left alone. */
        if (!known && !changed_is_number(now))
                return flush_fail(error, NULL, changed_names[i], "is no number");
        if (!changed_put(session->server, session->flush->connection, i, known ?: now))
                return flush_fail(error, NULL, changed_names[i], "too many servers have others already");
        if (set_variable(session, changed_names[i], value, error))
                return TRUE;
        if (!known && was_refused(session))
                changed_drop(session->server, i);
        return FALSE;
}

static gboolean take_back(const Session *session, gsize i, GError **error) {
        g_autofree char *value = changed_get(session->server, i);

        if (!value)
                return TRUE;
        if (!set_variable(session, changed_names[i], value, error))
                return FALSE;
        changed_drop(session->server, i);
        return TRUE;
}

/* Not fatal: who may not set them may flush all the same. */
static void make_durable(const Session *session, GPtrArray *problems) {
        for (gsize i = CHANGED_COMMIT; i <= CHANGED_SYNC; i++) {
                GError *error = NULL;
                g_autofree char *value = variable(session, changed_names[i], &error);

                if (value && !g_str_equal(value, "1"))
                        (void) change(session, i, value, "1", &error);
                if (error)
                        add_problem(problems, error);
        }
}

static gint64 dirty_pages(const Session *session) {
        g_autofree char *value =
                query_value(session, "SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'", NULL);

        guint64 pages;

        return value && g_ascii_string_to_unsigned(value, 10, 0, G_MAXINT64, &pages, NULL) ? (gint64) pages : -1;
}

/* Until there are none, or there are no fewer for a while: where others write there will always be some. */
static gint64 wait_for_pages(const Session *session, gint64 fewest) {
        uint64_t since = clock_monotonic();
        gint64 now;

        while ((now = dirty_pages(session)) > 0 && flush_left(session->flush) > 0 &&
               clock_monotonic() < usec_add(since, PROGRESS_TIME)) {
                if (now < fewest) {
                        fewest = now;
                        since = clock_monotonic();
                }
                g_usleep(MIN(LOOK_INTERVAL, (gulong) flush_left(session->flush) * USEC_PER_MSEC));
        }
        return now;
}

/* Without them the log alone makes a crash a slow start; so nothing of this is fatal. */
static void write_pages(Session *session, GPtrArray *problems) {
        g_autofree char *percent = NULL;
        GError *error = NULL;
        gint64 dirty;

        /* What is cut in the middle can take nothing back: the waiting ends with the time, and its last words have
         * some more. */
        session->deadline = usec_add(session->flush->deadline, UNDO_TIME);
        dirty = dirty_pages(session);
        if (dirty < 0)
                return;
        (void) snooze_plugin_dictionary_set_int(session->flush->result, "dirty_pages_before", dirty);
        percent = variable(session, changed_names[CHANGED_DIRTY], &error);
        if (percent && change(session, CHANGED_DIRTY, percent, "0", &error)) {
                (void) snooze_plugin_dictionary_set_int(session->flush->result, "dirty_pages_after",
                                                        wait_for_pages(session, dirty));
                (void) take_back(session, CHANGED_DIRTY, &error);
        }
        if (error)
                add_problem(problems, error);
}

/* Waits for whoever has locked a table, and for the disk, which whoever calls it off need not. */
static gboolean flush_tables(Session *session, GPtrArray *problems, GError **error) {
        g_autofree char *log = NULL;
        GError *unknown = NULL;

        session->called_off = session->flush->called_off;
        if (!query(session, "FLUSH LOCAL TABLES", error) || !query(session, "FLUSH LOCAL ENGINE LOGS", error))
                return FALSE;
        log = variable(session, "log_bin", &unknown);
        if (unknown && flush_left(session->flush) == 0) {
                g_propagate_error(error, unknown);
                return FALSE;
        }
        /* A server that does not say has flushed all else, and goes on so. */
        if (unknown)
                add_problem(problems, unknown);
        else if (g_str_equal(log, "1") && !query(session, "FLUSH LOCAL BINARY LOGS", error))
                return FALSE;
        session->called_off = NULL;
        return TRUE;
}

static gboolean flush_server(Session *session, GPtrArray *problems, GError **error) {
        g_autofree char *patience =
                g_strdup_printf("SET SESSION lock_wait_timeout = %d", MAX(flush_left(session->flush) / 1000, 1));

        if (!query(session, patience, error))
                return FALSE;
        if (session->flush->ending)
                make_durable(session, problems);
        if (!flush_tables(session, problems, error))
                return FALSE;
        write_pages(session, problems);
        return TRUE;
}

static gboolean restore_server(Session *session, GPtrArray *problems, GError **error) {
        for (gsize i = 0; i < CHANGED_COUNT; i++) {
                GError *e = NULL;

                if (!take_back(session, i, &e))
                        add_problem(problems, e);
        }
        return TRUE;
}

/* Making a connection, which the library does not do without looking the host up. */
typedef struct Attempt {
        char *connection;
        MYSQL *mysql;
        GError *error; /* NULL: it is there */
} Attempt;

static void attempt(const Flush *flush, void *job) {
        Attempt *of = job;
        g_auto(Address) address = {};
        Session session = { .flush = flush, .mysql = of->mysql, .deadline = flush->deadline,
                            .called_off = flush->called_off };

        (void) mysql_thread_init();
        if (parse(of->connection, &address, &of->error)) {
                session.secrets[0] = address.password ?: "";
                (void) connect_to(&session, &address, &of->error);
        }
        mysql_thread_end();
}

static void attempt_free(void *job) {
        Attempt *of = job;

        if (of->mysql)
                mysql_close(of->mysql);
        explicit_bzero(of->connection, strlen(of->connection));
        g_free(of->connection);
        g_clear_error(&of->error);
        g_free(of);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Attempt, attempt_free)

/* NULL: there is none. Close with mysql_close(). */
static MYSQL *reach(const Flush *flush, const Address *address, GError **error) {
        g_autoptr(Attempt) connected = NULL;
        Attempt *of = g_new0(Attempt, 1);

        of->connection = g_strdup(flush->connection);
        of->mysql = mysql_init(NULL);
        if (!of->mysql) {
                attempt_free(of);
                flush_fail(error, NULL, "no memory", "");
                return NULL;
        }
        if (!aside_run(flush, aside_is_name(host_of(address)), attempt, attempt_free, of, error))
                return NULL;
        connected = of;
        if (connected->error) {
                g_propagate_error(error, g_steal_pointer(&connected->error));
                return NULL;
        }
        return g_steal_pointer(&connected->mysql);
}

static void prepare(void) {
        (void) mysql_library_init(0, NULL, NULL);
}

typedef gboolean (*Deed)(Session *session, GPtrArray *problems, GError **error);

/* What MySQL and MariaDB both say to everybody. */
#define SELF                                                                                                          \
        "SELECT CONCAT_WS('\\n', @@GLOBAL.hostname, @@GLOBAL.port, @@GLOBAL.socket, @@GLOBAL.datadir, "               \
        "@@GLOBAL.server_id)"

/* Sets session->server, for the caller to free. */
static gboolean know(Session *session, GError **error) {
        g_autofree char *says = query_value(session, SELF, error);

        session->server = says ? changed_server(says) : NULL;
        return says != NULL;
}

/* ret_server: the one that was reached, as changed.h knows it; NULL where none was. May be NULL. */
static gboolean with_session(const Flush *flush, Deed deed, GPtrArray *problems, char **ret_server, GError **error) {
        g_auto(Address) address = {};
        Session session = { .flush = flush, .deadline = flush->deadline };
        gboolean done;

        if (!parse(flush->connection, &address, error))
                return FALSE;
        session.secrets[0] = address.password ?: "";
        session.mysql = reach(flush, &address, error);
        if (!session.mysql)
                return FALSE;
        done = know(&session, error) && deed(&session, problems, error);
        mysql_close(session.mysql);
        if (ret_server)
                *ret_server = g_steal_pointer(&session.server);
        g_free(session.server);
        return done;
}

static gboolean flush_configured(const Flush *flush, GPtrArray *problems, GError **error) {
        return with_session(flush, flush_server, problems, NULL, error);
}

/* The one that was flushed, by the way of then, and no other one that is found there by now. now: the one that is
 * reached as is configured; NULL: none. told: why is told already. */
static gboolean restore_by_the_way_of_then(const Flush *flush, const char *server, const char *now,
                                           gboolean told, GPtrArray *problems, GError **error) {
        g_autofree char *then = changed_connection(server), *reached = NULL;
        gboolean done = TRUE;
        Flush at = *flush;

        if (then && !g_str_equal(then, flush->connection)) {
                at.connection = then;
                done = with_session(&at, restore_server, problems, &reached, error);
        }
        if (then)
                explicit_bzero(then, strlen(then));
        if (!done || g_strcmp0(reached, server) == 0 || (told && !reached && !now))
                return done;
        return flush_fail(error, NULL, "the settings of the server that was flushed stay changed",
                          reached || now ? "another one is reached by now" : "how it was reached is not known");
}

static void keep_first(GError **first, GPtrArray *problems, GError *error) {
        if (*first)
                add_problem(problems, error);
        else
                *first = error;
}

/* What flushes changed, those that were called off included, which have ended by now or have not begun: on the server
 * that is configured now (the password may be another one), and by the way of then on those that this is not. */
static gboolean restore_changed(const Flush *flush, GPtrArray *problems, GError **error) {
        g_auto(GStrv) servers = changed_servers();
        g_autofree char *reached = NULL;
        GError *first = NULL, *e = NULL;
        gboolean told;

        if (!servers[0])
                return TRUE;
        /* It may be another kind of database by now. */
        if (check(flush->connection, NULL) && !with_session(flush, restore_server, problems, &reached, &e))
                keep_first(&first, problems, g_steal_pointer(&e));
        told = first != NULL;
        for (char **server = servers; *server; server++)
                if (g_strcmp0(*server, reached) != 0 &&
                    !restore_by_the_way_of_then(flush, *server, reached, told, problems, &e))
                        keep_first(&first, problems, g_steal_pointer(&e));
        if (!first)
                return TRUE;
        g_propagate_error(error, first);
        return FALSE;
}

/* One after the other: two that change a setting and take it back would leave it changed. */
static gboolean run(const Flush *flush, gboolean (*work)(const Flush *flush, GPtrArray *problems, GError **error),
                    GError **error) {
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        uint64_t until = usec_add(clock_monotonic(), (uint64_t) flush_left(flush) * USEC_PER_MSEC);
        const struct timespec limit = { .tv_sec = (time_t) (until / USEC_PER_SEC),
                                        .tv_nsec = (long) (until % USEC_PER_SEC * 1000) };
        gboolean done;

        (void) pthread_once(&once, prepare);
        if (pthread_mutex_clocklock(&lock, CLOCK_MONOTONIC, &limit) != 0)
                return flush_fail(error, NULL, "another flush is under way", "");
        (void) mysql_thread_init();
        done = flush_called_off(flush) ? flush_fail(error, NULL, "it was called off", "")
                                       : work(flush, problems, error);
        mysql_thread_end();
        (void) pthread_mutex_unlock(&lock);
        g_ptr_array_add(problems, NULL);
        if (problems->len > 1)
                (void) snooze_plugin_dictionary_set_strv(flush->result, "problems",
                                                         (const char *const *) problems->pdata);
        return done;
}

static gboolean flush_mysql(const Flush *flush, GError **error) {
        return run(flush, flush_configured, error);
}

static gboolean restore_mysql(const Flush *flush, GError **error) {
        return run(flush, restore_changed, error);
}

static gboolean is_changed(void) {
        g_auto(GStrv) servers = changed_servers();

        return servers[0] != NULL;
}

const Database database_mysql = {
        .on_low_disk = TRUE,
        .check = check,
        .flush = flush_mysql,
        .restore = restore_mysql,
        .is_changed = is_changed,
        .export = changed_export,
        .import = changed_import,
};
