/* SPDX-License-Identifier: Apache-2.0 */

/* By which right this machine asks: a token of Keystone's, renewed before it ends. With it comes the catalog, which
 * says where Nova is, and what the token is good for (docs.openstack.org/api-ref/identity/v3). It is never written
 * anywhere. */

#include <string.h>

#include "base/clock.h"
#include "catalog.h"
#include "config.h"
#include "credential.h"
#include "openstack.h"

#define RENEW_BEFORE (5 * USEC_PER_MINUTE)
#define ATTEMPTS 3U
#define PATIENCE (25 * USEC_PER_SEC)

/* A question under way. */
struct Inquiry {
        Openstack *openstack;
        HttpExchange *exchange;
        Credential credential;
};

void token_drop(void *userdata) {
        Openstack *openstack = userdata;

        g_clear_pointer(&openstack->token, token_free);
}

CloudCredentials token_state(const void *userdata) {
        const Openstack *openstack = userdata;

        if (!openstack->token)
                return CLOUD_CREDENTIALS_NONE;
        return openstack->token->until > usec_add(clock_realtime(), RENEW_BEFORE) ? CLOUD_CREDENTIALS_FRESH
                                                                                  : CLOUD_CREDENTIALS_OLD;
}

static Token *read_token(const Inquiry *inquiry, const HttpReply *reply, const char **ret_error, char **ret_problem) {
        const CloudProvider *cloud = &inquiry->openstack->cloud;
        const Whereabouts whereabouts = {
                .endpoint_url = cloud_setting(cloud, "endpoint_url"),
                .interface = cloud_setting(cloud, "interface"),
                .region = cloud_setting(cloud, "region") ?: inquiry->credential.region,
                .allow_http = snooze_plugin_instance_get_boolean(cloud->instance, "allow_http"),
        };
        bool lasting;
        Token *token = parse_token(http_reply_header(reply, "X-Subject-Token"), reply->body, reply->size, &whereabouts,
                                   &lasting, ret_problem);

        *ret_error = lasting ? SNOOZE_PLUGIN_ERROR_REFUSED : SNOOZE_PLUGIN_ERROR_THROTTLED;
        return token;
}

static char *describe_refusal(const Inquiry *inquiry, const HttpReply *reply) {
        g_autofree char *said = parse_refusal(reply->body, reply->size, inquiry->credential.secret);

        if (reply->problem != HTTP_ANSWERED)
                return g_strdup_printf("Keystone cannot be asked for a token: %s", reply->message);
        if (!*said)
                return g_strdup_printf("Keystone gives no token: the answer is %ld", reply->status);
        return g_strdup_printf("Keystone gives no token: %.300s (%ld)", said, reply->status);
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
        cloud_jobs_answered(&openstack->cloud, error_name, text);
}

static void on_reply(const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;
        Openstack *openstack = inquiry->openstack;
        const char *error_name =
                cloud_reply_is_passing(reply) ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED;
        g_autofree char *problem = NULL;

        inquiry->exchange = NULL;
        token_drop(openstack);
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
                .direct = cloud_is_this_machine(url),
                .proxy = cloud_setting(&openstack->cloud, "proxy_url"),
                .ca_file = openstack->cloud.ca_file,
                .attempts = ATTEMPTS,
                .patience = PATIENCE,
        };
        int r = http_send(openstack->cloud.http, &request, on_reply, inquiry, &inquiry->exchange);

        if (r < 0)
                conclude(openstack, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}

void token_ask(void *userdata) {
        static const char none[] = "The unit has no credential: give it an application credential by "
                                   "LoadCredential=openstack:/etc/credstore/openstack, "
                                   "with the access rules that " SNOOZE_COMMAND " provider policy openstack prints";
        Openstack *openstack = userdata;
        Inquiry *inquiry = g_new0(Inquiry, 1);
        g_autofree char *problem = NULL, *message = NULL;

        openstack->inquiry = inquiry;
        inquiry->openstack = openstack;
        if (!credential_read(&inquiry->credential, &problem)) {
                message = problem ? g_strdup_printf("The credential openstack of the unit: %s", problem)
                                  : g_strdup(none);
                conclude(openstack, SNOOZE_PLUGIN_ERROR_REFUSED, message);
        } else if (!catalog_is_safe_url(inquiry->credential.auth_url) &&
                   !snooze_plugin_instance_get_boolean(openstack->cloud.instance, "allow_http"))
                conclude(openstack, SNOOZE_PLUGIN_ERROR_REFUSED,
                         "The credential openstack of the unit: auth_url is not https, and the secret would be sent "
                         "for everybody to read "
                         "(allow_http takes that into account)");
        else
                ask_keystone(inquiry);
}
