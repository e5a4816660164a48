/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the access scopes of this machine leave of its account's rights. */

#include "gcp.h"

/* Deeds are possible. Else the job ends, Refused, with what would help. It must have authenticated. */
bool scopes_allow(CloudJob *job);
/* Only what describes the lack; borrowed. */
extern const char scopes_advice[];
