/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The answer of CloudProvider.GetInstanceInfo. */

#include <snooze/plugin.h>

typedef struct CloudInfo {
        const char *id, *name, *type, *region, *zone; /* NULL: "" */
        const char *state;                            /* NULL: "" */
        bool spot;
        uint64_t launched; /* wall clock µs; 0: not known */
} CloudInfo;

/* Returns where its tags go, none so far; borrowed. */
SnoozePluginDictionary *cloud_info_tell(SnoozePluginCall *call, const CloudInfo *info);

/* The same of this machine where no cloud says more: it runs, for it asks, or is on its way off. */
void cloud_info_tell_own(SnoozePluginCall *call, const char *id, const char *type, bool stopping);
