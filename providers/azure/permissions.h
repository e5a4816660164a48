/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the identity may do with a machine, found without doing any of it: Azure lists what its roles allow there. */

#include "api.h"

typedef enum Right {
        RIGHT_DEALLOCATE,
        RIGHT_READ,
        RIGHT_TAGS,
        RIGHT_START,
        RIGHT_COUNT,
} Right;

/* failure: NULL: ((Extra *) job->extra)->granted has a bit for each right that is granted. */
typedef void (*PermissionsDone)(CloudJob *job, const CloudReply *failure);

/* The job must have authenticated. done is called once. */
void permissions_ask(CloudJob *job, PermissionsDone done);

/* "Microsoft.Compute/virtualMachines/deallocate/action". Caller frees. */
char *right_name(const CloudJob *job, Right right);

static inline bool right_is_granted(const CloudJob *job, Right right) {
        return ((const Extra *) job->extra)->granted & (1U << right);
}
