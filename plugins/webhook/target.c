/* SPDX-License-Identifier: Apache-2.0 */

#include "target.h"

#include <string.h>

#include <curl/curl.h>

#include "signature.h"
#include "util/host.h"

#define HEADER_MAX 4096U

static char *part_of(CURLU *handle, CURLUPart part) {
        char *text = NULL, *copy;

        if (curl_url_get(handle, part, &text, 0) != CURLUE_OK)
                return NULL;
        copy = g_strdup(text);
        curl_free(text);
        return copy;
}

static char *wrong(GError **error, const char *what) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, what);
        return NULL;
}

static char *name_of(CURLU *handle, gboolean *ret_loopback, GError **error) {
        g_autofree char *scheme = part_of(handle, CURLUPART_SCHEME), *host = part_of(handle, CURLUPART_HOST);
        g_autofree char *port = part_of(handle, CURLUPART_PORT), *user = part_of(handle, CURLUPART_USER);

        if (!scheme || !host || !*host)
                return wrong(error, "expected https://HOST[:PORT]/PATH");
        if (user)
                return wrong(error, "expected no user name: say who you are in headers");
        *ret_loopback = host_is_loopback(host);
        if (!g_str_equal(scheme, "https") && !(g_str_equal(scheme, "http") && *ret_loopback))
                return wrong(error, "expected https://; http:// only to this machine itself");
        return g_strconcat(scheme, "://", host, port ? ":" : NULL, port, NULL);
}

char *target_name(const char *url, gboolean *ret_loopback, GError **error) {
        CURLU *handle = curl_url();
        char *name;

        if (handle && curl_url_set(handle, CURLUPART_URL, url, 0) == CURLUE_OK)
                name = name_of(handle, ret_loopback, error);
        else
                name = wrong(error, "expected https://HOST[:PORT]/PATH");
        curl_url_cleanup(handle);
        return name;
}

gboolean headers_have(const char *const *headers, const char *name) {
        for (; headers && *headers; headers++)
                if (g_ascii_strncasecmp(*headers, name, strlen(name)) == 0 && (*headers)[strlen(name)] == ':')
                        return TRUE;
        return FALSE;
}

gboolean header_valid(const char *header, GError **error) {
        static const char *const own[] = { "Host",
                                           "Content-Length",
                                           "Transfer-Encoding",
                                           "Connection",
                                           "Expect",
                                           "Idempotency-Key",
                                           SIGNATURE_ID_HEADER,
                                           SIGNATURE_TIMESTAMP_HEADER,
                                           SIGNATURE_HEADER,
                                           NULL };
        /* A token of RFC 9110. */
        size_t length =
                strspn(header, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

        if (length == 0 || header[length] != ':' || strlen(header) > HEADER_MAX)
                return wrong(error, "expected “Name: value”") != NULL;
        for (const char *c = header; *c; c++)
                if (g_ascii_iscntrl(*c) && *c != '\t')
                        return wrong(error, "expected one line without control characters") != NULL;
        if (strspn(header + length + 1, " \t") == strlen(header + length + 1))
                return wrong(error, "expected a value behind the name") != NULL;
        for (const char *const *name = own; *name; name++)
                if (headers_have((const char *const[]){ header, NULL }, *name)) {
                        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "%s is set by this plugin", *name);
                        return FALSE;
                }
        return TRUE;
}
