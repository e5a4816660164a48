/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What GetInstanceInfo answers, put together of what the metadata service and EC2 say. Pure. */

#include <snooze/dictionary.h>

#include "parse.h"

/* By EC2; own: this machine, in whose region all are that may be asked for. */
void info_tell_instance(SnoozePluginDictionary *result, const Identity *own, xmlNode *instance);
/* This one, by the metadata service alone. */
void info_tell_own(SnoozePluginDictionary *result, const Identity *identity);
