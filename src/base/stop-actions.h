/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a stop may do to a machine: the one list for the daemon, its configuration, the providers and the command
 * line. */

#include <stdbool.h>

typedef enum StopAction {
        STOP_ACTION_STOP,
        STOP_ACTION_HIBERNATE,
        STOP_ACTION_SUSPEND,
        STOP_ACTION_COUNT,
} StopAction;

/* For people who wrote another one. */
#define STOP_ACTIONS_EXPECTED "stop, hibernate or suspend"

/* By StopAction; ends with NULL. */
extern const char *const stop_action_names[STOP_ACTION_COUNT + 1];

/* STOP_ACTION_COUNT: there is none of this name. */
StopAction stop_action_find(const char *name);
bool stop_action_known(const char *name);
