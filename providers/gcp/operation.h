/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Google answers a deed with an operation: it is followed until it is done or failed, and what it did is looked at. */

#include "api.h"

typedef struct Deed {
        const char *method; /* "stop" */
        const char *const
                *expected; /* statuses of an instance for which it was done; NULL: the operation's word has to do */
        bool leaves;       /* done to this machine, it is enough that it leaves: nobody will be here to see the end */
} Deed;

/* reply: to the deed. Ends the job. The deed has to outlive it. */
void operation_follow(CloudJob *job, const CloudReply *reply, const Deed *deed);

void following_free(struct Following *following);
