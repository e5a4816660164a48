/* SPDX-License-Identifier: Apache-2.0 */

/* libcurl's multi interface on sd-event: libcurl says which sockets and which moment it waits for, the loop tells it
 * when they are there, and what has ended is told. Nothing is told from within libcurl. */

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "http/private.h"

struct HttpSocket {
        HttpClient *client;
        HttpSocket *previous, *next;
        curl_socket_t fd;
        sd_event_source *source;
};

static void socket_free(HttpSocket *socket) {
        if (socket->previous)
                socket->previous->next = socket->next;
        else
                socket->client->sockets = socket->next;
        if (socket->next)
                socket->next->previous = socket->previous;
        sd_event_source_disable_unref(socket->source);
        free(socket);
}

static void client_destroy(HttpClient *client) {
        while (client->exchanges)
                exchange_free(client->exchanges);
        /* Closes what is kept open, and says so for each. */
        curl_multi_cleanup(client->multi);
        while (client->sockets)
                socket_free(client->sockets);
        sd_event_source_disable_unref(client->timer);
        sd_event_unref(client->event);
        free(client);
}

void client_enter(HttpClient *client) {
        client->depth++;
}

void client_leave(HttpClient *client) {
        client->depth--;
        if (client->freed && client->depth == 0)
                client_destroy(client);
}

static void tell_ended(HttpClient *client) {
        CURLMsg *message;
        int left;

        while (!client->freed && (message = curl_multi_info_read(client->multi, &left))) {
                HttpExchange *exchange = NULL;
                CURLcode code;

                if (message->msg != CURLMSG_DONE)
                        continue;
                code = message->data.result;
                (void) curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **) &exchange);
                client_withdraw(exchange);
                exchange_ended(exchange, code);
        }
}

static int act(HttpClient *client, curl_socket_t fd, int events) {
        int running;

        client_enter(client);
        (void) curl_multi_socket_action(client->multi, fd, events, &running);
        tell_ended(client);
        client_leave(client);
        return 0;
}

static int on_socket(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        HttpSocket *socket = userdata;
        int events = 0;

        if (revents & EPOLLIN)
                events |= CURL_CSELECT_IN;
        if (revents & EPOLLOUT)
                events |= CURL_CSELECT_OUT;
        if (revents & (EPOLLERR | EPOLLHUP))
                events |= CURL_CSELECT_ERR;
        return act(socket->client, socket->fd, events);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        return act(userdata, CURL_SOCKET_TIMEOUT, 0);
}

static uint32_t epoll_events(int what) {
        return what == CURL_POLL_IN    ? EPOLLIN
                : what == CURL_POLL_OUT ? EPOLLOUT
                                        : EPOLLIN | EPOLLOUT;
}

static int socket_add(HttpClient *client, curl_socket_t fd, int what) {
        HttpSocket *socket = calloc(1, sizeof(HttpSocket));
        int r;

        if (!socket)
                return -1;
        *socket = (HttpSocket) { .client = client, .fd = fd, .next = client->sockets };
        r = sd_event_add_io(client->event, &socket->source, fd, epoll_events(what), on_socket, socket);
        if (r < 0) {
                free(socket);
                return -1;
        }
        if (client->sockets)
                client->sockets->previous = socket;
        client->sockets = socket;
        (void) curl_multi_assign(client->multi, fd, socket);
        return 0;
}

/* Of libcurl: what it waits for on a socket has changed. */
static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *userdata, void *assigned) {
        HttpSocket *socket = assigned;

        if (what == CURL_POLL_REMOVE) {
                if (socket)
                        socket_free(socket);
                return 0;
        }
        if (!socket)
                return socket_add(userdata, fd, what);
        return sd_event_source_set_io_events(socket->source, epoll_events(what)) < 0 ? -1 : 0;
}

/* Of libcurl: when it wants to be called without an event; -1: not. */
static int timer_changed(CURLM *multi, long milliseconds, void *userdata) {
        HttpClient *client = userdata;
        uint64_t when;

        if (milliseconds < 0)
                return sd_event_source_set_enabled(client->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
        when = usec_add(clock_monotonic(), (uint64_t) milliseconds * USEC_PER_MSEC);
        if (sd_event_source_set_time(client->timer, when) < 0 ||
            sd_event_source_set_enabled(client->timer, SD_EVENT_ONESHOT) < 0)
                return -1;
        return 0;
}

int http_client_new(sd_event *event, HttpClient **ret) {
        HttpClient *client;
        int r;

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
                return -EIO;
        client = calloc(1, sizeof(HttpClient));
        if (!client)
                return -ENOMEM;
        client->event = sd_event_ref(event);
        client->multi = curl_multi_init();
        if (!client->multi) {
                sd_event_unref(client->event);
                free(client);
                return -ENOMEM;
        }
        r = sd_event_add_time(event, &client->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, client);
        if (r >= 0)
                r = sd_event_source_set_enabled(client->timer, SD_EVENT_OFF);
        if (r < 0) {
                client_destroy(client);
                return r;
        }
        (void) curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
        (void) curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
        (void) curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, timer_changed);
        (void) curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
        *ret = client;
        return 0;
}

HttpClient *http_client_free(HttpClient *client) {
        if (!client)
                return NULL;
        client->freed = true;
        client_enter(client);
        client_leave(client);
        return NULL;
}

int client_start(HttpExchange *exchange) {
        if (curl_multi_add_handle(exchange->client->multi, exchange->easy) != CURLM_OK)
                return -EIO;
        exchange->running = true;
        return 0;
}

void client_withdraw(HttpExchange *exchange) {
        if (exchange->running)
                (void) curl_multi_remove_handle(exchange->client->multi, exchange->easy);
        exchange->running = false;
}
