/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

#include "resource.h"

#define DETAIL_MAX 300

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

static bool is_passing(const HttpReply *http, const char *code) {
        return cloud_reply_is_passing(http) || (http->status == 409 && !g_strv_contains(lasting_conflicts, code));
}

static void take(CloudCall *call, const HttpReply *http) {
        g_autoptr(JsonNode) document = cloud_reply_parse(http);
        CloudReply reply;

        parse_reply(http, document, &reply);
        cloud_call_answer(call, &reply, http->status == 401);
}

bool api_is_own_url(const char *endpoint, const char *url) {
        g_autoptr(GUri) own = g_uri_parse(endpoint, G_URI_FLAGS_SCHEME_NORMALIZE, NULL),
                        theirs = g_uri_parse(url, G_URI_FLAGS_SCHEME_NORMALIZE, NULL);

        return own && theirs && !g_uri_get_userinfo(theirs) &&
               g_strcmp0(g_uri_get_scheme(own), g_uri_get_scheme(theirs)) == 0 && g_uri_get_host(theirs) &&
               g_ascii_strcasecmp(g_uri_get_host(own), g_uri_get_host(theirs)) == 0 &&
               g_uri_get_port(own) == g_uri_get_port(theirs);
}

static char *url_of(const CloudCall *call, const char *endpoint) {
        if (call->path[0] == '/')
                return g_strconcat(endpoint, call->path, NULL);
        return api_is_own_url(endpoint, call->path) ? g_strdup(call->path) : NULL;
}

static void send_call(CloudCall *call) {
        const Azure *azure = call->job->provider;
        g_autofree char *endpoint = azure_endpoint(azure), *url = url_of(call, endpoint),
                        *authorization = g_strconcat("Authorization: Bearer ", azure->token->text, NULL);
        const char *headers[] = { authorization, call->body && *call->body ? "Content-Type: application/json" : NULL,
                                  NULL };

        cloud_call_send(call, url ? &(const HttpRequest){ .url = url, .headers = headers } : NULL,
                        "Azure named a URL that leads elsewhere, which gets no token");
        explicit_bzero(authorization, strlen(authorization));
}

const CloudApi api = {
        .send = send_call,
        .take = take,
        .is_passing = is_passing,
};

char *api_path(const CloudJob *job, const char *suffix) {
        g_autofree char *path = resource_path(job->instance_id);

        return g_strconcat(path, suffix, NULL);
}

bool api_is_denied(const CloudReply *reply) {
        return reply->http->problem == HTTP_ANSWERED && reply->http->status == 403;
}

void api_fail_for(CloudJob *job, const char *what, const char *code, const char *message) {
        const char *name =
                g_strv_contains(passing_codes, code) ? SNOOZE_PLUGIN_ERROR_THROTTLED : SNOOZE_PLUGIN_ERROR_REFUSED;

        cloud_job_fail(job, name, "%s: %.64s: %.*s", what, *code ? code : "failed", DETAIL_MAX, message);
}
