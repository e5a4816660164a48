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

/* result: of the call. Returns where its tags go, by cloud_info_add_tag(), none so far; borrowed. */
SnoozePluginDictionary *cloud_info_tell(SnoozePluginDictionary *result, const CloudInfo *info);

/* Leaves out one whose name is longer than the contract takes (128 bytes, where clouds count characters): the rest is
 * told all the same. */
void cloud_info_add_tag(SnoozePluginDictionary *tags, const char *name, const char *value);

/* The same of this machine where no cloud says more: it runs, for it asks, or is on its way off. */
void cloud_info_tell_own(SnoozePluginCall *call, const char *id, const char *type, bool stopping);
