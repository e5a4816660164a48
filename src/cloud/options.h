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
/* In the same mask: it can wake up again by itself (key wake). */
#define CLOUD_WAKES (1U << 31)

/* "stop" "hibernate" "suspend" */
const char *cloud_action_name(CloudAction action);

typedef struct CloudOptions {
        CloudAction action;
        bool dry_run;
        const char *reason; /* borrowed from the dictionary; "" where none is given */
        uint64_t wake;      /* wall clock µs; 0: not asked for */
} CloudOptions;

/* Keys action (s), reason (s), dry-run (b), wake (t); others, and other types, fail the call with InvalidArgument; an action that is not in the
 * mask and a wake that is not, with NotSupported, for nothing is silently replaced by another. wake is a minute
 * to a year ahead. 0, or what the function of the table returns. */
int cloud_options_read(SnoozePluginCall *call, const SnoozePluginDictionary *options, unsigned actions, CloudOptions *ret);
