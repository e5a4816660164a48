/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of the Resource Manager: JSON both ways, with the token of the managed identity, which goes nowhere else.
 * Everything sent here may be repeated: Azure takes a second deallocation, start or merge of tags for what it is. */

#include "azure.h"

/* Version of the virtual machines' API. Tags and permissions have their own. */
#define COMPUTE_VERSION "2024-07-01"

extern const CloudApi api;

/* "/subscriptions/…/virtualMachines/N" + suffix "/deallocate?api-version=…": a path for cloud_call(), which takes a
 * URL that a reply of Azure named as well, and asks that only where it leads to the Resource Manager itself. Caller
 * frees. */
char *api_path(const CloudJob *job, const char *suffix);

/* Does this URL lead to the endpoint: the same scheme, host and port? Nobody else's gets the token. */
bool api_is_own_url(const char *endpoint, const char *url);

/* Ends the job with a failure that stands in a document of an operation. what: "deallocate on vm-1" */
void api_fail_for(CloudJob *job, const char *what, const char *code, const char *message);

/* The account may not do this. */
bool api_is_denied(const CloudReply *reply);
