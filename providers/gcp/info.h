/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What GetInstanceInfo answers, put together of what the metadata service and Compute Engine say. Pure. */

#include <snooze/dictionary.h>

#include "parse.h"

/* By Compute Engine. */
void info_tell_instance(SnoozePluginDictionary *result, JsonObject *instance);
/* This one, by the metadata service alone. */
void info_tell_own(SnoozePluginDictionary *result, const Identity *identity);
