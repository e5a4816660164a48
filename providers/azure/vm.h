/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A virtual machine as the Resource Manager describes it. */

#include "api.h"

/* Asks with the view of what it is doing now. The job must have authenticated. */
void vm_describe(CloudJob *job, CloudCallDone done);

/* The last part of its id, for people; borrowed from the job. */
const char *vm_name(const CloudJob *job);

/* What keeps it from being stopped, found by StopInstance and CheckPermissions alike; NULL: nothing that is known.
 * Texts are the caller's. machine: an answer's document; NULL where the identity may not read it. */
char *vm_no_hibernation(const CloudJob *job, JsonObject *machine);
char *vm_no_deallocation(const CloudJob *job, JsonObject *machine);
/* The machine of an answer; NULL: it has none. */
JsonObject *vm_of(const CloudReply *reply);

/* It is this machine that the call is about; not before it was identified. */
bool vm_is_own(const CloudJob *job);

/* 0, or InvalidArgument. */
int vm_check_id(SnoozePluginCall *call, const char *instance_id);
