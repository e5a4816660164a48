/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: a token of Keystone's, renewed before it ends. With it comes the catalog, which says where Nova is, and
 * what the token is good for (docs.openstack.org/api-ref/identity/v3). It is never written anywhere. */

#include <string.h>

#include "base/clock.h"
#include "catalog.h"
#include "credential.h"
#include "openstack.h"
#include "util/json.h"

#define RENEW_BEFORE (5 * USEC_PER_MINUTE)
#define ATTEMPTS 3U
#define PATIENCE (25 * USEC_PER_SEC)
#define TOKEN_LENGTH_MAX 16384U

/* A question under way. */
struct Inquiry {
        Openstack *openstack;
        HttpExchange *exchange;
        Credential credential;
};

void token_free(Token *token) {
        if (token->value)
                explicit_bzero(token->value, strlen(token->value));
        g_free(token->value);
        g_free(token->endpoint);
        g_free(token->region);
        g_strfreev(token->roles);
        g_strfreev(token->access_rules);
        g_free(token);
}

bool token_is_fresh(const Token *token) {
        return token && token->until > usec_add(clock_realtime(), RENEW_BEFORE);
}

static bool is_plain(const char *text) {
        size_t length = strlen(text);

        for (const char *c = text; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return false;
        return length > 0 && length <= TOKEN_LENGTH_MAX;
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
        JsonArray *rules = json_get_array(json_get_object(object, "application_credential"), "access_rules");
        g_autoptr(GStrvBuilder) texts = g_strv_builder_new();

        if (!rules)
                return NULL;
        for (guint i = 0; i < json_array_get_length(rules); i++) {
                JsonNode *node = json_array_get_element(rules, i);
                JsonObject *rule = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
                g_autofree char *text = NULL;

                if (!rule || !g_str_equal(json_get_string(rule, "service", ""), "compute"))
                        continue;
                text = g_strdup_printf("%s %s", json_get_string(rule, "method", ""), json_get_string(rule, "path", ""));
                g_strv_builder_add(texts, text);
        }
        return g_strv_builder_end(texts);
}

/* Where Nova is: as configured, else by the catalog. */
static char *find_endpoint(const Inquiry *inquiry, JsonObject *object, char **ret_region, char **ret_problem) {
        const Openstack *openstack = inquiry->openstack;
        const char *own = openstack_setting(openstack, "endpoint_url");
        const char *region = openstack_setting(openstack, "region") ?: inquiry->credential.region;
        g_autofree char *url = NULL;

        if (own) {
                *ret_region = g_strdup(region ?: "");
                return catalog_complete_url(own);
        }
        url = catalog_find_compute(json_get_array(object, "catalog"), openstack_setting(openstack, "interface"), region, ret_region, ret_problem);
        if (url && !catalog_is_safe_url(url) && !snooze_plugin_instance_get_boolean(openstack->instance, "allow_http")) {
                *ret_problem = g_strdup_printf("The catalog names %.200s, which is not https: name it yourself by endpoint_url, or set allow_http", url);
                return NULL;
        }
        return g_steal_pointer(&url);
}

static Token *read_token(const Inquiry *inquiry, const HttpReply *reply, const char **ret_error, char **ret_problem) {
        const char *value = http_reply_header(reply, "X-Subject-Token") ?: "";
        g_autoptr(JsonNode) node = json_text_parse("token", reply->body, (gssize) reply->size, NULL);
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_get_object(json_node_get_object(node), "token") : NULL;
        g_autoptr(GDateTime) end = object ? g_date_time_new_from_iso8601(json_get_string(object, "expires_at", ""), NULL) : NULL;
        g_autofree char *region = NULL, *endpoint = NULL;
        Token *token;

        *ret_error = SNOOZE_PLUGIN_ERROR_THROTTLED;
        if (!object || !end || !is_plain(value)) {
                *ret_problem = g_strdup("Keystone answered with something that is no token");
                return NULL;
        }
        *ret_error = SNOOZE_PLUGIN_ERROR_REFUSED;
        endpoint = find_endpoint(inquiry, object, &region, ret_problem);
        if (!endpoint)
                return NULL;
        token = g_new0(Token, 1);
        token->value = g_strdup(value);
        token->endpoint = g_steal_pointer(&endpoint);
        token->region = g_steal_pointer(&region);
        token->roles = names_of_roles(object);
        token->access_rules = rules_of_compute(object);
        token->until = (uint64_t) MAX(g_date_time_to_unix(end), 0) * USEC_PER_SEC;
        return token;
}

/* Keystone's own words, unless it repeats what it was told. */
static char *describe_refusal(const Inquiry *inquiry, const HttpReply *reply) {
        g_autoptr(JsonNode) node = json_text_parse("answer", reply->body, (gssize) reply->size, NULL);
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_get_object(json_node_get_object(node), "error") : NULL;
        const char *message = object ? json_get_string(object, "message", "") : "";

        if (reply->problem != HTTP_ANSWERED)
                return g_strdup_printf("Keystone cannot be asked for a token: %s", reply->message);
        if (!*message || strstr(message, inquiry->credential.secret))
                return g_strdup_printf("Keystone gives no token: the answer is %ld", reply->status);
        return g_strdup_printf("Keystone gives no token: %.300s (%ld)", message, reply->status);
}

Inquiry *inquiry_free(Inquiry *inquiry) {
        if (!inquiry)
                return NULL;
        http_cancel(inquiry->exchange);
        credential_clear(&inquiry->credential);
        g_free(inquiry);
        return NULL;
}

/* Ends what is under way. */
static void conclude(Openstack *openstack, const char *error_name, const char *text) {
        openstack->inquiry = inquiry_free(openstack->inquiry);
        cloud_jobs_answered(openstack->jobs, error_name, text);
}

static void on_reply(const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;
        Openstack *openstack = inquiry->openstack;
        bool passing = reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT || http_reply_is_passing(reply);
        const char *error_name = passing ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED;
        g_autofree char *problem = NULL;

        inquiry->exchange = NULL;
        g_clear_pointer(&openstack->token, token_free);
        if (reply->problem == HTTP_ANSWERED && reply->status == 201)
                openstack->token = read_token(inquiry, reply, &error_name, &problem);
        else
                problem = describe_refusal(inquiry, reply);
        conclude(openstack, problem ? error_name : NULL, problem);
}

static void ask_keystone(Inquiry *inquiry) {
        Openstack *openstack = inquiry->openstack;
        g_autofree char *url = g_strconcat(inquiry->credential.auth_url, "/auth/tokens", NULL);
        const char *headers[] = { "Content-Type: application/json", "Accept: application/json", NULL };
        const HttpRequest request = {
                .url = url,
                .headers = headers,
                .body = inquiry->credential.body,
                .body_size = strlen(inquiry->credential.body),
                .proxy = openstack_setting(openstack, "proxy_url"),
                .ca_file = openstack_setting(openstack, "ca_file"),
                .attempts = ATTEMPTS,
                .patience = PATIENCE,
        };
        int r = http_send(openstack->http, &request, on_reply, inquiry, &inquiry->exchange);

        if (r < 0)
                conclude(openstack, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}

void token_ask(void *userdata) {
        static const char none[] = "The unit has no credential: give it an application credential by LoadCredential=openstack:/etc/credstore/openstack, "
                                   "with the access rules that snooze provider policy openstack prints";
        Openstack *openstack = userdata;
        Inquiry *inquiry = g_new0(Inquiry, 1);
        g_autofree char *problem = NULL, *message = NULL;

        openstack->inquiry = inquiry;
        inquiry->openstack = openstack;
        if (!credential_read(&inquiry->credential, &problem)) {
                message = problem ? g_strdup_printf("The credential openstack of the unit: %s", problem) : g_strdup(none);
                conclude(openstack, SNOOZE_PLUGIN_ERROR_REFUSED, message);
        } else if (!catalog_is_safe_url(inquiry->credential.auth_url) &&
                   !snooze_plugin_instance_get_boolean(openstack->instance, "allow_http"))
                conclude(openstack, SNOOZE_PLUGIN_ERROR_REFUSED,
                         "The credential openstack of the unit: auth_url is not https, and the secret would be sent for everybody to read "
                         "(allow_http takes that into account)");
        else
                ask_keystone(inquiry);
}
