/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of AWS's Query APIs (EC2, Auto Scaling): a form, signed by libcurl, and an answer in XML. Every action called
 * here may be repeated: AWS takes a second StopInstances, StartInstances or CreateTags for what it is. Instances are
 * asked for by id and nothing with MaxResults, so that no answer comes in pages. */

#include "aws.h"
#include "cloud/call.h"

extern const CloudApi api;

/* See cloud_call(). parameters: "InstanceId.1", "i-0abc", …, NULL. */
void api_call(CloudJob *job, const char *service, const char *action, const char *const *parameters,
              CloudCallDone done);

/* The account may not do this. */
bool api_is_denied(const CloudReply *reply);
