/* SPDX-License-Identifier: Apache-2.0 */

#include "parse.h"

#include <fnmatch.h>
#include <string.h>

#include "base/clock.h"
#include "catalog.h"
#include "cloud/text.h"
#include "util/json.h"

#define TOKEN_MAX 16384U

void identity_free(void *data) {
        Identity *identity = data;

        g_free(identity->server_id);
        g_free(identity->name);
        g_free(identity->zone);
        g_free(identity);
}

bool parse_is_server_id(const char *text) {
        return g_uuid_string_is_valid(text);
}

char *parse_meta_data(const char *text, Identity *identity) {
        char *problem = NULL;
        g_autoptr(JsonNode) node = text_parse_object("meta_data.json", text, &problem);
        JsonObject *object;

        if (!node)
                return problem;
        object = json_node_get_object(node);
        if (!parse_is_server_id(json_get_string(object, "uuid", "")))
                return g_strdup("meta_data.json names no server (uuid)");
        identity->server_id = g_ascii_strdown(json_get_string(object, "uuid", ""), -1);
        identity->name = g_strdup(json_get_string(object, "name", ""));
        identity->zone = g_strdup(json_get_string(object, "availability_zone", ""));
        return NULL;
}

void token_free(Token *token) {
        text_erase(token->value);
        g_free(token->endpoint);
        g_free(token->region);
        g_strfreev(token->roles);
        g_strfreev(token->access_rules);
        g_free(token);
}

/* The object that an answer of Keystone's has under this name; NULL: it has none. */
static JsonObject *answer_of(JsonNode *node, const char *name) {
        return node && JSON_NODE_HOLDS_OBJECT(node) ? json_get_object(json_node_get_object(node), name) : NULL;
}

static GStrv names_of_roles(JsonObject *object) {
        g_autoptr(GStrvBuilder) names = g_strv_builder_new();
        JsonArray *roles = json_get_array(object, "roles");

        for (guint i = 0; roles && i < json_array_get_length(roles); i++) {
                JsonNode *role = json_array_get_element(roles, i);

                if (JSON_NODE_HOLDS_OBJECT(role))
                        g_strv_builder_add(names, json_get_string(json_node_get_object(role), "name", ""));
        }
        return g_strv_builder_end(names);
}

/* Only an application credential has any, and only one that was made with them. */
static GStrv rules_of_compute(JsonObject *object) {
        JsonObject *credential = json_get_object(object, "application_credential");
        JsonArray *rules = credential ? json_get_array(credential, "access_rules") : NULL;
        g_autoptr(GStrvBuilder) texts = g_strv_builder_new();

        if (!rules)
                return NULL;
        for (guint i = 0; i < json_array_get_length(rules); i++) {
                JsonNode *node = json_array_get_element(rules, i);
                JsonObject *rule = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
                g_autofree char *text = NULL;

                if (!rule || !g_str_equal(json_get_string(rule, "service", ""), "compute"))
                        continue;
                text = g_strdup_printf("%s %s", json_get_string(rule, "method", ""),
                                       json_get_string(rule, "path", ""));
                g_strv_builder_add(texts, text);
        }
        return g_strv_builder_end(texts);
}

/* Where Nova is: as configured, else by the catalog. */
static char *find_endpoint(const Whereabouts *whereabouts, JsonObject *object, char **ret_region, char **ret_problem) {
        g_autofree char *url = NULL;

        if (whereabouts->endpoint_url) {
                *ret_region = g_strdup(whereabouts->region ?: "");
                return catalog_complete_url(whereabouts->endpoint_url);
        }
        url = catalog_find_compute(json_get_array(object, "catalog"), whereabouts->interface, whereabouts->region,
                                   ret_region, ret_problem);
        if (url && !catalog_is_safe_url(url) && !whereabouts->allow_http) {
                *ret_problem = g_strdup_printf("The catalog names %.200s, which is not https: name it yourself by "
                                               "endpoint_url, or set allow_http",
                                               url);
                return NULL;
        }
        return g_steal_pointer(&url);
}

Token *parse_token(const char *value, const char *body, size_t size, const Whereabouts *whereabouts, bool *ret_lasting,
                   char **ret_problem) {
        g_autoptr(JsonNode) node = json_text_parse("token", body, (gssize) size, NULL);
        JsonObject *object = answer_of(node, "token");
        uint64_t until = object ? text_time(json_get_string(object, "expires_at", "")) : 0;
        g_autofree char *region = NULL, *endpoint = NULL;
        Token *token;

        *ret_lasting = false;
        if (until == 0 || !text_is_plain(value, TOKEN_MAX)) {
                *ret_problem = g_strdup("Keystone answered with something that is no token");
                return NULL;
        }
        *ret_lasting = true;
        endpoint = find_endpoint(whereabouts, object, &region, ret_problem);
        if (!endpoint)
                return NULL;
        token = g_new0(Token, 1);
        token->value = g_strdup(value);
        token->endpoint = g_steal_pointer(&endpoint);
        token->region = g_steal_pointer(&region);
        token->roles = names_of_roles(object);
        token->access_rules = rules_of_compute(object);
        token->until = until;
        return token;
}

char *parse_refusal(const char *body, size_t size, const char *secret) {
        g_autoptr(JsonNode) node = json_text_parse("answer", body, (gssize) size, NULL);
        JsonObject *error = answer_of(node, "error");
        const char *message = error ? json_get_string(error, "message", "") : "";

        return g_strdup(strstr(message, secret) ? "" : message);
}

/* {"conflictingRequest": {"code": 409, "message": "…"}}, and {"error": {…}} of the middleware before Nova. */
static const char *find_message(JsonObject *object) {
        g_autoptr(GList) members = object ? json_object_get_members(object) : NULL;
        JsonObject *fault = members ? json_get_object(object, members->data) : NULL;

        return fault ? json_get_string(fault, "message", "") : "";
}

/* A success that makes no sense is none, and may make some the next time: what it is called is for who finds no sense
 * in it. */
void parse_reply(const HttpReply *http, JsonNode *document, CloudReply *ret) {
        cloud_reply_read(http, document, ret);
        ret->message = ret->ok ? "an answer that makes no sense"
                               : find_message(document ? json_node_get_object(document) : NULL);
}

/* nova/api/openstack/common.py makes the status of both states; where a cloud hides those, it has to do. */
static const struct {
        const char *status, *vm_state, *task;
} statuses[] = {
        { "ACTIVE", "active", "" },
        { "BUILD", "building", "" },
        { "DELETED", "deleted", "" },
        { "ERROR", "error", "" },
        { "HARD_REBOOT", "active", "rebooting_hard" },
        { "MIGRATING", "active", "migrating" },
        { "PASSWORD", "active", "updating_password" },
        { "PAUSED", "paused", "" },
        { "REBOOT", "active", "rebooting" },
        { "RESCUE", "rescued", "" },
        { "SHELVED", "shelved", "" },
        { "SHELVED_OFFLOADED", "shelved_offloaded", "" },
        { "SHUTOFF", "stopped", "" },
        { "SOFT_DELETED", "soft-delete", "" },
        { "SUSPENDED", "suspended", "" },
};

static void states_of_status(Server *server, const char *status) {
        for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
                if (g_str_equal(statuses[i].status, status)) {
                        server->vm_state = statuses[i].vm_state;
                        server->task = statuses[i].task;
                }
}

static bool path_matches(const char *pattern, const char *path) {
        g_autofree char *plain = g_strdup(pattern);
        char *from = plain, *to = plain;

        while (*from) {
                char *end = *from == '{' ? strchr(from, '}') : NULL;

                *to++ = end ? '*' : *from;
                from = end ? end + 1 : from + 1;
        }
        *to = '\0';
        return fnmatch(plain, path, strstr(plain, "**") ? 0 : FNM_PATHNAME) == 0;
}

bool parse_rule_allows(const char *rule, const char *method, const char *path) {
        size_t length = strlen(method);

        return strncmp(rule, method, length) == 0 && rule[length] == ' ' && path_matches(rule + length + 1, path);
}

bool parse_server(const CloudReply *reply, const char *id, Server *ret) {
        JsonObject *object = reply->object ? json_get_object(reply->object, "server") : NULL;

        if (!object || g_ascii_strcasecmp(json_get_string(object, "id", ""), id) != 0)
                return false;
        *ret = (Server) { .object = object, .vm_state = "", .task = "" };
        states_of_status(ret, json_get_string(object, "status", ""));
        ret->vm_state = json_get_string(object, "OS-EXT-STS:vm_state", ret->vm_state);
        ret->task = json_get_string(object, "OS-EXT-STS:task_state", ret->task);
        return *ret->vm_state != '\0';
}

const char *server_state(const Server *server) {
        static const char *const running[] = { "active", "paused", "rescued", "resized", NULL };
        static const char *const stopped[] = { "stopped", "suspended", "shelved", "shelved_offloaded", NULL };
        static const char *const coming[] = { "powering-on", "resuming", "unshelving", "spawning", NULL };
        static const char *const deleted[] = { "deleted", "soft-delete", NULL };

        if (g_strv_contains(deleted, server->vm_state))
                return "terminated";
        if (g_strv_contains(stopped, server->vm_state))
                return g_strv_contains(coming, server->task) ? "pending" : "stopped";
        if (g_strv_contains(running, server->vm_state)) {
                bool going = g_str_equal(server->task, "powering-off") || g_str_equal(server->task, "suspending") ||
                        g_str_has_prefix(server->task, "shelving");

                return going ? "stopping" : "running";
        }
        return g_str_equal(server->vm_state, "building") ? "pending" : "unknown";
}
