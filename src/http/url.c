/* SPDX-License-Identifier: Apache-2.0 */

/* URLs of a configuration, read by the same parser that will use them. */

#include <string.h>
#include <strings.h>

#include "http/private.h"

static bool has(CURLU *url, CURLUPart part) {
        char *text = NULL;
        bool there = curl_url_get(url, part, &text, 0) == CURLUE_OK;

        curl_free(text);
        return there;
}

bool http_url_fits(const char *text, bool with_credentials) {
        CURLU *url = curl_url();
        bool fits;

        fits = url && (strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0) &&
                curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK && has(url, CURLUPART_HOST) &&
                (with_credentials || (!has(url, CURLUPART_USER) && !has(url, CURLUPART_PASSWORD)));
        curl_url_cleanup(url);
        return fits;
}

char *http_url_host(const char *text) {
        CURLU *url = curl_url();
        char *host = NULL, *copy = NULL;

        if (url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
            curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK)
                copy = strdup(host);
        curl_free(host);
        curl_url_cleanup(url);
        return copy;
}
