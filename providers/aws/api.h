/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of AWS's Query APIs (EC2, Auto Scaling): a form, signed by libcurl, and an answer in XML. Throttled ones are tried again with
 * back-off, and ones refused for credentials that just ended once with new ones. Every action called here may be repeated: AWS takes a
 * second StopInstances, StartInstances or CreateTags for what it is. */

#include <libxml/tree.h>

#include "aws.h"

typedef struct ApiReply {
        xmlNode *root;     /* of a success; borrowed. NULL: a failure */
        const char *code;  /* of a failure: "UnauthorizedOperation"; "" where none was named */
        const char *message;
        const HttpReply *http;
} ApiReply;

/* Both are gone when it returns. The job's, and may end it. */
typedef void (*ApiDone)(CloudJob *job, const ApiReply *reply);

/* The job must have authenticated. parameters: "InstanceId.1", "i-0abc", …, NULL; at most once at a time for a job. */
void api_call(CloudJob *job, const char *service, const char *action, const char *const *parameters, ApiDone done);
void api_cancel(struct ApiCall *call);

/* Ends the job with what a failed reply means. what: "ec2:StopInstances on i-0abc" */
void api_fail(CloudJob *job, const ApiReply *reply, const char *what);

/* The account may not do this. */
bool api_is_denied(const ApiReply *reply);

/* The first element of that name among the children, of any name space; NULL-safe. */
xmlNode *xml_child(xmlNode *node, const char *name);
/* The next one of the same name behind this. */
xmlNode *xml_next(xmlNode *node);
/* Text of a child, trimmed; NULL where there is none. Caller frees. */
char *xml_text(xmlNode *node, const char *child);
