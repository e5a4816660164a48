/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of Nova's API about one server. Throttled ones are tried again with back-off, and what is refused for a token that ended once with
 * a new one. Whatever is asked here may be asked twice: an action that the server has already begun is a 409, and its state tells why. */

#include <json-glib/json-glib.h>

#include "openstack.h"

typedef struct ApiReply {
        bool ok;             /* 2xx */
        JsonObject *object;  /* of a success that has one; borrowed */
        const char *message; /* of a failure; "" where none was given */
        const HttpReply *http;
} ApiReply;

/* Both are gone when it returns. The job's, and may end it. */
typedef void (*ApiDone)(CloudJob *job, const ApiReply *reply);

/* The job must have authenticated. path: behind the server's id, "" or "/action"; body NULL: GET. At most once at a time for a job. */
void api_call(CloudJob *job, const char *path, const char *body, ApiDone done);
void api_cancel(struct ApiCall *call);

/* Ends the job with what a failed reply means. what: "os-stop of 9d8f…" */
void api_fail(CloudJob *job, const ApiReply *reply, const char *what);

/* The token may not do this: 403, or, for access rules, 401 with a new token. */
bool api_is_denied(const ApiReply *reply);
/* The server is in no state for it. */
bool api_is_conflict(const ApiReply *reply);
