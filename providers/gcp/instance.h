/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* instances.get and what is in its answer, and which instance a call means. */

#include "api.h"

/* Finds the instance that the call is about, and goes on. The job's target is known then. */
void instance_find(CloudJob *job, CloudJobStep next);
/* It is this machine, by whichever of its names. Not before it was found. */
bool instance_is_own(const CloudJob *job);

void instance_get(CloudJob *job, ApiDone done);

/* "RUNNING"; "" where the object is NULL or names none. Borrowed. */
const char *instance_status(JsonObject *instance);
/* Local SSDs, whose content a stop may lose. NULL is fine. */
bool instance_has_local_ssd(JsonObject *instance);

/* 0, or InvalidArgument. "" is fine. */
int gcp_check_instance_id(SnoozePluginCall *call, const char *instance_id);
