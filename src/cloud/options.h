/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The options of CloudProvider.StopInstance and StartInstance, read strictly. */

#include <snooze/plugin.h>

typedef enum CloudAction {
        CLOUD_STOP,
        CLOUD_HIBERNATE,
        CLOUD_SUSPEND,
        CLOUD_ACTION_COUNT,
} CloudAction;

#define CLOUD_ACTION_MASK(action) (1U << (action))

/* "stop" "hibernate" "suspend" */
const char *cloud_action_name(CloudAction action);

typedef struct CloudOptions {
        CloudAction action;
        bool dry_run;
        const char *reason; /* borrowed from the dictionary; "" where none is given */
} CloudOptions;

/* Keys action (s), reason (s), dry-run (b); others, and other types, fail the call with InvalidArgument; an action that is not in the
 * mask with NotSupported, for no action is silently replaced by another. 0, or what the function of the table returns. */
int cloud_options_read(SnoozePluginCall *call, const SnoozePluginDictionary *options, unsigned actions, CloudOptions *ret);
