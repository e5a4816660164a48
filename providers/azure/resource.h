/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ids of resources: "/subscriptions/S/resourceGroups/G/providers/Microsoft.Compute/virtualMachines/N", or, for one of
 * a scale set in uniform orchestration, "…/virtualMachineScaleSets/SET/virtualMachines/N". They become paths of a URL.
 */

#include <stdbool.h>

#include <glib.h>

/* One of the two, and nothing in it that could lead elsewhere. */
bool resource_is_machine(const char *id);

/* "Microsoft.Compute/virtualMachines" or "Microsoft.Compute/virtualMachineScaleSets/virtualMachines": what the names
 * of its rights begin with. */
const char *resource_type(const char *id);

/* As a URL's path: what is not plain in it is escaped. Caller frees. */
char *resource_path(const char *id);

/* Case is of no consequence in ids. */
bool resource_equal(const char *a, const char *b);

/* Does a pattern of a role cover this action? A star stands for any text, slashes
 * included (learn.microsoft.com/azure/role-based-access-control/role-definitions). */
bool action_matches(const char *pattern, const char *action);
