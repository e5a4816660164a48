/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of the Resource Manager: JSON both ways, with the token of the managed identity, which goes nowhere else.
 * Throttled ones are tried again with back-off, and one refused for a token that just ended once with a new one.
 * Everything sent here may be repeated: Azure takes a second deallocation, start or merge of tags for what it is. */

#include "azure.h"

/* Version of the virtual machines' API. Tags and permissions have their own. */
#define COMPUTE_VERSION "2024-07-01"

typedef struct ApiReply {
        bool ok;          /* a status from 200 to 299 */
        JsonObject *root; /* of a success with a document; borrowed */
        const char *code; /* of a failure: "AuthorizationFailed"; "" where none was named */
        const char *message;
        const HttpReply *http;
} ApiReply;

/* Both are gone when it returns. The job's, and may end it. */
typedef void (*ApiDone)(CloudJob *job, const ApiReply *reply);

/* The job must have authenticated; one call at a time for a job. path: "/subscriptions/…?api-version=…", or a URL that
 * a reply of Azure named, which is asked only where it leads to the Resource Manager itself. body: NULL, or JSON, ""
 * for a request without any that a POST wants all the same. */
void api_call(CloudJob *job, const char *method, const char *path, const char *body, ApiDone done);
void api_cancel(struct ApiCall *call);

/* "/subscriptions/…/virtualMachines/N" + suffix "/deallocate?api-version=…". Caller frees. */
char *api_path(const CloudJob *job, const char *suffix);

/* Does this URL lead to the endpoint: the same scheme, host and port? Nobody else's gets the token. */
bool api_is_own_url(const char *endpoint, const char *url);

/* Ends the job with what a failed reply means. what: "virtualMachines/deallocate on vm-1" */
void api_fail(CloudJob *job, const ApiReply *reply, const char *what);
/* The same for a failure that stands in a document of an operation. */
void api_fail_for(CloudJob *job, const char *what, const char *code, const char *message);

/* The account may not do this. */
bool api_is_denied(const ApiReply *reply);
