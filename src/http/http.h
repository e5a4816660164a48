/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* HTTP for plugins and providers, without waiting: libcurl's multi interface on sd-event. Everything is bounded (time
 * of an attempt and of all of them, size of a reply, exchanges at once), certificates are always verified, no redirect
 * is followed (it would take credentials elsewhere), connections are kept and used again. What may be tried again is,
 * with back-off and jitter. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-event.h>

typedef struct HttpClient HttpClient;
typedef struct HttpExchange HttpExchange;

/* What came of an exchange besides its status. */
typedef enum HttpProblem {
        HTTP_ANSWERED,    /* there is a status, whichever */
        HTTP_UNREACHABLE, /* no address, no connection, or it broke: the request may have arrived all the same */
        HTTP_TIMED_OUT,
        HTTP_UNTRUSTED,   /* the certificate, or the TLS that is spoken */
        HTTP_TOO_LARGE,   /* a reply beyond reply_max */
        HTTP_INVALID,     /* a URL or header that cannot be sent, or a reply that is no HTTP */
} HttpProblem;

typedef struct HttpReply {
        HttpProblem problem;
        const char *message; /* what the problem was, for people; "" where there is none. Without credentials */
        long status;         /* 0 unless answered */
        const char *body;    /* NUL-terminated after size bytes; never NULL */
        size_t size;
        unsigned attempts;   /* that were made, this one included */
        HttpExchange *exchange; /* NULL in one that a caller made up, for what could not be sent */
} HttpReply;

/* The value of a header of the reply (the last of several), NULL where there is none. Borrowed from the reply. */
const char *http_reply_header(const HttpReply *reply, const char *name);

/* What is worth another attempt, beside what the network did: true for 408 and 429, and for the server's
 * own failures (500 to 599) but for what it will never do: 501 and 505. */
bool http_reply_is_passing(const HttpReply *reply);

/* May the same request be sent again? Called for each reply but that of the last attempt. */
typedef bool (*HttpAgain)(const HttpReply *reply, void *userdata);

/* Called once, never from within http_send(); the reply is gone when it returns. */
typedef void (*HttpDone)(const HttpReply *reply, void *userdata);

typedef struct HttpRequest {
        const char *method;         /* NULL: GET, or POST where there is a body */
        const char *url;            /* http or https, without credentials */
        const char *const *headers; /* "Name: value", ends with NULL; may be NULL. Signed where the request is: none
                                       that is not sent */
        const char *body;           /* may be NULL */
        size_t body_size;           /* of a body */

        bool direct;                /* past every proxy */
        const char *proxy;          /* where not direct: its URL; NULL: what https_proxy and the like say */
        const char *ca_file;        /* certificates to trust; NULL: the system's */

        /* AWS Signature Version 4 by libcurl: "aws:amz:REGION:SERVICE", and "KEY:SECRET". */
        const char *signature;
        const char *credentials;

        uint64_t timeout;           /* of an attempt, µs; 0: HTTP_TIMEOUT */
        size_t reply_max;           /* 0: HTTP_REPLY_MAX */
        unsigned attempts;          /* at most; 0: one, for what must not be repeated blindly */
        uint64_t patience;          /* of all attempts together, µs; 0: no bound beside attempts */
        HttpAgain again;            /* NULL: network faults, time-outs and http_reply_is_passing() */
} HttpRequest;

#define HTTP_TIMEOUT UINT64_C(10000000)
#define HTTP_CONNECT_TIMEOUT UINT64_C(5000000)
#define HTTP_REPLY_MAX (1024U * 1024U)
#define HTTP_EXCHANGES_MAX 64U
/* The first pause between attempts is half to all of the first figure, the next twice as long, up to the last. A
 * server that names a pause (Retry-After) gets it, up to the same bound, and half to all of the first figure more. */
#define HTTP_BACKOFF_FIRST UINT64_C(500000)
#define HTTP_BACKOFF_MAX UINT64_C(30000000)

/* 0 or a negative errno. */
int http_client_new(sd_event *event, HttpClient **ret);
/* Every exchange ends without being told. NULL is fine; may be called from within a done. */
HttpClient *http_client_free(HttpClient *client);

/* The request is copied. ret may be NULL; the exchange is gone after done. 0 or a negative errno: EINVAL for a request
 * that is wrong, ENOBUFS for HTTP_EXCHANGES_MAX under way. */
int http_send(HttpClient *client, const HttpRequest *request, HttpDone done, void *userdata, HttpExchange **ret);

/* Is this a URL that can be asked, http or https with a host? with_credentials: it may have a user and a password, as
 * that of a proxy may; messages do not show it then. */
bool http_url_fits(const char *text, bool with_credentials);

/* The host of a URL, as it will be asked; NULL where there is none. Caller frees. */
char *http_url_host(const char *text);

/* Ends it without telling anybody. NULL is fine. Returns NULL. */
HttpExchange *http_cancel(HttpExchange *exchange);
