/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

#include "base/clock.h"
#include "cloud/failure.h"
#include "document.h"
#include "resource.h"
#include "util/json.h"

/* A stop is worth waiting for, but the daemon asks again, too. */
#define ATTEMPTS 4U
#define PATIENCE (40 * USEC_PER_SEC)
#define DETAIL_MAX 300

typedef struct ApiCall {
        CloudJob *job;
        char *method, *path, *body;
        ApiDone done;
        HttpExchange *exchange;
} ApiCall;

/* A 409 is a conflict with something under way, which passes, but for these: what the machine does not do (or the
 * quota does not let it), and a lock that somebody put on the resource
 * (learn.microsoft.com/azure/azure-resource-manager/troubleshooting/common-deployment-errors). */
static const char *const lasting_conflicts[] = { "OperationNotAllowed", "ScopeLocked", NULL };

/* Codes of operations that failed, and may not the next time: no room for now
 * (…/troubleshoot/azure/virtual-machines/windows/ allocation-failure), something else came between. */
static const char *const passing_codes[] = {
        "AllocationFailed",
        "ZonalAllocationFailed",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "InternalServerError",
        "InternalExecutionError",
        "OperationPreempted",
        "RetryableError",
        "TooManyRequests",
        "ServerTimeout",
        "AnotherOperationInProgress",
        "",
        NULL,
};

void api_cancel(struct ApiCall *call) {
        if (!call)
                return;
        http_cancel(call->exchange);
        g_free(call->method);
        g_free(call->path);
        g_free(call->body);
        g_free(call);
}

static bool is_conflict(const HttpReply *reply, const char *code) {
        return reply->status == 409 && !g_strv_contains(lasting_conflicts, code);
}

static bool is_passing(const HttpReply *reply, const char *code) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT ||
               http_reply_is_passing(reply) || is_conflict(reply, code);
}

static JsonNode *parse(const HttpReply *reply) {
        g_autoptr(JsonNode) node = NULL;

        if (reply->problem != HTTP_ANSWERED || reply->size == 0)
                return NULL;
        node = json_text_parse("answer", reply->body, (gssize) reply->size, NULL);
        return node && JSON_NODE_HOLDS_OBJECT(node) ? g_steal_pointer(&node) : NULL;
}

static void send_call(ApiCall *call);

static void authenticated_anew(CloudJob *job) {
        send_call(((Extra *) job->extra)->api);
}

static void finish(ApiCall *call, const ApiReply *reply) {
        CloudJob *job = call->job;
        ApiDone done = call->done;

        ((Extra *) job->extra)->api = NULL;
        call->exchange = NULL;
        done(job, reply);
        api_cancel(call);
}

static void take_reply(ApiCall *call, const HttpReply *http) {
        Azure *azure = call->job->provider;
        g_autoptr(JsonNode) node = parse(http);
        JsonObject *root = node ? json_node_get_object(node) : NULL;
        ApiReply reply = { .http = http, .code = "", .message = "" };

        reply.ok = http->problem == HTTP_ANSWERED && http->status >= 200 && http->status < 300;
        if (reply.ok) {
                reply.root = root;
                reply.message = root || http->size == 0 ? "" : "an answer that is no JSON object";
        } else {
                reply.code = document_text(root, "error/code");
                reply.message = document_text(root, "error/message");
        }
        if (http->status == 401 && !call->job->renewed) {
                call->job->renewed = true;
                g_clear_pointer(&azure->token, token_free);
                cloud_job_authenticate(call->job, authenticated_anew);
                return;
        }
        finish(call, &reply);
}

static void on_reply(const HttpReply *http, void *userdata) {
        ApiCall *call = userdata;
        const Azure *azure = call->job->provider;

        call->exchange = NULL;
        /* What reads the answer looks at this machine's identity, too. */
        if (azure->identity)
                take_reply(call, http);
        else
                cloud_job_fail(call->job, SNOOZE_PLUGIN_ERROR_THROTTLED, "The configuration changed under way");
}

bool api_is_own_url(const char *endpoint, const char *url) {
        g_autoptr(GUri) own = g_uri_parse(endpoint, G_URI_FLAGS_SCHEME_NORMALIZE, NULL),
                        theirs = g_uri_parse(url, G_URI_FLAGS_SCHEME_NORMALIZE, NULL);

        return own && theirs && !g_uri_get_userinfo(theirs) &&
               g_strcmp0(g_uri_get_scheme(own), g_uri_get_scheme(theirs)) == 0 && g_uri_get_host(theirs) &&
               g_ascii_strcasecmp(g_uri_get_host(own), g_uri_get_host(theirs)) == 0 &&
               g_uri_get_port(own) == g_uri_get_port(theirs);
}

static char *url_of(const ApiCall *call, const char *endpoint) {
        if (call->path[0] == '/')
                return g_strconcat(endpoint, call->path, NULL);
        return api_is_own_url(endpoint, call->path) ? g_strdup(call->path) : NULL;
}

static int send_request(ApiCall *call, const char *url) {
        const Azure *azure = call->job->provider;
        g_autofree char *authorization = g_strconcat("Authorization: Bearer ", azure->token->text, NULL);
        const char *headers[] = { authorization, call->body && *call->body ? "Content-Type: application/json" : NULL,
                                  NULL };
        const HttpRequest request = {
                .method = call->method,
                .url = url,
                .headers = headers,
                .body = call->body,
                .body_size = call->body ? strlen(call->body) : 0,
                .proxy = azure_setting(azure, "proxy_url"),
                .ca_file = azure_setting(azure, "ca_file"),
                .attempts = ATTEMPTS,
                .patience = PATIENCE,
        };
        int r = http_send(azure->http, &request, on_reply, call, &call->exchange);

        explicit_bzero(authorization, strlen(authorization));
        return r;
}

static void send_call(ApiCall *call) {
        g_autofree char *endpoint = azure_endpoint(call->job->provider), *url = url_of(call, endpoint);
        int r = url ? send_request(call, url) : -EINVAL;

        if (r < 0) {
                const HttpReply none = { .problem = HTTP_INVALID,
                                         .message =
                                                 url ? g_strerror(-r)
                                                     : "Azure named a URL that leads elsewhere, which gets no token",
                                         .body = "" };

                finish(call, &(const ApiReply){ .http = &none, .code = "", .message = "" });
        }
}

void api_call(CloudJob *job, const char *method, const char *path, const char *body, ApiDone done) {
        const Azure *azure = job->provider;
        Extra *extra = job->extra;
        ApiCall *call = g_new0(ApiCall, 1);

        call->job = job;
        call->method = g_strdup(method);
        call->path = g_strdup(path);
        call->body = g_strdup(body);
        call->done = done;
        extra->api = call;
        /* A configuration that changed between two calls of a job has taken its token along. */
        if (azure->identity && azure->token)
                send_call(call);
        else
                cloud_job_authenticate(job, authenticated_anew);
}

char *api_path(const CloudJob *job, const char *suffix) {
        g_autofree char *path = resource_path(job->instance_id);

        return g_strconcat(path, suffix, NULL);
}

bool api_is_denied(const ApiReply *reply) {
        return reply->http->problem == HTTP_ANSWERED && reply->http->status == 403;
}

void api_fail(CloudJob *job, const ApiReply *reply, const char *what) {
        g_autofree char *detail =
                *reply->code ? g_strdup_printf("%s: %s", reply->code, reply->message) : g_strdup(reply->message);
        int r = -EIO;

        if (job->call)
                r = cloud_fail_as(job->call, reply->http, is_passing(reply->http, reply->code) || reply->ok, what,
                                  detail);
        cloud_job_end(job, r);
}

void api_fail_for(CloudJob *job, const char *what, const char *code, const char *message) {
        const char *name =
                g_strv_contains(passing_codes, code) ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED;

        cloud_job_fail(job, name, "%s: %.64s: %.*s", what, *code ? code : "failed", DETAIL_MAX, message);
}
