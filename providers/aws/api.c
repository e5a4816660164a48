/* SPDX-License-Identifier: Apache-2.0 */

#include "api.h"

#include <string.h>

#include <curl/curl.h>
#include <libxml/parser.h>

#include "base/clock.h"
#include "cloud/failure.h"

/* A stop is worth waiting for, but the daemon asks again, too. */
#define ATTEMPTS 4U
#define PATIENCE (40 * USEC_PER_SEC)
#define EC2_VERSION "2016-11-15"
#define AUTOSCALING_VERSION "2011-01-01"

typedef struct ApiCall {
        CloudJob *job;
        char *service, *action;
        char **parameters;
        ApiDone done;
        HttpExchange *exchange;
} ApiCall;

/* Codes that say "later", whatever the status: docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html */
static const char *const passing_codes[] = {
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "RequestThrottled", "InternalError", "InternalFailure",
        "Unavailable",          "ServiceUnavailable", "RequestTimeout", "InsufficientInstanceCapacity", NULL,
};

/* Credentials that ended under way, or a clock that was wrong for a moment. */
static const char *const expired_codes[] = { "RequestExpired", "ExpiredToken", "ExpiredTokenException", "AuthFailure",
                                             "InvalidClientTokenId", NULL };

static const char *const denied_codes[] = { "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", NULL };

void api_cancel(struct ApiCall *call) {
        if (!call)
                return;
        http_cancel(call->exchange);
        g_free(call->service);
        g_free(call->action);
        g_strfreev(call->parameters);
        g_free(call);
}

static Extra *extra_of(const CloudJob *job) {
        return job->extra;
}

typedef struct Failure {
        char *code, *message;
} Failure;

static void failure_clear(Failure *failure) {
        g_free(failure->code);
        g_free(failure->message);
}

/* EC2 answers Response/Errors/Error, Auto Scaling ErrorResponse/Error. */
static void read_failure(xmlNode *root, Failure *ret) {
        xmlNode *error = xml_child(xml_child(root, "Errors"), "Error") ?: xml_child(root, "Error");

        ret->code = xml_text(error, "Code");
        ret->message = xml_text(error, "Message");
}

static xmlDoc *parse(const HttpReply *reply) {
        if (reply->problem != HTTP_ANSWERED || reply->size == 0)
                return NULL;
        /* No entity is put in and nothing is fetched; what is no XML is a failure like another. */
        return xmlReadMemory(reply->body, (int) reply->size, "answer", NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

static bool has_code(const char *const *codes, const char *code) {
        return code && *code && g_strv_contains(codes, code);
}

static bool is_passing(const HttpReply *reply, const char *code) {
        return reply->problem == HTTP_UNREACHABLE || reply->problem == HTTP_TIMED_OUT || http_reply_is_passing(reply) ||
                has_code(passing_codes, code);
}

static bool again(const HttpReply *reply, void *userdata) {
        xmlDoc *document = parse(reply);
        Failure failure = {};
        bool passing;

        if (document)
                read_failure(xmlDocGetRootElement(document), &failure);
        passing = is_passing(reply, failure.code);
        failure_clear(&failure);
        xmlFreeDoc(document);
        return passing;
}

static void send_call(ApiCall *call);

static void authenticated_anew(CloudJob *job) {
        send_call(extra_of(job)->api);
}

static void finish(ApiCall *call, const ApiReply *reply) {
        CloudJob *job = call->job;
        ApiDone done = call->done;

        extra_of(job)->api = NULL;
        call->exchange = NULL;
        done(job, reply);
        api_cancel(call);
}

static void take_reply(ApiCall *call, const HttpReply *http) {
        Aws *aws = call->job->provider;
        xmlDoc *document = parse(http);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        ApiReply reply = { .http = http, .code = "", .message = "" };
        Failure failure = {};

        if (http->problem == HTTP_ANSWERED && http->status >= 200 && http->status < 300) {
                reply.root = root;
                reply.message = root ? "" : "an answer that is no XML";
        } else if (root) {
                read_failure(root, &failure);
                reply.code = failure.code ?: "";
                reply.message = failure.message ?: "";
        }
        if (has_code(expired_codes, reply.code) && !call->job->renewed && aws->credentials && aws->credentials->token) {
                call->job->renewed = true;
                g_clear_pointer(&aws->credentials, credentials_free);
                cloud_job_authenticate(call->job, authenticated_anew);
        } else
                finish(call, &reply);
        failure_clear(&failure);
        xmlFreeDoc(document);
}

static void on_reply(const HttpReply *http, void *userdata) {
        ApiCall *call = userdata;
        const Aws *aws = call->job->provider;

        call->exchange = NULL;
        /* What reads the answer looks at this machine's identity, too. */
        if (aws->identity)
                take_reply(call, http);
        else
                cloud_job_fail(call->job, SNOOZE_PLUGIN_ERROR_THROTTLED, "The configuration changed under way");
}

static void append_parameter(GString *form, const char *name, const char *value) {
        g_autofree char *encoded = g_uri_escape_string(value, NULL, FALSE);

        g_string_append_printf(form, "%s%s=%s", form->len > 0 ? "&" : "", name, encoded);
}

static char *form_of(const ApiCall *call) {
        GString *form = g_string_new(NULL);

        append_parameter(form, "Action", call->action);
        append_parameter(form, "Version", g_str_equal(call->service, "ec2") ? EC2_VERSION : AUTOSCALING_VERSION);
        for (char **p = call->parameters; *p; p += 2)
                append_parameter(form, p[0], p[1]);
        return g_string_free(form, FALSE);
}

static char *url_of(const ApiCall *call) {
        const Aws *aws = call->job->provider;
        const char *own = aws_setting(aws, g_str_equal(call->service, "ec2") ? "endpoint_url" : "autoscaling_endpoint_url");

        return own ? g_strdup(own)
                   : g_strdup_printf("https://%s.%s.%s/", call->service, aws->identity->region, aws->identity->domain);
}

static void send_call(ApiCall *call) {
        const Aws *aws = call->job->provider;
        const Credentials *credentials = aws->credentials;
        g_autofree char *form = form_of(call), *url = url_of(call),
                        *signature = g_strdup_printf("aws:amz:%s:%s", aws->identity->region, call->service),
                        *pair = g_strdup_printf("%s:%s", credentials->key, credentials->secret),
                        *token = credentials->token ? g_strdup_printf("X-Amz-Security-Token: %s", credentials->token) : NULL;
        const char *headers[] = { "Content-Type: application/x-www-form-urlencoded; charset=utf-8", token, NULL };
        const HttpRequest request = {
                .url = url,
                .headers = headers,
                .body = form,
                .body_size = strlen(form),
                .proxy = aws_setting(aws, "proxy_url"),
                .ca_file = aws_setting(aws, "ca_file"),
                .signature = signature,
                .credentials = pair,
                .attempts = ATTEMPTS,
                .patience = PATIENCE,
                .again = again,
        };
        int r = http_send(aws->http, &request, on_reply, call, &call->exchange);

        explicit_bzero(pair, strlen(pair));
        if (token)
                explicit_bzero(token, strlen(token));
        if (r < 0) {
                const HttpReply none = { .problem = HTTP_INVALID, .message = g_strerror(-r), .body = "" };

                finish(call, &(const ApiReply) { .http = &none, .code = "", .message = "" });
        }
}

void api_call(CloudJob *job, const char *service, const char *action, const char *const *parameters, ApiDone done) {
        const Aws *aws = job->provider;
        ApiCall *call = g_new0(ApiCall, 1);

        call->job = job;
        call->service = g_strdup(service);
        call->action = g_strdup(action);
        call->parameters = g_strdupv((char **) parameters);
        call->done = done;
        extra_of(job)->api = call;
        /* A configuration that changed between two calls of a job has taken its credentials along. */
        if (aws->identity && aws->credentials)
                send_call(call);
        else
                cloud_job_authenticate(job, authenticated_anew);
}

bool api_is_denied(const ApiReply *reply) {
        return has_code(denied_codes, reply->code) || (reply->http->problem == HTTP_ANSWERED && reply->http->status == 403);
}

void api_fail(CloudJob *job, const ApiReply *reply, const char *what) {
        g_autofree char *detail = *reply->code ? g_strdup_printf("%s: %s", reply->code, reply->message) : g_strdup(reply->message);
        int r = -EIO;

        if (job->call)
                r = cloud_fail_as(job->call, reply->http, is_passing(reply->http, reply->code) || (reply->http->status == 200),
                                  what, detail);
        cloud_job_end(job, r);
}
