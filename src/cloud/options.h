/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The arguments of CloudProvider.StopInstance, StartInstance and SetTags, read strictly. */

#include <snooze/plugin.h>

#include "base/stop-actions.h"

#define CLOUD_ACTION_MASK(action) (1U << (action))
/* In the same mask: it can wake up again by itself (key wake). */
#define CLOUD_WAKES (1U << 31)

/* For CheckPermissions: those actions that are not in the mask, as what no machine of this cloud can be made to do. */
void cloud_actions_tell(SnoozePluginCall *call, unsigned actions);

typedef struct CloudOptions {
        StopAction action;
        bool dry_run;
        const char *reason; /* borrowed from the dictionary; "" where none is given */
        uint64_t wake;      /* wall clock µs; 0: not asked for */
} CloudOptions;

/* Keys action (s), reason (s), dry-run (b), wake (t); others, and other types, fail the call with InvalidArgument; an
 * action that is not in the mask and a wake that is not, with NotSupported, for nothing is silently replaced by
 * another. wake is a minute to a year ahead. 0, or what the function of the table returns. */
int cloud_options_read(SnoozePluginCall *call, const SnoozePluginDictionary *options, unsigned actions,
                       CloudOptions *ret);

/* Options of a StopInstance: the same, and a line in the log of who is to do what, and why. instance_id: "": this
 * machine. */
int cloud_options_read_stop(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                            unsigned actions, CloudOptions *ret);
/* Options of a StartInstance. own: it is asked for this machine, which runs, and is an InvalidArgument. */
int cloud_options_read_start(SnoozePluginCall *call, bool own, const SnoozePluginDictionary *options,
                             CloudOptions *ret);

/* Takes a tag; value is NULL where it is no text. 0, or what the call fails with. */
typedef int (*CloudTakeTag)(SnoozePluginCall *call, const char *key, const char *value, void *userdata);

/* Tags of a SetTags, one after the other. owner: who takes at most that many. How many there are, or what the function
 * of the table returns: 0 for none. */
int cloud_tags_read(SnoozePluginCall *call, const SnoozePluginDictionary *tags, const char *owner, unsigned most,
                    CloudTakeTag take, void *userdata);
