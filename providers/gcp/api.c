/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

static bool is_passing(const HttpReply *http, const char *code) {
        return cloud_reply_is_passing(http) || parse_reason_is_passing(code);
}

/* A success that cannot be read is asked for again: its requestId makes that harmless, and its answer is needed. */
static bool again(const HttpReply *http, void *userdata) {
        g_autoptr(JsonNode) document = cloud_reply_parse(http);
        CloudReply reply;

        parse_reply(http, document, &reply);
        return reply.ok ? !document : is_passing(http, reply.code);
}

static void take(CloudCall *call, const HttpReply *http) {
        g_autoptr(JsonNode) document = cloud_reply_parse(http);
        CloudReply reply;

        parse_reply(http, document, &reply);
        cloud_call_answer(call, &reply, http->problem == HTTP_ANSWERED && http->status == 401);
}

static char *url_of(const CloudCall *call) {
        const Gcp *gcp = call->job->provider;
        const char *own = cloud_setting(&gcp->cloud, "endpoint_url");
        g_autofree char *base = own ? g_strdup(own) : g_strdup_printf("https://compute.%s", gcp->identity->universe);

        while (g_str_has_suffix(base, "/"))
                base[strlen(base) - 1] = '\0';
        return g_strdup_printf("%s/compute/v1/%s", base, call->path);
}

static void send_call(CloudCall *call) {
        const Gcp *gcp = call->job->provider;
        g_autofree char *url = url_of(call),
                        *token = g_strdup_printf("Authorization: Bearer %s", gcp->credentials->token);
        const char *headers[] = { token, "Content-Type: application/json", NULL };
        const HttpRequest request = {
                .url = url,
                .headers = headers,
        };

        cloud_call_send(call, &request, NULL);
        explicit_bzero(token, strlen(token));
}

const CloudApi api = {
        .send = send_call,
        .take = take,
        .is_passing = is_passing,
        .again = again,
        .needs_no_identity = true,
};

void api_call(CloudJob *job, const char *path, const char *body, CloudCallDone done) {
        cloud_call(job, NULL, path, body, done);
}

void api_act(CloudJob *job, const char *method, const char *query, const char *body, CloudCallDone done) {
        g_autofree char *request_id = g_uuid_string_random();
        g_autofree char *path =
                g_strdup_printf("%s/%s?requestId=%s%s", gcp_extra(job)->target, method, request_id, query);

        api_call(job, path, body, done);
}

bool api_is_denied(const CloudReply *reply) {
        return reply->http->problem == HTTP_ANSWERED && reply->http->status == 403 &&
               !parse_reason_is_passing(reply->code);
}

void api_fail(CloudJob *job, const CloudReply *reply, const char *method) {
        g_autofree char *what =
                g_strdup_printf("compute.instances.%s on %s", method, last_part(gcp_extra(job)->target));

        cloud_reply_fail(job, reply, what);
}
