/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/text.h"

#include <string.h>
#include <time.h>

#include <curl/curl.h>

#include "base/clock.h"
#include "util/json.h"

bool text_consists_of(const char *text, const char *characters, size_t most) {
        size_t length = text ? strlen(text) : 0;

        return length > 0 && length <= most && strspn(text, characters) == length;
}

bool text_is_plain(const char *text, size_t most) {
        size_t length = text ? strlen(text) : 0;

        for (size_t i = 0; i < length; i++)
                if (!g_ascii_isgraph(text[i]))
                        return false;
        return length > 0 && length <= most;
}

void text_erase(char *text) {
        if (text)
                explicit_bzero(text, strlen(text));
        g_free(text);
}

uint64_t text_time(const char *text) {
        g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, utc);
        gint64 seconds = time ? g_date_time_to_unix(time) : (gint64) curl_getdate(text, NULL);

        return seconds > 0 ? (uint64_t) seconds * USEC_PER_SEC : 0;
}

JsonNode *text_parse_object(const char *name, const char *text, char **ret_problem) {
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = json_text_parse(name, text, -1, &error);

        if (node && JSON_NODE_HOLDS_OBJECT(node))
                return g_steal_pointer(&node);
        if (ret_problem)
                *ret_problem = error ? g_strdup(error->message) : g_strdup_printf("%s is no object", name);
        return NULL;
}
