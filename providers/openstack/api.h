/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of Nova's API about one server: there are no lists, and so no pages of them. Whatever is asked here may be
 * asked twice: an action that the server has already begun is a 409, and its state tells why. A path for cloud_call()
 * is what stands behind the server's id, "" or
 * "/action". */

#include "openstack.h"

extern const CloudApi api;

/* The token may not do this: 403, or, for access rules, 401 with a new token. */
bool api_is_denied(const CloudReply *reply);
/* The server is in no state for it. */
bool api_is_conflict(const CloudReply *reply);
