/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A virtual machine as the Resource Manager describes it. */

#include "api.h"

/* Asks with the view of what it is doing now. The job must have authenticated. */
void vm_describe(CloudJob *job, CloudCallDone done);

/* The last part of its id, for people; borrowed from the job. */
const char *vm_name(const CloudJob *job);

/* It is this machine that the call is about; not before it was identified. */
bool vm_is_own(const CloudJob *job);

/* 0, or InvalidArgument. */
int vm_check_id(SnoozePluginCall *call, const char *instance_id);
