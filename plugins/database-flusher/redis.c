/* SPDX-License-Identifier: Apache-2.0 */

/* Redis and Valkey: a snapshot, beside the server's work where it can fork, else in front of it. Never on a disk that
 * is nearly full: a snapshot needs the space that is missing, and one that fails makes the server refuse every write.
 */

#include "database.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

#include "address.h"
#include "aside.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "listener.h"

#define PORT 6379
#define LOOK_INTERVAL (100 * USEC_PER_MSEC)

typedef struct Session {
        redisContext *redis;
        const Flush *flush;
        const char *secrets[2];
} Session;

static gboolean parse(const char *connection, Address *address, GError **error) {
        static const char *const schemes[] = { "redis", "valkey", "unix", "redis+unix", NULL };
        guint64 number;

        if (!address_parse_uri(connection, schemes, PORT, address, error))
                return FALSE;
        if (address->database && !g_ascii_string_to_unsigned(address->database, 10, 0, 65535, &number, NULL))
                return flush_fail(error, NULL, "expected the number of a database behind the host", "");
        return TRUE;
}

static gboolean check(const char *connection, GError **error) {
        g_auto(Address) address = {};

        return parse(connection, &address, error);
}

/* The socket, or a negative errno. A Unix socket before which as many wait as may says so, and cannot be polled. */
static int connect_to(const Flush *flush, const struct sockaddr *address, socklen_t length) {
        _cleanup_close_ int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int problem = 0;
        socklen_t size = sizeof(problem);

        if (fd < 0)
                return -errno;
        while (connect(fd, address, length) < 0 && errno != EINPROGRESS) {
                if (errno != EAGAIN)
                        return -errno;
                if (flush_left(flush) == 0)
                        return -ETIMEDOUT;
                g_usleep(MIN(LOOK_INTERVAL, (gulong) flush_left(flush) * USEC_PER_MSEC));
        }
        if (!flush_poll(flush, fd, POLLOUT))
                return -ETIMEDOUT;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) < 0)
                return -errno;
        if (problem)
                return -problem;
        return steal_fd(&fd);
}

static int connect_to_socket(const Flush *flush, const char *path) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path));
        return connect_to(flush, (const struct sockaddr *) &address, sizeof(address));
}

/* A host and a port, and what they are. */
typedef struct Lookup {
        char *host, *service;
        struct addrinfo *list;
        int problem; /* of getaddrinfo() */
} Lookup;

static void look_up(const Flush *flush, void *job) {
        const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
        Lookup *lookup = job;

        lookup->problem = getaddrinfo(lookup->host, lookup->service, &hints, &lookup->list);
}

static void lookup_free(void *job) {
        Lookup *lookup = job;

        if (lookup->list)
                freeaddrinfo(lookup->list);
        g_free(lookup->host);
        g_free(lookup->service);
        g_free(lookup);
}

/* IPv4 first: it is where a server listens by default. Sets the error, or not: then the errno says what is wrong. */
static int connect_to_host(const Flush *flush, const char *host, guint port, GError **error) {
        static const int families[] = { AF_INET, AF_INET6 };
        Lookup *lookup = g_new0(Lookup, 1);
        int fd = -EADDRNOTAVAIL;

        lookup->host = g_strdup(host);
        lookup->service = g_strdup_printf("%u", port);
        if (!aside_run(flush, aside_is_name(host), look_up, lookup_free, lookup, error))
                return fd;
        if (lookup->problem != 0)
                flush_fail(error, NULL, "cannot connect", gai_strerror(lookup->problem));
        for (gsize i = 0; i < G_N_ELEMENTS(families) && fd < 0; i++)
                for (const struct addrinfo *one = lookup->list; one && fd < 0; one = one->ai_next)
                        if (one->ai_family == families[i])
                                fd = connect_to(flush, one->ai_addr, one->ai_addrlen);
        lookup_free(lookup);
        return fd;
}

/* The library itself would wait for the connection until the deadline, also of what was called off. */
static redisContext *open_connection(const Flush *flush, const Address *address, GError **error) {
        GError *problem = NULL;
        redisContext *redis;
        int fd = address->socket ? connect_to_socket(flush, address->socket)
                                 : connect_to_host(flush, address->host, address->port, &problem);

        if (fd < 0) {
                if (problem)
                        g_propagate_error(error, problem);
                else
                        flush_fail(error, NULL, "cannot connect",
                                   flush_left(flush) == 0 ? "there was no more time" : g_strerror(-fd));
                return NULL;
        }
        redis = redisConnectFd(fd);
        if (!redis) {
                (void) close(fd);
                flush_fail(error, NULL, "no memory", "");
                return NULL;
        }
        redis->flags &= ~REDIS_BLOCK;
        return redis;
}

/* The library itself would wait until the deadline, also of what was called off: it is asked to read and to write only
 * where that is possible at once. NULL: the time is over, or errstr says what is wrong. */
static redisReply *exchange(const Session *session, int n, const char **words) {
        int sent = FALSE, fd = session->redis->fd;
        void *reply = NULL;

        if (redisAppendCommandArgv(session->redis, n, words, NULL) != REDIS_OK)
                return NULL;
        while (!sent)
                if (!flush_poll(session->flush, fd, POLLOUT) || redisBufferWrite(session->redis, &sent) != REDIS_OK)
                        return NULL;
        while (redisGetReplyFromReader(session->redis, &reply) == REDIS_OK && !reply)
                if (!flush_poll(session->flush, fd, POLLIN) || redisBufferRead(session->redis) != REDIS_OK)
                        return NULL;
        return reply;
}

/* NULL with an error: no answer, or an error for an answer. */
static redisReply *command(const Session *session, int n, const char **words, GError **error) {
        redisReply *reply = exchange(session, n, words);

        if (!reply)
                flush_fail(error, session->secrets, words[0],
                           flush_left(session->flush) == 0 ? "there was no more time" : session->redis->errstr);
        else if (reply->type == REDIS_REPLY_ERROR) {
                flush_fail(error, session->secrets, words[0], reply->str);
                freeReplyObject(reply);
                reply = NULL;
        }
        return reply;
}

static gboolean tell(const Session *session, int n, const char **words, GError **error) {
        redisReply *reply = command(session, n, words, error);

        if (!reply)
                return FALSE;
        freeReplyObject(reply);
        return TRUE;
}

static gboolean authenticate(const Session *session, const Address *address, GError **error) {
        g_autoptr(GError) why = NULL;

        if (!address->password)
                return TRUE;
        /* AUTH tells it to whoever answers. */
        if (!listener_check(session->redis->fd, session->flush->server_users, &why))
                return flush_fail(error, session->secrets, "cannot connect", why->message);
        if (!address->user)
                return tell(session, 2, (const char *[]) { "AUTH", address->password }, error);
        return tell(session, 3, (const char *[]) { "AUTH", address->user, address->password }, error);
}

/* NULL: it does not say. Caller frees. */
static char *info_value(const char *info, const char *name) {
        g_auto(GStrv) lines = g_strsplit(info, "\r\n", -1);
        g_autofree char *prefix = g_strconcat(name, ":", NULL);

        for (char **line = lines; *line; line++)
                if (g_str_has_prefix(*line, prefix))
                        return g_strdup(*line + strlen(prefix));
        return NULL;
}

typedef struct Persistence {
        gboolean saving, good;
        gint64 last; /* s since the epoch */
} Persistence;

static gboolean look(const Session *session, Persistence *ret, GError **error) {
        redisReply *reply = command(session, 2, (const char *[]) { "INFO", "persistence" }, error);
        g_autofree char *saving = NULL, *status = NULL, *last = NULL;
        guint64 saved;

        if (!reply)
                return FALSE;
        if (reply->type == REDIS_REPLY_STRING) {
                saving = info_value(reply->str, "rdb_bgsave_in_progress");
                status = info_value(reply->str, "rdb_last_bgsave_status");
                last = info_value(reply->str, "rdb_last_save_time");
        }
        freeReplyObject(reply);
        if (!saving || !status || !last || !g_ascii_string_to_unsigned(last, 10, 0, G_MAXINT64, &saved, NULL))
                return flush_fail(error, NULL, "INFO persistence", "it has another form than expected");
        *ret = (Persistence){ .saving = g_str_equal(saving, "1"),
                              .good = g_str_equal(status, "ok"),
                              .last = (gint64) saved };
        return TRUE;
}

static gboolean await_snapshot(const Session *session, Persistence *now, GError **error) {
        do {
                if (!look(session, now, error))
                        return FALSE;
                if (!now->saving)
                        return TRUE;
                g_usleep(MIN(LOOK_INTERVAL, (gulong) flush_left(session->flush) * USEC_PER_MSEC));
        } while (flush_left(session->flush) > 0);
        return flush_fail(error, NULL, "BGSAVE", "there was no more time");
}

/* What is under way began before now: it does not have what came since. */
static gboolean snapshot(const Session *session, GError **error) {
        g_autoptr(GError) ignored = NULL;
        Persistence now;

        if (!await_snapshot(session, &now, error))
                return FALSE;
        if (tell(session, 1, (const char *[]){ "BGSAVE" }, &ignored) && await_snapshot(session, &now, error) &&
            now.good) {
                (void) snooze_plugin_dictionary_set_string(session->flush->result, "command", "BGSAVE");
                return TRUE;
        }
        if (error && *error)
                return FALSE;
        /* It could not fork, or rewrites its log: then in front of everything, which nobody minds who is about to go.
         */
        if (!tell(session, 1, (const char *[]) { "SAVE" }, error))
                return FALSE;
        (void) snooze_plugin_dictionary_set_string(session->flush->result, "command", "SAVE");
        return TRUE;
}

static gboolean flush_redis(const Flush *flush, GError **error) {
        g_auto(Address) address = {};
        Session session = { .flush = flush };
        gboolean done;

        if (!parse(flush->connection, &address, error))
                return FALSE;
        session.secrets[0] = address.password ?: "";
        session.redis = open_connection(flush, &address, error);
        if (!session.redis)
                return FALSE;
        done = authenticate(&session, &address, error) && snapshot(&session, error);
        redisFree(session.redis);
        return done;
}

static const char *const users[] = { "redis", "valkey", NULL };

const Database database_redis = {
        .server_users = users, .on_low_disk = FALSE, .check = check, .flush = flush_redis
};
