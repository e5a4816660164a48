/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the client, which drives libcurl, and its exchanges. */

#include <curl/curl.h>

#include "http/http.h"

typedef struct HttpSocket HttpSocket;

struct HttpClient {
        sd_event *event;
        CURLM *multi;
        sd_event_source *timer;
        HttpSocket *sockets;
        HttpExchange *exchanges;
        unsigned n_exchanges;
        unsigned depth; /* of calls that still look at it */
        bool freed;
};

struct HttpExchange {
        HttpClient *client;
        HttpExchange *previous, *next;
        CURL *easy;
        struct curl_slist *headers;
        char *body;
        char problem[CURL_ERROR_SIZE];
        char *reply;
        size_t reply_size, reply_capacity, reply_max;
        bool too_large;
        unsigned attempts, attempts_max;
        uint64_t timeout;  /* of an attempt, µs */
        uint64_t deadline; /* monotonic; 0: none */
        HttpAgain again;
        HttpDone done;
        void *userdata;
        sd_event_source *pause;
        bool running; /* with libcurl */
        bool telling; /* within done, and not counted any more */
};

/* client.c: gives it to libcurl. */
int client_start(HttpExchange *exchange);
void client_withdraw(HttpExchange *exchange);
/* Around what may call others, who may free the client: it stays until the last one has left. */
void client_enter(HttpClient *client);
void client_leave(HttpClient *client);

/* exchange.c: libcurl is done with it. */
void exchange_ended(HttpExchange *exchange, CURLcode code);
void exchange_free(HttpExchange *exchange);
