/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What GetInstanceInfo answers, put together of what the metadata service and the Resource Manager say. Pure. */

#include <snooze/dictionary.h>

#include "parse.h"

/* By the Resource Manager. */
void info_tell_vm(SnoozePluginDictionary *result, const char *id, JsonObject *vm);
/* This one, by the metadata service alone. */
void info_tell_own(SnoozePluginDictionary *result, const Identity *identity);
