/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

#include "base/clock.h"
#include "cloud/failure.h"
#include "instance.h"
#include "util/json.h"

#define ATTEMPTS 4U

typedef struct ApiCall {
        CloudJob *job;
        char *path, *body;
        ApiDone done;
        HttpExchange *exchange;
} ApiCall;

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

bool api_reason_is_passing(const char *reason) {
        return g_strv_contains(passing_reasons, reason);
}

void api_cancel(struct ApiCall *call) {
        if (!call)
                return;
        http_cancel(call->exchange);
        g_free(call->path);
        g_free(call->body);
        g_free(call);
}

static JsonNode *parse(const HttpReply *reply) {
        g_autoptr(JsonNode) node = NULL;

        if (reply->problem != HTTP_ANSWERED || reply->size == 0)
                return NULL;
        node = json_text_parse("answer", reply->body, (gssize) reply->size, NULL);
        return node && JSON_NODE_HOLDS_OBJECT(node) ? g_steal_pointer(&node) : NULL;
}

/* {"error": {"code": 403, "message": "…", "errors": [{"reason": "forbidden", …}]}}. Borrowed from the node. */
static void read_failure(JsonNode *node, const char **ret_reason, const char **ret_message) {
        JsonObject *error = node ? json_get_object(json_node_get_object(node), "error") : NULL;
        JsonArray *errors = error ? json_get_array(error, "errors") : NULL;
        JsonNode *first = errors && json_array_get_length(errors) > 0 ? json_array_get_element(errors, 0) : NULL;

        *ret_reason = *ret_message = "";
        if (error)
                *ret_message = json_get_string(error, "message", "");
        if (first && JSON_NODE_HOLDS_OBJECT(first))
                *ret_reason = json_get_string(json_node_get_object(first), "reason", "");
}

static bool is_success(const HttpReply *reply) {
        return reply->problem == HTTP_ANSWERED && reply->status >= 200 && reply->status < 300;
}

static bool is_passing(const HttpReply *reply, const char *reason) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT ||
               http_reply_is_passing(reply) || api_reason_is_passing(reason);
}

/* A success that cannot be read is asked for again: its requestId makes that harmless, and its answer is needed. */
static bool again(const HttpReply *reply, void *userdata) {
        g_autoptr(JsonNode) node = parse(reply);
        const char *reason, *message;

        read_failure(node, &reason, &message);
        return is_success(reply) ? !node : is_passing(reply, reason);
}

static void finish(ApiCall *call, const ApiReply *reply) {
        CloudJob *job = call->job;
        ApiDone done = call->done;

        gcp_extra(job)->api = NULL;
        call->exchange = NULL;
        done(job, reply);
        api_cancel(call);
}

static void send_call(CloudJob *job);

static void on_reply(const HttpReply *http, void *userdata) {
        ApiCall *call = userdata;
        CloudJob *job = call->job;
        Gcp *gcp = job->provider;
        g_autoptr(JsonNode) node = parse(http);
        ApiReply reply = { .http = http, .reason = "", .message = "" };

        call->exchange = NULL;
        if (is_success(http)) {
                reply.object = node ? json_node_get_object(node) : NULL;
                reply.message = node ? "" : "an answer that is no JSON object";
        } else
                read_failure(node, &reply.reason, &reply.message);
        if (http->problem == HTTP_ANSWERED && http->status == 401 && !job->renewed) {
                job->renewed = true;
                g_clear_pointer(&gcp->credentials, credentials_free);
                cloud_job_authenticate(job, send_call);
        } else
                finish(call, &reply);
}

static char *url_of(const ApiCall *call) {
        const Gcp *gcp = call->job->provider;
        const char *own = gcp_setting(gcp, "endpoint_url");
        g_autofree char *base = own ? g_strdup(own) : g_strdup_printf("https://compute.%s", gcp->identity->universe);

        while (g_str_has_suffix(base, "/"))
                base[strlen(base) - 1] = '\0';
        return g_strdup_printf("%s/compute/v1/%s", base, call->path);
}

/* Authenticated. */
static void send_call(CloudJob *job) {
        const Gcp *gcp = job->provider;
        ApiCall *call = gcp_extra(job)->api;
        g_autofree char *url = url_of(call),
                        *token = g_strdup_printf("Authorization: Bearer %s", gcp->credentials->token);
        const char *headers[] = { token, "Content-Type: application/json", NULL };
        const HttpRequest request = {
                .url = url,
                .headers = headers,
                .body = call->body,
                .body_size = call->body ? strlen(call->body) : 0,
                .proxy = gcp_setting(gcp, "proxy_url"),
                .ca_file = gcp_setting(gcp, "ca_file"),
                .attempts = ATTEMPTS,
                .patience = MAX(usec_sub(gcp_extra(job)->deadline, clock_monotonic()), USEC_PER_SEC),
                .again = again,
        };
        int r = http_send(gcp->http, &request, on_reply, call, &call->exchange);

        explicit_bzero(token, strlen(token));
        if (r < 0) {
                const HttpReply none = { .problem = HTTP_INVALID, .message = g_strerror(-r), .body = "" };

                finish(call, &(const ApiReply){ .http = &none, .reason = "", .message = "" });
        }
}

/* Always by way of the credentials: a configuration that changed under way has taken them, and the identity, along. */
void api_call(CloudJob *job, const char *path, const char *body, ApiDone done) {
        ApiCall *call = g_new0(ApiCall, 1);

        call->job = job;
        call->path = g_strdup(path);
        call->body = g_strdup(body);
        call->done = done;
        gcp_extra(job)->api = call;
        cloud_job_authenticate(job, send_call);
}

void api_act(CloudJob *job, const char *method, const char *query, const char *body, ApiDone done) {
        g_autofree char *request_id = g_uuid_string_random();
        g_autofree char *path =
                g_strdup_printf("%s/%s?requestId=%s%s", gcp_extra(job)->target, method, request_id, query);

        api_call(job, path, body, done);
}

bool api_is_denied(const ApiReply *reply) {
        return reply->http->problem == HTTP_ANSWERED && reply->http->status == 403 &&
               !api_reason_is_passing(reply->reason);
}

void api_fail(CloudJob *job, const ApiReply *reply, const char *method) {
        g_autofree char *what = g_strdup_printf("compute.instances.%s on %s", method,
                                                last_part(gcp_extra(job)->target)),
                        *detail = *reply->reason ? g_strdup_printf("%s: %s", reply->reason, reply->message)
                                                 : g_strdup(reply->message);
        int r = -EIO;

        if (job->call)
                r = cloud_fail_as(job->call, reply->http,
                                  is_passing(reply->http, reply->reason) || is_success(reply->http), what, detail);
        cloud_job_end(job, r);
}
