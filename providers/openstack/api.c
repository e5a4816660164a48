/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

/* Older clouds say 413 where others say 429; with Retry-After it is a matter of time
 * (docs.openstack.org/api-ref/compute, "overLimit"). */
static bool is_passing(const HttpReply *http, const char *code) {
        return cloud_reply_is_passing(http) || (http->status == 413 && http_reply_header(http, "Retry-After"));
}

static bool again(const HttpReply *http, void *userdata) {
        return is_passing(http, "");
}

static void take(CloudCall *call, const HttpReply *http) {
        g_autoptr(JsonNode) document = cloud_reply_parse(http);
        CloudReply reply;

        parse_reply(http, document, &reply);
        cloud_call_answer(call, &reply, http->problem == HTTP_ANSWERED && http->status == 401);
}

static void send_call(CloudCall *call) {
        const Openstack *openstack = call->job->provider;
        const Token *token = openstack->token;
        g_autofree char *url = g_strdup_printf("%s/servers/%s%s", token->endpoint, call->job->instance_id, call->path),
                        *authentication = g_strdup_printf("X-Auth-Token: %s", token->value);
        const char *headers[] = { authentication, "Accept: application/json",
                                  call->body ? "Content-Type: application/json" : NULL, NULL };

        cloud_call_send(call, &(const HttpRequest) { .url = url, .headers = headers }, NULL);
        explicit_bzero(authentication, strlen(authentication));
}

const CloudApi api = {
        .send = send_call,
        .take = take,
        .is_passing = is_passing,
        .again = again,
};

static bool has_status(const CloudReply *reply, long status) {
        return reply->http->problem == HTTP_ANSWERED && reply->http->status == status;
}

bool api_is_denied(const CloudReply *reply) {
        return has_status(reply, 403) || has_status(reply, 401);
}

bool api_is_conflict(const CloudReply *reply) {
        return has_status(reply, 409);
}
