/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

#include "cloud/failure.h"
#include "util/json.h"

/* A stop is worth waiting for, but the daemon asks again, too. */
#define ATTEMPTS 4U
#define PATIENCE (UINT64_C(40) * 1000 * 1000)

typedef struct ApiCall {
        CloudJob *job;
        char *path, *body;
        ApiDone done;
        HttpExchange *exchange;
} ApiCall;

void api_cancel(struct ApiCall *call) {
        if (!call)
                return;
        http_cancel(call->exchange);
        g_free(call->path);
        g_free(call->body);
        g_free(call);
}

/* Older clouds say 413 where others say 429; with Retry-After it is a matter of time (docs.openstack.org/api-ref/compute, "overLimit"). */
static bool is_passing(const HttpReply *reply) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT || http_reply_is_passing(reply) ||
                (reply->status == 413 && http_reply_header(reply, "Retry-After"));
}

static bool again(const HttpReply *reply, void *userdata) {
        return is_passing(reply);
}

/* {"conflictingRequest": {"code": 409, "message": "…"}}, and {"error": {…}} of the middleware before Nova. */
static const char *find_message(JsonObject *object) {
        g_autoptr(GList) members = object ? json_object_get_members(object) : NULL;
        JsonObject *fault = members ? json_get_object(object, members->data) : NULL;

        return fault ? json_get_string(fault, "message", "") : "";
}

static void send_call(ApiCall *call);

static void authenticated_anew(CloudJob *job) {
        send_call(openstack_extra(job)->api);
}

static void finish(ApiCall *call, const ApiReply *reply) {
        CloudJob *job = call->job;
        ApiDone done = call->done;

        openstack_extra(job)->api = NULL;
        call->exchange = NULL;
        done(job, reply);
        api_cancel(call);
}

static void take_reply(ApiCall *call, const HttpReply *http) {
        Openstack *openstack = call->job->provider;
        g_autoptr(JsonNode) node = http->size > 0 ? json_text_parse("answer", http->body, (gssize) http->size, NULL) : NULL;
        JsonObject *object = node && JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        ApiReply reply = { .http = http, .message = "" };

        if (http->problem == HTTP_ANSWERED && http->status == 401 && !call->job->renewed) {
                call->job->renewed = true;
                g_clear_pointer(&openstack->token, token_free);
                cloud_job_authenticate(call->job, authenticated_anew);
                return;
        }
        if (http->problem == HTTP_ANSWERED && http->status >= 200 && http->status < 300) {
                reply.ok = true;
                reply.object = object;
        } else
                reply.message = find_message(object);
        finish(call, &reply);
}

static void on_reply(const HttpReply *http, void *userdata) {
        ApiCall *call = userdata;
        const Openstack *openstack = call->job->provider;

        call->exchange = NULL;
        /* What reads the answer looks at this machine's identity, too. */
        if (openstack->identity)
                take_reply(call, http);
        else
                cloud_job_fail(call->job, SNOOZE_PLUGIN_ERROR_THROTTLED, "The configuration changed under way");
}

static void send_call(ApiCall *call) {
        const Openstack *openstack = call->job->provider;
        const Token *token = openstack->token;
        g_autofree char *url = g_strdup_printf("%s/servers/%s%s", token->endpoint, call->job->instance_id, call->path),
                        *authentication = g_strdup_printf("X-Auth-Token: %s", token->value);
        const char *headers[] = { authentication, "Accept: application/json", call->body ? "Content-Type: application/json" : NULL, NULL };
        const HttpRequest request = {
                .url = url,
                .headers = headers,
                .body = call->body,
                .body_size = call->body ? strlen(call->body) : 0,
                .proxy = openstack_setting(openstack, "proxy_url"),
                .ca_file = openstack_setting(openstack, "ca_file"),
                .attempts = ATTEMPTS,
                .patience = PATIENCE,
                .again = again,
        };
        int r = http_send(openstack->http, &request, on_reply, call, &call->exchange);

        explicit_bzero(authentication, strlen(authentication));
        if (r < 0) {
                const HttpReply none = { .problem = HTTP_INVALID, .message = g_strerror(-r), .body = "" };

                finish(call, &(const ApiReply) { .http = &none, .message = "" });
        }
}

void api_call(CloudJob *job, const char *path, const char *body, ApiDone done) {
        const Openstack *openstack = job->provider;
        ApiCall *call = g_new0(ApiCall, 1);

        call->job = job;
        call->path = g_strdup(path);
        call->body = g_strdup(body);
        call->done = done;
        openstack_extra(job)->api = call;
        /* A configuration that changed between two calls of a job has taken its token along. */
        if (openstack->identity && openstack->token)
                send_call(call);
        else
                cloud_job_authenticate(job, authenticated_anew);
}

static bool has_status(const ApiReply *reply, long status) {
        return reply->http->problem == HTTP_ANSWERED && reply->http->status == status;
}

bool api_is_denied(const ApiReply *reply) {
        return has_status(reply, 403) || has_status(reply, 401);
}

bool api_is_conflict(const ApiReply *reply) {
        return has_status(reply, 409);
}

void api_fail(CloudJob *job, const ApiReply *reply, const char *what) {
        /* A success that makes no sense is none, and may make some the next time. */
        bool passing = is_passing(reply->http) || reply->ok;

        cloud_job_end(job, cloud_fail_as(job->call, reply->http, passing, what, reply->ok ? "an answer that makes no sense" : reply->message));
}
