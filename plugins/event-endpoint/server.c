/* SPDX-License-Identifier: Apache-2.0 */

#include "server.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <glib.h>
#include <microhttpd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define CLIENT_SIZE 64U
#define DISCARD_MAX (1024U * 1024U)

/* libmicrohttpd only times out who says nothing; who says a byte now and then is timed out by this list. */
typedef struct Connection {
        struct Connection *previous, *next;
        int fd;
        uint64_t until; /* monotonic µs */
        bool ended;
} Connection;

struct Server {
        ServerParameters with;
        struct MHD_Daemon *daemon;
        sd_event_source *io, *timer, *sweep;
        Connection *connections;
        GPtrArray *waiting; /* Request: suspended */
        bool ended;         /* a connection has, while it ran */
};

struct Request {
        Server *server;
        struct MHD_Connection *connection;
        char *path, *method;
        GString *body;
        char client[CLIENT_SIZE];
        struct MHD_Response *response; /* the answer, until it is sent */
        unsigned status;
        bool handed_on, suspended, too_large;
};

/* The loop */

static void run(Server *server);

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        run(userdata);
        return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        run(userdata);
        return 0;
}

static void arm(Server *server, uint64_t in) {
        (void) sd_event_source_set_time(server->timer, usec_add(clock_monotonic(), in));
        (void) sd_event_source_set_enabled(server->timer, SD_EVENT_ONESHOT);
}

static void run(Server *server) {
        MHD_UNSIGNED_LONG_LONG milliseconds;

        server->ended = false;
        (void) MHD_run(server->daemon);
        /* It hears no new connection while it has as many as it may, and looks only when it runs whether there is room
         * again. */
        if (server->ended)
                arm(server, 0);
        else if (MHD_get_timeout(server->daemon, &milliseconds) == MHD_YES)
                arm(server, (uint64_t) milliseconds * USEC_PER_MSEC);
        else
                (void) sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
}

/* Connections */

static int on_sweep(sd_event_source *source, uint64_t usec, void *userdata) {
        uint64_t now = clock_monotonic();
        Server *server = userdata;

        for (Connection *connection = server->connections; connection; connection = connection->next)
                if (!connection->ended && now >= connection->until) {
                        connection->ended = true;
                        (void) shutdown(connection->fd, SHUT_RDWR);
                }
        if (!server->connections)
                return 0;
        (void) sd_event_source_set_time(source, now + USEC_PER_SEC);
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void connection_begin(Server *server, struct MHD_Connection *handle, void **context) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
        Connection *connection = g_new0(Connection, 1);

        *connection = (Connection){
                .next = server->connections,
                .fd = info ? info->connect_fd : -1,
                .until = usec_add(clock_monotonic(), SERVER_CONNECTION_SECONDS * USEC_PER_SEC),
        };
        if (server->connections)
                server->connections->previous = connection;
        else {
                (void) sd_event_source_set_time(server->sweep, clock_monotonic() + USEC_PER_SEC);
                (void) sd_event_source_set_enabled(server->sweep, SD_EVENT_ONESHOT);
        }
        server->connections = connection;
        *context = connection;
}

static void connection_end(Server *server, void **context) {
        Connection *connection = *context;

        if (!connection)
                return;
        if (connection->previous)
                connection->previous->next = connection->next;
        else
                server->connections = connection->next;
        if (connection->next)
                connection->next->previous = connection->previous;
        g_free(connection);
        *context = NULL;
        server->ended = true;
}

static void on_connection(void *userdata, struct MHD_Connection *handle, void **context,
                          enum MHD_ConnectionNotificationCode code) {
        if (code == MHD_CONNECTION_NOTIFY_STARTED)
                connection_begin(userdata, handle, context);
        else
                connection_end(userdata, context);
}

/* Requests */

const char *request_path(const Request *request) {
        return request->path;
}

const char *request_method(const Request *request) {
        return request->method;
}

const char *request_header(const Request *request, const char *name) {
        return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_body(const Request *request, size_t *ret_size) {
        *ret_size = request->body->len;
        return request->body->str;
}

static void name_client(Request *request) {
        const union MHD_ConnectionInfo *info =
                MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
        socklen_t size = sizeof(address), credentials_size;
        struct ucred credentials;
        char host[48];

        (void) g_strlcpy(request->client, "somebody", CLIENT_SIZE);
        if (!info || getpeername(info->connect_fd, (struct sockaddr *) &address, &size) < 0)
                return;
        credentials_size = sizeof(credentials);
        if (address.ss_family == AF_UNIX) {
                if (getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &credentials, &credentials_size) >= 0)
                        (void) snprintf(request->client, CLIENT_SIZE, "user %u", (unsigned) credentials.uid);
        } else if (getnameinfo((struct sockaddr *) &address, size, host, sizeof(host), NULL, 0, NI_NUMERICHOST) == 0)
                (void) snprintf(request->client, CLIENT_SIZE, "address %s", host);
}

const char *request_client(Request *request) {
        if (!request->client[0])
                name_client(request);
        return request->client;
}

static void add_header(struct MHD_Response *response, const char *name, const char *value) {
        if (value)
                (void) MHD_add_response_header(response, name, value);
}

void request_answer(Request *request, const Answer *answer) {
        char seconds[16];

        if (request->response)
                return;
        request->status = answer->status;
        request->response =
                MHD_create_response_from_buffer(strlen(answer->body), (void *) answer->body, MHD_RESPMEM_MUST_COPY);
        if (!request->response)
                return;
        (void) snprintf(seconds, sizeof(seconds), "%u", answer->retry_after);
        add_header(request->response, "Content-Type", "application/json");
        add_header(request->response, "Connection", "close");
        add_header(request->response, "Cache-Control", "no-store");
        add_header(request->response, "Retry-After", answer->retry_after > 0 ? seconds : NULL);
        add_header(request->response, "Allow", answer->allow);
        add_header(request->response, "WWW-Authenticate", answer->authenticate);
        if (!request->suspended)
                return;
        request->suspended = false;
        (void) g_ptr_array_remove_fast(request->server->waiting, request);
        MHD_resume_connection(request->connection);
        arm(request->server, 0);
}

static enum MHD_Result send_answer(Request *request) {
        enum MHD_Result result;

        if (!request->response)
                return MHD_NO;
        result = MHD_queue_response(request->connection, request->status, request->response);
        MHD_destroy_response(request->response);
        request->response = NULL;
        return result;
}

static void answer_too_large(Request *request) {
        g_autofree char *body = g_strdup_printf("{\"error\":\"the body: expected at most %zu bytes\"}\n",
                                                request->server->with.body_max);

        request_answer(request, &(Answer){ .status = 413, .body = body });
}

static guint64 announced_size(const Request *request) {
        const char *length = request_header(request, "Content-Length");
        guint64 size = 0;

        return length && !g_ascii_string_to_unsigned(length, 10, 0, G_MAXUINT64, &size, NULL) ? G_MAXUINT64 : size;
}

/* A client that still sends learns of a closed connection before it reads the answer: what it sends is read to its
 * end, and not kept. */
static gboolean is_to_be_read(const Request *request) {
        return announced_size(request) <= DISCARD_MAX && !request_header(request, "Expect");
}

static enum MHD_Result begin(Server *server, struct MHD_Connection *connection, const char *path, const char *method,
                             void **context) {
        Request *request = g_new0(Request, 1);

        *request = (Request){
                .server = server,
                .connection = connection,
                .path = g_strdup(path),
                .method = g_strdup(method),
                .body = g_string_new(NULL),
        };
        *context = request;
        server->with.head(request, server->with.userdata);
        if (!request->response && announced_size(request) > server->with.body_max)
                answer_too_large(request);
        return request->response && !is_to_be_read(request) ? send_answer(request) : MHD_YES;
}

static enum MHD_Result add(Request *request, const char *data, size_t *size) {
        if (*size > request->server->with.body_max - request->body->len)
                request->too_large = true;
        else if (!request->too_large && !request->response)
                g_string_append_len(request->body, data, (gssize) *size);
        *size = 0;
        return MHD_YES;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **context) {
        Request *request = *context;
        Server *server = userdata;

        if (!request)
                return begin(server, connection, path, method, context);
        if (*size > 0)
                return add(request, data, size);
        if (!request->handed_on && !request->response) {
                request->handed_on = true;
                if (request->too_large)
                        answer_too_large(request);
                else
                        server->with.whole(request, server->with.userdata);
                if (!request->response) {
                        request->suspended = true;
                        g_ptr_array_add(server->waiting, request);
                        MHD_suspend_connection(connection);
                        return MHD_YES;
                }
        }
        return send_answer(request);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code) {
        Request *request = *context;
        Server *server = userdata;

        if (!request)
                return;
        *context = NULL;
        server->with.gone(request, server->with.userdata);
        (void) g_ptr_array_remove_fast(server->waiting, request);
        if (request->response)
                MHD_destroy_response(request->response);
        g_free(request->path);
        g_free(request->method);
        (void) g_string_free(request->body, TRUE);
        g_free(request);
}

/* Life */

/* Of paths: /events%00 is not /events, and nothing that has a % is ours. */
static size_t keep_escapes(void *userdata, struct MHD_Connection *connection, char *text) {
        return strlen(text);
}

static int add_sources(Server *server) {
        const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
        sd_event *event = server->with.event;
        int r;

        if (!info)
                return -EIO;
        r = sd_event_add_io(event, &server->io, info->epoll_fd, EPOLLIN, on_ready, server);
        if (r >= 0)
                r = sd_event_add_time(event, &server->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, server);
        if (r >= 0)
                r = sd_event_source_set_enabled(server->timer, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_time(event, &server->sweep, CLOCK_MONOTONIC, 0, 100 * USEC_PER_MSEC, on_sweep,
                                      server);
        return r < 0 ? r : sd_event_source_set_enabled(server->sweep, SD_EVENT_OFF);
}

int server_new(const ServerParameters *parameters, Server **ret) {
        Server *server = g_new0(Server, 1);
        int r;

        server->with = *parameters;
        server->waiting = g_ptr_array_new();
        server->daemon = MHD_start_daemon(
                MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET,
                parameters->fd, MHD_OPTION_CONNECTION_LIMIT, SERVER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                SERVER_SILENCE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t) SERVER_HEADERS_MAX,
                MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
                MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server,
                MHD_OPTION_END);
        if (!server->daemon) {
                /* It has closed the descriptor. */
                server_free(server);
                return -EIO;
        }
        r = add_sources(server);
        if (r < 0) {
                server_free(server);
                return r;
        }
        *ret = server;
        return 0;
}

void server_free(Server *server) {
        if (!server)
                return;
        while (server->waiting->len > 0)
                request_answer(g_ptr_array_index(server->waiting, 0),
                               &(Answer){ .status = 503,
                                          .body = "{\"error\":\"this plugin leaves; post it again\"}\n",
                                          .retry_after = 1 });
        if (server->daemon) {
                (void) MHD_run(server->daemon);
                MHD_stop_daemon(server->daemon);
        }
        sd_event_source_disable_unref(server->io);
        sd_event_source_disable_unref(server->timer);
        sd_event_source_disable_unref(server->sweep);
        g_ptr_array_unref(server->waiting);
        g_free(server);
}
