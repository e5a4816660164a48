/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of the Compute Engine API: JSON both ways, with the access token of this machine. A call with an effect
 * carries a requestId that stays the same over all tries, by which Google tells that they are one. Everything that is
 * asked is one thing by its name: there are no lists, and so no pages of them. */

#include "cloud/call.h"
#include "gcp.h"

extern const CloudApi api;

/* See cloud_call(). path: behind /compute/v1/, with its query. body: of a POST; NULL: GET. */
void api_call(CloudJob *job, const char *path, const char *body, CloudCallDone done);
/* POST to the job's target: api_act(job, "stop", "&discardLocalSsd=true", "", …). */
void api_act(CloudJob *job, const char *method, const char *query, const char *body, CloudCallDone done);

/* Ends the job with what a failed reply means. method: "stop", which is told as "compute.instances.stop on NAME" */
void api_fail(CloudJob *job, const CloudReply *reply, const char *method);

/* The account may not do this. */
bool api_is_denied(const CloudReply *reply);
