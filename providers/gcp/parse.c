/* SPDX-License-Identifier: Apache-2.0 */

#include "parse.h"

#include <string.h>

#include "base/clock.h"
#include "cloud/text.h"
#include "util/json.h"

#define NAME_LENGTH_MAX 255U
#define TOKEN_MAX 8192U
#define LIFETIME_MAX 86400
#define ETAG_MAX 64U

void identity_free(void *data) {
        Identity *identity = data;

        g_free(identity->id);
        g_free(identity->name);
        g_free(identity->zone);
        g_free(identity->project);
        g_free(identity->type);
        g_free(identity->universe);
        g_free(identity);
}

const char *last_part(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

char *parse_name(const char *text, const char *characters) {
        g_autofree char *trimmed = g_strstrip(g_strdup(last_part(text)));

        return text_consists_of(trimmed, characters, NAME_LENGTH_MAX) ? g_steal_pointer(&trimmed) : NULL;
}

/* One of the objects in a list has this text. */
static bool has_element(JsonArray *array, const char *member, const char *text) {
        for (guint i = 0; array && i < json_array_get_length(array); i++) {
                JsonNode *element = json_array_get_element(array, i);

                if (JSON_NODE_HOLDS_OBJECT(element) &&
                    g_str_equal(json_get_string(json_node_get_object(element), member, ""), text))
                        return true;
        }
        return false;
}

bool parse_has_local_ssd(const char *text) {
        g_autoptr(JsonNode) node = json_text_parse("disks", text, -1, NULL);

        return node && JSON_NODE_HOLDS_ARRAY(node) && has_element(json_node_get_array(node), "type", "LOCAL-SSD");
}

bool parse_token(const char *text, AccessToken *ret) {
        g_autoptr(JsonNode) node = text_parse_object("token", text, NULL);
        JsonObject *object = node ? json_node_get_object(node) : NULL;
        const char *token = object ? json_get_string(object, "access_token", "") : "";
        gint64 seconds = object ? json_get_int(object, "expires_in", 0) : 0;

        if (!text_is_plain(token, TOKEN_MAX) || seconds <= 0 || seconds > LIFETIME_MAX ||
            g_ascii_strcasecmp(json_get_string(object, "token_type", ""), "Bearer") != 0)
                return false;
        *ret = (AccessToken) { g_strdup(token), (uint64_t) seconds * USEC_PER_SEC };
        return true;
}

char *parse_notice(const char *text) {
        g_autofree char *value = g_strstrip(g_strdup(text));

        return text_consists_of(value, TEXT_UPPER "_", 64) ? g_steal_pointer(&value) : NULL;
}

bool parse_is_etag(const char *text) {
        return text_consists_of(text, TEXT_LOWER TEXT_UPPER TEXT_DIGITS "_-", ETAG_MAX);
}

/* cloud.google.com/compute/docs/api/rate-limits has a rate limit as 403, and resourceNotReady is a 400 while another
 * operation is under way. The rest is of failed operations: no room in the zone, or Google's own fault. */
static const char *const passing_reasons[] = {
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "resourceNotReady",
        "RESOURCE_NOT_READY",
        "INTERNAL_ERROR",
        "RESOURCE_OPERATION_RATE_EXCEEDED",
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        NULL,
};

bool parse_reason_is_passing(const char *reason) {
        return g_strv_contains(passing_reasons, reason);
}

/* The first of "errors" in it, where that is an object. */
static JsonObject *first_error(JsonObject *error) {
        JsonArray *errors = error ? json_get_array(error, "errors") : NULL;
        JsonNode *first = errors && json_array_get_length(errors) > 0 ? json_array_get_element(errors, 0) : NULL;

        return first && JSON_NODE_HOLDS_OBJECT(first) ? json_node_get_object(first) : NULL;
}

/* {"error": {"code": 403, "message": "…", "errors": [{"reason": "forbidden", …}]}} */
void parse_reply(const HttpReply *http, JsonNode *document, CloudReply *ret) {
        JsonObject *error = document ? json_get_object(json_node_get_object(document), "error") : NULL,
                   *first = first_error(error);

        cloud_reply_read(http, document, ret);
        if (ret->ok) {
                if (!document)
                        ret->message = "an answer that is no JSON object";
                return;
        }
        if (error)
                ret->message = json_get_string(error, "message", "");
        if (first)
                ret->code = json_get_string(first, "reason", "");
}

bool parse_is_name(const char *text) {
        return text_consists_of(text, TEXT_LOWER TEXT_DIGITS "-", 63) && g_ascii_isalnum(text[0]);
}

bool parse_is_path(const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, "/", 8);

        return g_strv_length(parts) == 6 && g_str_equal(parts[0], "projects") &&
               text_consists_of(parts[1], TEXT_LOWER TEXT_DIGITS "-.:", 128) && g_str_equal(parts[2], "zones") &&
               parse_is_name(parts[3]) && g_str_equal(parts[4], "instances") && parse_is_name(parts[5]);
}

void parse_operation(JsonObject *document, Operation *ret) {
        JsonObject *first = first_error(json_get_object(document, "error"));
        const char *name = json_get_string(document, "name", "");
        gint64 status = json_get_int(document, "httpErrorStatusCode", 0);

        *ret = (Operation){
                .name = text_consists_of(name, TEXT_LOWER TEXT_DIGITS "-", 128) ? name : NULL,
                .failed = json_object_has_member(document, "error"),
                .code = first ? json_get_string(first, "code", "") : "",
                .message = first ? json_get_string(first, "message", "")
                                 : json_get_string(document, "httpErrorMessage", ""),
        };
        ret->passing = ret->failed && (parse_reason_is_passing(ret->code) || status == 429 || status >= 500);
        ret->done = !ret->failed && g_str_equal(json_get_string(document, "status", ""), "DONE");
}

const char *instance_status(JsonObject *instance) {
        return instance ? json_get_string(instance, "status", "") : "";
}

void parse_scopes(const char *text, bool *ret_reads, bool *ret_writes) {
        static const char platform[] = "https://www.googleapis.com/auth/cloud-platform",
                          compute[] = "https://www.googleapis.com/auth/compute",
                          readonly[] = "https://www.googleapis.com/auth/compute.readonly";
        g_auto(GStrv) scopes = g_strsplit_set(text, " \r\n", 64);
        const char *const *list = (const char *const *) scopes;

        *ret_writes = g_strv_contains(list, platform) || g_strv_contains(list, compute);
        *ret_reads = *ret_writes || g_strv_contains(list, readonly);
}

char *label_text(const char *tag) {
        GString *text = g_string_sized_new(LABEL_MAX);

        /* One for each character, however many bytes it has. */
        for (const char *c = tag; *c && text->len < LABEL_MAX; c = g_utf8_next_char(c))
                g_string_append_c(text, g_ascii_isalnum(*c) || *c == '-' ? g_ascii_tolower(*c) : '_');
        return g_string_free(text, FALSE);
}

unsigned labels_merge(GHashTable *wanted, JsonObject *labels, bool *ret_changed) {
        GHashTableIter iter;
        void *key, *value;

        *ret_changed = false;
        g_hash_table_iter_init(&iter, wanted);
        while (g_hash_table_iter_next(&iter, &key, &value)) {
                if (g_strcmp0(json_get_string(labels, key, NULL), value) == 0)
                        continue;
                json_object_set_string_member(labels, key, value);
                *ret_changed = true;
        }
        return json_object_get_size(labels);
}

bool parse_permits(JsonObject *object, const char *permission) {
        JsonArray *granted = json_get_array(object, "permissions");

        for (guint i = 0; granted && i < json_array_get_length(granted); i++) {
                JsonNode *node = json_array_get_element(granted, i);

                if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                    g_str_equal(json_node_get_string(node), permission))
                        return true;
        }
        return false;
}

bool instance_has_local_ssd(JsonObject *instance) {
        return instance && has_element(json_get_array(instance, "disks"), "type", "SCRATCH");
}

/* TERMINATED is what Google calls a stopped one, which elsewhere is gone for good. Its other states are told in lower
 * case. */
char *parse_state(const char *status) {
        static const struct {
                const char *status, *state;
        } words[] = { { "TERMINATED", "stopped" }, { "PENDING_STOP", "stopping" }, { "DEPROVISIONING", "stopping" } };

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_equal(status, words[i].status))
                        return g_strdup(words[i].state);
        return g_ascii_strdown(status, -1);
}

char *parse_region(const char *zone) {
        const char *dash = strrchr(zone, '-');

        return dash ? g_strndup(zone, (size_t) (dash - zone)) : g_strdup(zone);
}
