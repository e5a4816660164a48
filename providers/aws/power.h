/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* stop_method "poweroff": for hosts whose role may do nothing. logind switches the machine off, and what that means
 * for the instance is its InstanceInitiatedShutdownBehavior, which only the administrator can confirm. */

#include "aws.h"

/* Ends the job. */
void power_off(CloudJob *job);
/* The same for CheckPermissions: tells whether logind would let it. */
void power_check(CloudJob *job);

/* "stops-billing" "terminates" "unknown": what the confirmed behavior ("stop", "terminate" or NULL) means. */
const char *power_stop_effect(const char *behavior);
