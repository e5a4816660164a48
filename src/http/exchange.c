/* SPDX-License-Identifier: Apache-2.0 */

/* One request and what comes of it: attempts, the pauses between them, and the reply within its bound. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/names.h"
#include "http/private.h"

#define REPLY_FIRST 4096U

void exchange_free(HttpExchange *exchange) {
        HttpClient *client = exchange->client;

        client_withdraw(exchange);
        if (exchange->previous)
                exchange->previous->next = exchange->next;
        else
                client->exchanges = exchange->next;
        if (exchange->next)
                exchange->next->previous = exchange->previous;
        if (!exchange->telling)
                client->n_exchanges--;
        sd_event_source_disable_unref(exchange->pause);
        curl_easy_cleanup(exchange->easy);
        curl_slist_free_all(exchange->headers);
        free(exchange->body);
        free(exchange->reply);
        free(exchange);
}

HttpExchange *http_cancel(HttpExchange *exchange) {
        /* One that is just being told ends by itself. */
        if (exchange && !exchange->telling)
                exchange_free(exchange);
        return NULL;
}

const char *http_reply_header(const HttpReply *reply, const char *name) {
        struct curl_header *header;

        /* A reply that a caller made up is of none. */
        if (!reply->exchange ||
            curl_easy_header(reply->exchange->easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK)
                return NULL;
        return header->value;
}

bool http_reply_is_passing(const HttpReply *reply) {
        switch (reply->status) {
        case 408:
        case 429:
                return true;
        case 501: /* not implemented */
        case 505: /* version of HTTP not supported */
                return false;
        default:
                return reply->status >= 500 && reply->status <= 599;
        }
}

static bool again_by_default(const HttpReply *reply, void *userdata) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT || http_reply_is_passing(reply);
}

static HttpProblem problem_of(CURLcode code) {
        switch (code) {
        case CURLE_OK:
                return HTTP_ANSWERED;
        case CURLE_OPERATION_TIMEDOUT:
                return HTTP_TIMED_OUT;
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_INVALIDCERTSTATUS:
        case CURLE_USE_SSL_FAILED:
                return HTTP_UNTRUSTED;
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_BAD_FUNCTION_ARGUMENT:
        case CURLE_WEIRD_SERVER_REPLY:
        case CURLE_HTTP2:
        case CURLE_AUTH_ERROR:
                return HTTP_INVALID;
        default:
                return HTTP_UNREACHABLE;
        }
}

/* What libcurl says of a URL that it does not like repeats it, with the password. */
static bool tells_url(CURLcode code, const char *message) {
        return code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_URL_MALFORMAT ||
               code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_NOT_BUILT_IN || strchr(message, '@') ||
               strstr(message, "://");
}

static HttpReply reply_of(HttpExchange *exchange, CURLcode code) {
        HttpReply reply = {
                .problem = exchange->too_large ? HTTP_TOO_LARGE : problem_of(code),
                .message = "",
                .body = exchange->reply ?: "",
                .size = exchange->reply_size,
                .attempts = exchange->attempts,
                .exchange = exchange,
        };

        if (reply.problem == HTTP_ANSWERED)
                (void) curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &reply.status);
        else if (reply.problem == HTTP_TOO_LARGE)
                reply.message = "the reply is larger than allowed";
        else
                reply.message = exchange->problem[0] && !tells_url(code, exchange->problem) ? exchange->problem
                                                                                            : curl_easy_strerror(code);
        return reply;
}

/* Machines that were throttled together must not come back together. */
static uint64_t jitter(uint64_t pause) {
        uint32_t random = 0;

        (void) getrandom(&random, sizeof(random), GRND_NONBLOCK);
        return pause / 2 + (uint64_t) ((double) random / UINT32_MAX * (double) (pause / 2));
}

static uint64_t pause_before_next(const HttpExchange *exchange) {
        unsigned shift = exchange->attempts < 10 ? exchange->attempts - 1 : 9;
        uint64_t pause = jitter(HTTP_BACKOFF_FIRST << shift), most = HTTP_BACKOFF_MAX / USEC_PER_SEC;
        curl_off_t named = 0;

        /* Whoever names hours is not asked sooner than one who names the bound. */
        if (curl_easy_getinfo(exchange->easy, CURLINFO_RETRY_AFTER, &named) == CURLE_OK && named > 0)
                return clock_pause(((uint64_t) named < most ? (uint64_t) named : most) * USEC_PER_SEC +
                                   jitter(HTTP_BACKOFF_FIRST));
        return clock_pause(pause < HTTP_BACKOFF_MAX ? pause : HTTP_BACKOFF_MAX);
}

/* Of an attempt: none goes on beyond the end of all of them. libcurl takes 0 for no bound. */
static long timeout_milliseconds(const HttpExchange *exchange) {
        uint64_t timeout = exchange->timeout, left;

        if (exchange->deadline > 0) {
                left = usec_sub(exchange->deadline, clock_monotonic());
                timeout = left < timeout ? left : timeout;
        }
        return timeout < USEC_PER_MSEC ? 1 : (long) (timeout / USEC_PER_MSEC);
}

static int attempt(HttpExchange *exchange) {
        if (curl_easy_setopt(exchange->easy, CURLOPT_TIMEOUT_MS, timeout_milliseconds(exchange)) != CURLE_OK)
                return -EINVAL;
        exchange->attempts++;
        exchange->problem[0] = 0;
        exchange->reply_size = 0;
        exchange->too_large = false;
        if (exchange->reply)
                exchange->reply[0] = 0;
        return client_start(exchange);
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata) {
        HttpExchange *exchange = userdata;
        HttpClient *client = exchange->client;

        exchange->pause = sd_event_source_disable_unref(exchange->pause);
        client_enter(client);
        if (attempt(exchange) < 0)
                exchange_ended(exchange, CURLE_FAILED_INIT);
        client_leave(client);
        return 0;
}

/* true: there will be another attempt. */
static bool try_again(HttpExchange *exchange, const HttpReply *reply) {
        HttpAgain again = exchange->again ?: again_by_default;
        uint64_t when;

        if (exchange->attempts >= exchange->attempts_max || !again(reply, exchange->userdata))
                return false;
        when = usec_add(clock_monotonic(), pause_before_next(exchange));
        if (exchange->deadline > 0 && when >= exchange->deadline)
                return false;
        return sd_event_add_time(exchange->client->event, &exchange->pause, CLOCK_MONOTONIC, when, USEC_PER_MSEC,
                                 on_pause_over, exchange) >= 0;
}

void exchange_ended(HttpExchange *exchange, CURLcode code) {
        HttpReply reply = reply_of(exchange, code);

        if (try_again(exchange, &reply))
                return;
        /* Who is told may send the next one, which has its place. */
        exchange->telling = true;
        exchange->client->n_exchanges--;
        exchange->done(&reply, exchange->userdata);
        exchange_free(exchange);
}

/* Of libcurl: a piece of the reply. */
static size_t take_body(char *data, size_t unit, size_t n, void *userdata) {
        HttpExchange *exchange = userdata;
        size_t size = unit * n;
        char *larger;

        if (size > exchange->reply_max - exchange->reply_size) {
                exchange->too_large = true;
                return 0;
        }
        if (exchange->reply_size + size + 1 > exchange->reply_capacity) {
                size_t capacity = exchange->reply_capacity ?: REPLY_FIRST;

                while (capacity < exchange->reply_size + size + 1)
                        capacity *= 2;
                larger = realloc(exchange->reply, capacity);
                if (!larger)
                        return 0;
                exchange->reply = larger;
                exchange->reply_capacity = capacity;
        }
        memcpy(exchange->reply + exchange->reply_size, data, size);
        exchange->reply_size += size;
        exchange->reply[exchange->reply_size] = 0;
        return size;
}

static bool is_one_line(const char *text) {
        return !strpbrk(text, "\r\n");
}

static bool request_fits(const HttpRequest *request) {
        if (!request->url ||
            (strncasecmp(request->url, "http://", 7) != 0 && strncasecmp(request->url, "https://", 8) != 0) ||
            !is_one_line(request->url) || (request->method && !is_one_line(request->method)))
                return false;
        for (const char *const *header = request->headers; header && *header; header++)
                if (!is_one_line(*header) || !strchr(*header, ':'))
                        return false;
        return true;
}

static int copy_headers(HttpExchange *exchange, const HttpRequest *request) {
        for (const char *const *header = request->headers; header && *header; header++) {
                struct curl_slist *longer = curl_slist_append(exchange->headers, *header);

                if (!longer)
                        return -ENOMEM;
                exchange->headers = longer;
        }
        return 0;
}

static int copy_body(HttpExchange *exchange, const HttpRequest *request) {
        exchange->body = malloc(request->body_size + 1);
        if (!exchange->body)
                return -ENOMEM;
        memcpy(exchange->body, request->body, request->body_size);
        exchange->body[request->body_size] = 0;
        return 0;
}

#define SET(option, value)                                                     \
        do {                                                                   \
                if (curl_easy_setopt(exchange->easy, (option), (value)) != CURLE_OK) \
                        return -EINVAL;                                        \
        } while (0)

static int set_route(HttpExchange *exchange, const HttpRequest *request) {
        if (request->direct) {
                SET(CURLOPT_PROXY, "");
                SET(CURLOPT_NOPROXY, "*");
        } else if (request->proxy)
                SET(CURLOPT_PROXY, request->proxy);
        if (request->ca_file)
                SET(CURLOPT_CAINFO, request->ca_file);
        return 0;
}

static int set_request(HttpExchange *exchange, const HttpRequest *request) {
        SET(CURLOPT_URL, request->url);
        SET(CURLOPT_HTTPHEADER, exchange->headers);
        if (exchange->body) {
                SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_size);
                SET(CURLOPT_POSTFIELDS, exchange->body);
        }
        if (request->method)
                SET(CURLOPT_CUSTOMREQUEST, request->method);
        if (request->signature) {
                SET(CURLOPT_AWS_SIGV4, request->signature);
                SET(CURLOPT_USERPWD, request->credentials ?: "");
        }
        return 0;
}

static int set_options(HttpExchange *exchange, const HttpRequest *request) {
        SET(CURLOPT_PRIVATE, exchange);
        SET(CURLOPT_ERRORBUFFER, exchange->problem);
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
        SET(CURLOPT_NETRC, (long) CURL_NETRC_IGNORED);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_TCP_KEEPALIVE, 1L);
        SET(CURLOPT_USERAGENT, "cloudsnooze/" PACKAGE_VERSION);
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long) (HTTP_CONNECT_TIMEOUT / USEC_PER_MSEC));
        SET(CURLOPT_WRITEFUNCTION, take_body);
        SET(CURLOPT_WRITEDATA, exchange);
        return 0;
}

static int prepare(HttpExchange *exchange, const HttpRequest *request) {
        int r;

        exchange->easy = curl_easy_init();
        if (!exchange->easy)
                return -ENOMEM;
        r = copy_headers(exchange, request);
        if (r >= 0 && request->body)
                r = copy_body(exchange, request);
        if (r >= 0)
                r = set_options(exchange, request);
        if (r >= 0)
                r = set_request(exchange, request);
        if (r >= 0)
                r = set_route(exchange, request);
        return r < 0 ? r : attempt(exchange);
}

int http_send(HttpClient *client, const HttpRequest *request, HttpDone done, void *userdata, HttpExchange **ret) {
        HttpExchange *exchange;
        int r;

        if (!request_fits(request))
                return -EINVAL;
        if (client->n_exchanges >= HTTP_EXCHANGES_MAX)
                return -ENOBUFS;
        exchange = calloc(1, sizeof(HttpExchange));
        if (!exchange)
                return -ENOMEM;
        *exchange = (HttpExchange) {
                .client = client,
                .next = client->exchanges,
                .reply_max = request->reply_max ?: HTTP_REPLY_MAX,
                .attempts_max = request->attempts ?: 1,
                .timeout = request->timeout ?: clock_bound(HTTP_TIMEOUT),
                .deadline = request->patience ? usec_add(clock_monotonic(), request->patience) : 0,
                .again = request->again,
                .done = done,
                .userdata = userdata,
        };
        if (client->exchanges)
                client->exchanges->previous = exchange;
        client->exchanges = exchange;
        client->n_exchanges++;
        r = prepare(exchange, request);
        if (r < 0) {
                exchange_free(exchange);
                return r;
        }
        if (ret)
                *ret = exchange;
        return 0;
}
