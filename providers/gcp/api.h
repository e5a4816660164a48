/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of the Compute Engine API: JSON both ways, with the access token of this machine. Throttled ones are tried
 * again with back-off, and ones refused for a token that just ended once with a new one. A call with an effect carries
 * a requestId that stays the same over all tries, by which Google tells that they are one. */

#include "gcp.h"

typedef struct ApiReply {
        JsonObject *object; /* of a success; borrowed. NULL: a failure */
        const char *reason; /* of a failure: "forbidden"; "" where none was named */
        const char *message;
        const HttpReply *http;
} ApiReply;

/* Both are gone when it returns. The job's, and may end it. */
typedef void (*ApiDone)(CloudJob *job, const ApiReply *reply);

/* path: behind /compute/v1/, with its query. body: of a POST; NULL: GET. At most once at a time for a job. */
void api_call(CloudJob *job, const char *path, const char *body, ApiDone done);
/* POST to the job's target: api_act(job, "stop", "&discardLocalSsd=true", "", …). */
void api_act(CloudJob *job, const char *method, const char *query, const char *body, ApiDone done);
void api_cancel(struct ApiCall *call);

/* Ends the job with what a failed reply means. method: "stop", which is told as "compute.instances.stop on NAME" */
void api_fail(CloudJob *job, const ApiReply *reply, const char *method);

/* The account may not do this. */
bool api_is_denied(const ApiReply *reply);
/* What passes although its status does not tell. */
bool api_reason_is_passing(const char *reason);
