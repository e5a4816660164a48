/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What Azure took and has not done yet (202): it is seen through to its end, or until the machine is in the state that
 * was wanted. The operation's own address may be asked only with a right on the whole subscription or resource group,
 * the machine's with one on the machine
 * (learn.microsoft.com/azure/azure-resource-manager/management/async-operations): so both are looked at, and one is
 * enough. */

#include "api.h"

/* accepted: the reply to the request, a success. states: of the machine that are a success, ending with NULL; NULL
 * where only the operation counts. action: for people, "deallocate". Ends the job. */
void operation_follow(CloudJob *job, const CloudReply *accepted, const char *action, const char *const *states);
void operation_cancel(struct Operation *operation);
