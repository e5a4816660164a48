/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A call of a cloud's API for a job: sent with the credentials of this machine, tried again with back-off where that
 * is worth it, and once more with new credentials where the old ones had just ended. What a request looks like, and
 * how a reply is read, is the CloudApi. */

#include <json-glib/json-glib.h>

#include "cloud/job.h"

typedef struct CloudCall CloudCall;
struct _xmlNode;

/* What came of it. */
typedef struct CloudReply {
        bool ok;               /* 2xx, whatever it says */
        JsonObject *object;    /* its document, where it is ok and has one; borrowed */
        struct _xmlNode *root; /* the same where the API speaks XML */
        const char *code;      /* of a failure: "UnauthorizedOperation"; "" where none was named */
        const char *message;   /* what is wrong, or would be if the caller expected more; "" */
        const HttpReply *http;
} CloudReply;

/* The reply is gone when it returns. The job's, and may end it. */
typedef void (*CloudCallDone)(CloudJob *job, const CloudReply *reply);

struct CloudCall {
        CloudJob *job;
        char *method; /* NULL: GET, or POST where there is a body */
        char *path;   /* as CloudApi.send() understands it */
        char *body;   /* may be NULL */
        CloudCallDone done;
        HttpExchange *exchange;
};

typedef struct CloudApi {
        /* Calls cloud_call_send(); the job has authenticated. */
        void (*send)(CloudCall *call);
        /* Reads a reply, and calls cloud_call_answer(). */
        void (*take)(CloudCall *call, const HttpReply *http);
        /* May it be different if it is asked again? code: of the reply. */
        bool (*is_passing)(const HttpReply *http, const char *code);
        HttpAgain again; /* as HttpRequest.again */
        /* What reads replies does without the identity, which a new configuration may have taken under way. */
        bool needs_no_identity;
} CloudApi;

/* A stop is worth waiting for, but the daemon asks again, too. What is left of the job is an end to both. */
#define CLOUD_CALL_ATTEMPTS 4U
#define CLOUD_CALL_PATIENCE UINT64_C(40000000)

/* At most once at a time for a job, which need not have authenticated. The texts are copied. */
void cloud_call(CloudJob *job, const char *method, const char *path, const char *body, CloudCallDone done);
/* Ends it without telling. NULL is fine. */
void cloud_call_cancel(CloudCall *call);

/* Nothing that is sent there goes through a proxy, who would read it: http is spoken with nobody else. */
bool cloud_is_this_machine(const char *url);

/* For CloudApi.send(): url, headers and signature are the request's, all else is filled in.
 * NULL: it cannot be sent, because of the problem. The call may be over when it returns. */
void cloud_call_send(CloudCall *call, const HttpRequest *request, const char *problem);
/* For CloudApi.take(). expired: the credentials were refused, and others may do. The call may be over when it returns.
 */
void cloud_call_answer(CloudCall *call, const CloudReply *reply, bool expired);

/* The document of a reply where it is a JSON object. */
JsonNode *cloud_reply_parse(const HttpReply *http);
/* Reads a reply of an API that speaks JSON but for what a failure says. */
void cloud_reply_read(const HttpReply *http, JsonNode *document, CloudReply *ret);

/* The network's or the service's fault, as http.h has it. */
bool cloud_reply_is_passing(const HttpReply *http);

/* Ends the job with what a failed reply means, or a success of which no sense can be made, which may be different the
 * next time. what: "ec2:StopInstances on i-0abc" */
void cloud_reply_fail(CloudJob *job, const CloudReply *reply, const char *what);
