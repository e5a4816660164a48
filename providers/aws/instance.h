/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An instance as EC2 describes it. */

#include "api.h"

/* DescribeInstances of the job's; see parse_instance(). */
void instance_describe(CloudJob *job, CloudCallDone done);

/* What keeps AWS from doing what a stop is to do, found by StopInstance and CheckPermissions alike. instance: NULL
 * where the role may not ask for it. */

/* Why it would not be hibernated; NULL: it would. Caller frees. */
char *instance_no_hibernation(const CloudJob *job, xmlNode *instance);
bool instance_is_spot(const CloudJob *job, xmlNode *instance);
/* DescribeSpotInstanceRequests of the job's. */
void instance_ask_spot_request(CloudJob *job, CloudCallDone done);
/* Why an instance of that request is never stopped; NULL: nothing that is known. Caller frees. */
char *instance_no_stop(const CloudJob *job, const CloudReply *reply);
