/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the failure of a cloud's API means for a call: will it never work like this, or is it worth asking again? */

#include <snooze/plugin.h>

#include "http/http.h"

/* Fails the call for a reply that is no success; what: "ec2:StopInstances on i-0abc"; detail: what the cloud says, "" or NULL where
 * it says nothing, made one line and shortened. Network faults, time-outs, 408, 429 and 5xx are Throttled, all else is Refused. Returns
 * what a function of the plugin's table returns. */
int cloud_fail(SnoozePluginCall *call, const HttpReply *reply, const char *what, const char *detail);

/* The same where the status alone does not tell (a throttling of AWS may be a 400). */
int cloud_fail_as(SnoozePluginCall *call, const HttpReply *reply, bool passing, const char *what, const char *detail);

/* May the very same request be sent again although its first try may have arrived? For HttpRequest.again of requests with effect that
 * carry no token to tell them apart: only where the network says that nothing arrived, or the cloud that it did nothing (429, 503). */
bool cloud_again_without_effect(const HttpReply *reply, void *userdata);
