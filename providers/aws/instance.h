/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* DescribeInstances and what is in its answer. */

#include "api.h"

/* The job must have authenticated. */
void instance_describe(CloudJob *job, ApiDone done);

/* The one instance of an answer; NULL where it has none, or for NULL. */
xmlNode *instance_find(xmlNode *root);

/* "running": of instanceState, previousState or currentState. NULL where there is none. Caller frees. */
char *instance_state(xmlNode *instance, const char *member);

/* 0, or InvalidArgument. "" is fine. */
int aws_check_instance_id(SnoozePluginCall *call, const char *instance_id);
