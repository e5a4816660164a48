/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/call.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "util/host.h"
#include "util/json.h"

#define DETAIL_MAX 300

void cloud_call_cancel(CloudCall *call) {
        if (!call)
                return;
        http_cancel(call->exchange);
        g_free(call->method);
        g_free(call->path);
        g_free(call->body);
        g_free(call);
}

static const CloudApi *api_of(const CloudCall *call) {
        return call->job->cloud->kind->api;
}

static void send_call(CloudJob *job) {
        api_of(job->api)->send(job->api);
}

/* Always by way of the credentials: a configuration that changed under way has taken them, and the identity, along. */
void cloud_call(CloudJob *job, const char *method, const char *path, const char *body, CloudCallDone done) {
        CloudCall *call = g_new0(CloudCall, 1);

        call->job = job;
        call->method = g_strdup(method);
        call->path = g_strdup(path);
        call->body = g_strdup(body);
        call->done = done;
        job->api = call;
        cloud_job_authenticate(job, send_call);
}

/* done may begin the job's next call, or end the job. */
static void finish(CloudCall *call, const CloudReply *reply) {
        call->job->api = NULL;
        call->exchange = NULL;
        call->done(call->job, reply);
        cloud_call_cancel(call);
}

void cloud_call_answer(CloudCall *call, const CloudReply *reply, bool expired) {
        CloudJob *job = call->job;

        if (!expired || job->renewed) {
                finish(call, reply);
                return;
        }
        job->renewed = true;
        job->cloud->kind->drop_credentials(job->cloud);
        cloud_job_authenticate(job, send_call);
}

static void on_reply(const HttpReply *http, void *userdata) {
        CloudCall *call = userdata;
        CloudJob *job = call->job;

        call->exchange = NULL;
        if (api_of(call)->needs_no_identity || job->cloud->kind->identity(job->cloud))
                api_of(call)->take(call, http);
        else
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "The configuration changed under way");
}

bool cloud_is_this_machine(const char *url) {
        _cleanup_free_ char *host = http_url_host(url);

        return host && host_is_loopback(host);
}

static void finish_unsent(CloudCall *call, HttpProblem problem, const char *message) {
        const HttpReply none = { .problem = problem, .message = message, .body = "" };

        finish(call, &(const CloudReply) { .http = &none, .code = "", .message = "" });
}

void cloud_call_send(CloudCall *call, const HttpRequest *request, const char *problem) {
        const CloudJob *job = call->job;
        const CloudProvider *cloud = job->cloud;
        HttpRequest whole;
        int r = -EINVAL;

        if (cloud_job_is_late(job, 0)) {
                finish_unsent(call, HTTP_TIMED_OUT, "there was no time left to ask");
                return;
        }
        if (request) {
                whole = *request;
                whole.method = call->method;
                whole.body = call->body;
                whole.body_size = call->body ? strlen(call->body) : 0;
                whole.direct = cloud_is_this_machine(request->url);
                whole.proxy = cloud_setting(cloud, "proxy_url");
                whole.ca_file = cloud->ca_file;
                whole.attempts = CLOUD_CALL_ATTEMPTS;
                /* 0 would be no bound. */
                whole.patience = MIN(job->patience ?: CLOUD_CALL_PATIENCE,
                                     usec_sub(job->deadline, clock_monotonic()));
                whole.again = api_of(call)->again;
                r = http_send(cloud->http, &whole, on_reply, call, &call->exchange);
        }
        if (r < 0)
                finish_unsent(call, HTTP_INVALID, request ? g_strerror(-r) : problem);
}

JsonNode *cloud_reply_parse(const HttpReply *http) {
        g_autoptr(JsonNode) node = NULL;

        if (http->problem != HTTP_ANSWERED || http->size == 0)
                return NULL;
        node = json_text_parse("answer", http->body, (gssize) http->size, NULL);
        return node && JSON_NODE_HOLDS_OBJECT(node) ? g_steal_pointer(&node) : NULL;
}

void cloud_reply_read(const HttpReply *http, JsonNode *document, CloudReply *ret) {
        bool ok = http->problem == HTTP_ANSWERED && http->status >= 200 && http->status < 300;

        *ret = (CloudReply) {
                .ok = ok,
                .object = ok && document ? json_node_get_object(document) : NULL,
                .code = "",
                .message = ok && !document && http->size > 0 ? "an answer that is no JSON object" : "",
                .http = http,
        };
}

bool cloud_reply_is_passing(const HttpReply *http) {
        return http->problem == HTTP_UNREACHABLE || http->problem == HTTP_TIMED_OUT || http_reply_is_passing(http);
}

/* detail: what the cloud says, made one that may be told, and shortened; "" where it says nothing. */
static int fail_call(SnoozePluginCall *call, const HttpReply *http, bool passing, const char *what,
                     const char *detail) {
        const char *name = passing ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED;
        g_autofree char *valid = g_utf8_make_valid(detail, -1);

        if (http->problem != HTTP_ANSWERED)
                return snooze_plugin_call_fail(call, name, "%s: %s", what, http->message);
        if (!*valid)
                return snooze_plugin_call_fail(call, name, "%s: the answer is %ld", what, http->status);
        if (g_utf8_strlen(valid, -1) > DETAIL_MAX)
                *g_utf8_offset_to_pointer(valid, DETAIL_MAX) = '\0';
        return snooze_plugin_call_fail(call, name, "%s: %s (%ld)", what, valid, http->status);
}

void cloud_reply_fail(CloudJob *job, const CloudReply *reply, const char *what) {
        g_autofree char *detail =
                *reply->code ? g_strdup_printf("%s: %s", reply->code, reply->message) : g_strdup(reply->message);
        bool passing = reply->ok || job->cloud->kind->api->is_passing(reply->http, reply->code);

        cloud_job_end(job, job->call ? fail_call(job->call, reply->http, passing, what, detail) : -EIO);
}
