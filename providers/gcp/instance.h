/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* instances.get, and which instance a call means. */

#include "api.h"

/* Finds the instance that the call is about, and goes on. The job's target is known then. */
void instance_find(CloudJob *job, CloudJobStep next);
/* It is this machine, by whichever of its names. Not before it was found. */
bool instance_is_own(const CloudJob *job);

/* See parse.h for what is in the answer. */
void instance_get(CloudJob *job, CloudCallDone done);

/* What keeps a stop or suspend from being done, found by StopInstance and CheckPermissions alike. Texts are the
 * caller's. */

/* The answer is about another instance than this one; NULL: it is not. */
char *instance_mistaken(const CloudJob *job, JsonObject *instance);
/* Why Google, or the configuration, does not let it; NULL: nothing that is known. instance: NULL where the account may
 * not ask for it. ret_error_name: as StopInstance fails; may be NULL. */
char *instance_obstacle(const CloudJob *job, StopAction action, JsonObject *instance, const char **ret_error_name);

/* How every deed begins: the instance is found, and asked for as it is now, if the access scopes of this machine leave
 * anything to be done at all; else the job ends. */
void instance_begin(CloudJob *job, CloudCallDone got);

/* 0, or InvalidArgument. */
int instance_check_id(SnoozePluginCall *call, const char *instance_id);
