/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* HTTP for those who post: libmicrohttpd on sd-event, without a thread. One request for each connection, whose size,
 * time and number are bounded; what is asked for is handed on, and answered now or later. */

#include <stdbool.h>
#include <stddef.h>

#include <systemd/sd-event.h>

#define SERVER_CONNECTIONS_MAX 32U
/* Of all headers of a request, and the buffers for it. */
#define SERVER_HEADERS_MAX 16384U
/* Without a word, and in all. */
#define SERVER_SILENCE_SECONDS 10U
#define SERVER_CONNECTION_SECONDS 30U

typedef struct Server Server;
typedef struct Request Request;

typedef struct ServerParameters {
        sd_event *event;
        int fd;          /* that is listened on; the server's from here on */
        size_t body_max; /* what is more is answered 413 */

        /* The headers are there, the body is not: refuse by request_answer(), or do nothing. */
        void (*head)(Request *request, void *userdata);
        /* All is there. request_answer() now or later. */
        void (*whole)(Request *request, void *userdata);
        /* It is over, answered or not, and gone after this. */
        void (*gone)(Request *request, void *userdata);
        void *userdata;
} ServerParameters;

/* 0 or a negative errno. */
int server_new(const ServerParameters *parameters, Server **ret);
/* Requests that wait are answered 503 as far as that goes. NULL is fine. */
void server_free(Server *server);

const char *request_path(const Request *request);
const char *request_method(const Request *request);
/* NULL: there is none. */
const char *request_header(const Request *request, const char *name);
/* NUL-terminated after size bytes. */
const char *request_body(const Request *request, size_t *ret_size);
/* Who it is, in words that stay the same: a user of this machine, or an address. Borrowed. */
const char *request_client(Request *request);

typedef struct Answer {
        unsigned status;
        const char *body;         /* JSON; copied */
        unsigned retry_after;     /* seconds; 0: nothing is said */
        const char *allow;        /* methods, of 405 */
        const char *authenticate; /* scheme, of 401 */
} Answer;

void request_answer(Request *request, const Answer *answer);
