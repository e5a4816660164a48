/* SPDX-License-Identifier: Apache-2.0 */

#include "smtp.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "util/host.h"

#define ATTEMPTS 3U
#define PAUSE USEC_PER_SEC
#define CONNECT_TIMEOUT_MS 5000L
#define LOOK_TIMEOUT_MS 1000L

static pthread_once_t once = PTHREAD_ONCE_INIT;

static gboolean wrong(GError **error, const char *what) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, what);
        return FALSE;
}

static char *part_of(const char *url, CURLUPart part) {
        CURLU *handle = curl_url();
        char *text = NULL, *copy = NULL;

        if (handle && curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK &&
            curl_url_get(handle, part, &text, 0) == CURLUE_OK)
                copy = g_strdup(text);
        curl_free(text);
        curl_url_cleanup(handle);
        return copy;
}

gboolean smtp_url_valid(const char *url, GError **error) {
        g_autofree char *scheme = part_of(url, CURLUPART_SCHEME), *host = part_of(url, CURLUPART_HOST),
                        *path = part_of(url, CURLUPART_PATH);
        g_autofree char *query = part_of(url, CURLUPART_QUERY), *fragment = part_of(url, CURLUPART_FRAGMENT);

        if (!scheme || !host || !*host || !(g_str_has_prefix(url, "smtp://") || g_str_has_prefix(url, "smtps://")))
                return wrong(error, "expected smtp://HOST[:PORT] or smtps://HOST[:PORT]");
        if ((path && strlen(path) > 1) || query || fragment)
                return wrong(error, "expected nothing behind host and port");
        return TRUE;
}

gboolean smtp_url_is_local(const char *url) {
        g_autofree char *host = part_of(url, CURLUPART_HOST);

        return host && host_is_loopback(host);
}

typedef struct Text {
        const char *rest;
} Text;

static size_t on_read(char *buffer, size_t size, size_t n, void *userdata) {
        Text *text = userdata;
        size_t length = MIN(strlen(text->rest), size * n);

        memcpy(buffer, text->rest, length);
        text->rest += length;
        return length;
}

static void prepare(void) {
        (void) curl_global_init(CURL_GLOBAL_DEFAULT);
}

static CURL *connection_new(const char *url, const char *protocols) {
        CURL *curl = curl_easy_init();

        if (!curl)
                return NULL;
        curl_easy_setopt(curl, CURLOPT_URL, url);
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, protocols);
        curl_easy_setopt(curl, CURLOPT_PROXY, "");
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
        return curl;
}

static CURLcode attempt(const char *url, const char *from, struct curl_slist *recipients, const char *message,
                        uint64_t deadline, long *ret_status) {
        g_autofree char *sender = g_strdup_printf("<%s>", from);
        uint64_t left = usec_sub(deadline, clock_monotonic()) / USEC_PER_MSEC;
        Text text = { message };
        CURLcode code;
        CURL *curl;

        if (left == 0)
                return CURLE_OPERATION_TIMEDOUT;
        curl = connection_new(url, "smtp,smtps");
        if (!curl)
                return CURLE_OUT_OF_MEMORY;
        curl_easy_setopt(curl, CURLOPT_USE_SSL,
                         smtp_url_is_local(url) ? (long) CURLUSESSL_NONE : (long) CURLUSESSL_ALL);
        curl_easy_setopt(curl, CURLOPT_MAIL_FROM, sender);
        curl_easy_setopt(curl, CURLOPT_MAIL_RCPT, recipients);
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_read);
        curl_easy_setopt(curl, CURLOPT_READDATA, &text);
        curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long) MIN(left, (uint64_t) INT_MAX));
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
        code = curl_easy_perform(curl);
        (void) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
        curl_easy_cleanup(curl);
        return code;
}

/* By a protocol of which curl says nothing by itself: the connection is made, and closed. */
gboolean smtp_is_served(const char *url) {
        g_autofree char *host = part_of(url, CURLUPART_HOST), *port = part_of(url, CURLUPART_PORT),
                        *where = g_strdup_printf("http://%s:%s", host ?: "", port ?: "25");
        CURLcode code;
        CURL *curl;

        (void) pthread_once(&once, prepare);
        curl = connection_new(where, "http");
        if (!curl)
                return FALSE;
        curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, LOOK_TIMEOUT_MS);
        code = curl_easy_perform(curl);
        curl_easy_cleanup(curl);
        return code == CURLE_OK;
}

static gboolean is_passing(CURLcode code, long status) {
        return (status >= 400 && status < 500) || code == CURLE_COULDNT_CONNECT ||
               code == CURLE_COULDNT_RESOLVE_HOST || code == CURLE_SEND_ERROR || code == CURLE_RECV_ERROR ||
               code == CURLE_GOT_NOTHING;
}

gboolean smtp_send(const char *url, const char *from, const char *const *recipients, const char *message,
                   uint64_t deadline, GError **error) {
        struct curl_slist *list = NULL;
        CURLcode code = CURLE_OK;
        long status = 0;

        (void) pthread_once(&once, prepare);
        for (; *recipients; recipients++) {
                g_autofree char *recipient = g_strdup_printf("<%s>", *recipients);

                list = curl_slist_append(list, recipient);
        }
        for (unsigned i = 1; i <= ATTEMPTS; i++) {
                status = 0;
                code = attempt(url, from, list, message, deadline, &status);
                if (code == CURLE_OK || !is_passing(code, status) ||
                    usec_sub(deadline, clock_monotonic()) <= i * PAUSE)
                        break;
                if (i < ATTEMPTS)
                        g_usleep((gulong) (i * PAUSE));
        }
        curl_slist_free_all(list);
        if (code == CURLE_OK)
                return TRUE;
        if (status >= 400)
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "the mail server answered %ld: %s", status,
                            curl_easy_strerror(code));
        else
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "the mail server: %s", curl_easy_strerror(code));
        return FALSE;
}
