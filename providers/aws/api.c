/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

#define EC2_VERSION "2016-11-15"
#define AUTOSCALING_VERSION "2011-01-01"

/* Codes that say "later", whatever the status: docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
static const char *const passing_codes[] = {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "RequestThrottled",
        "InternalError",
        "InternalFailure",
        "Unavailable",
        "ServiceUnavailable",
        "RequestTimeout",
        "InsufficientInstanceCapacity",
        NULL,
};

/* Credentials that ended under way, or a clock that was wrong for a moment. */
static const char *const expired_codes[] = { "RequestExpired", "ExpiredToken", "ExpiredTokenException", "AuthFailure",
                                             "InvalidClientTokenId", NULL };

static const char *const denied_codes[] = { "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", NULL };

static bool has_code(const char *const *codes, const char *code) {
        return code && *code && g_strv_contains(codes, code);
}

static bool is_passing(const HttpReply *http, const char *code) {
        return cloud_reply_is_passing(http) || has_code(passing_codes, code);
}

static bool again(const HttpReply *http, void *userdata) {
        xmlDoc *document = parse_answer(http);
        g_auto(Failure) failure = {};

        if (document)
                parse_failure(xmlDocGetRootElement(document), &failure);
        xmlFreeDoc(document);
        return is_passing(http, failure.code);
}

static void take(CloudCall *call, const HttpReply *http) {
        const Aws *aws = call->job->provider;
        xmlDoc *document = parse_answer(http);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        CloudReply reply = { .http = http, .code = "", .message = "" };
        g_auto(Failure) failure = {};

        reply.ok = http->problem == HTTP_ANSWERED && http->status >= 200 && http->status < 300;
        if (reply.ok) {
                reply.root = root;
                reply.message = root ? "" : "an answer that is no XML";
        } else if (root) {
                parse_failure(root, &failure);
                reply.code = failure.code ?: "";
                reply.message = failure.message ?: "";
        }
        /* A user's own keys do not end. */
        cloud_call_answer(call, &reply,
                          has_code(expired_codes, reply.code) && aws->credentials && aws->credentials->token);
        xmlFreeDoc(document);
}

/* NULL: there is none. */
static char *url_of(const Aws *aws, const char *service) {
        const char *own =
                cloud_setting(&aws->cloud, g_str_equal(service, "ec2") ? "endpoint_url" : "autoscaling_endpoint_url");

        if (own)
                return g_strdup(own);
        return aws->identity->domain
                       ? g_strdup_printf("https://%s.%s.%s/", service, aws->identity->region, aws->identity->domain)
                       : NULL;
}

/* call->path: the service. */
static void send_call(CloudCall *call) {
        const Aws *aws = call->job->provider;
        const Credentials *credentials = aws->credentials;
        g_autofree char *url = url_of(aws, call->path),
                        *signature = g_strdup_printf("aws:amz:%s:%s", aws->identity->region, call->path),
                        *pair = g_strdup_printf("%s:%s", credentials->key, credentials->secret),
                        *token = credentials->token ? g_strdup_printf("X-Amz-Security-Token: %s", credentials->token)
                                                    : NULL;
        const char *headers[] = { "Content-Type: application/x-www-form-urlencoded; charset=utf-8", token, NULL };

        cloud_call_send(
                call,
                url ? &(const HttpRequest){ .url = url,
                                            .headers = headers,
                                            .signature = signature,
                                            .credentials = pair }
                    : NULL,
                "the metadata service names no domain of Amazon's, and the configuration no autoscaling_endpoint_url");
        explicit_bzero(pair, strlen(pair));
        if (token)
                explicit_bzero(token, strlen(token));
}

const CloudApi api = {
        .send = send_call,
        .take = take,
        .is_passing = is_passing,
        .again = again,
};

static void append_parameter(GString *form, const char *name, const char *value) {
        g_autofree char *encoded = g_uri_escape_string(value, NULL, FALSE);

        g_string_append_printf(form, "%s%s=%s", form->len > 0 ? "&" : "", name, encoded);
}

void api_call(CloudJob *job, const char *service, const char *action, const char *const *parameters,
              CloudCallDone done) {
        g_autoptr(GString) form = g_string_new(NULL);

        append_parameter(form, "Action", action);
        append_parameter(form, "Version", g_str_equal(service, "ec2") ? EC2_VERSION : AUTOSCALING_VERSION);
        for (const char *const *p = parameters; *p; p += 2)
                append_parameter(form, p[0], p[1]);
        cloud_call(job, NULL, service, form->str, done);
}

bool api_is_denied(const CloudReply *reply) {
        return has_code(denied_codes, reply->code) ||
               (reply->http->problem == HTTP_ANSWERED && reply->http->status == 403);
}
