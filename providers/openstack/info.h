/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What GetInstanceInfo answers, put together of what the metadata service, Keystone and Nova say. Pure. region: the
 * token's; NULL: there is none. */

#include <snooze/dictionary.h>

#include "parse.h"

/* By Nova. */
void info_tell_server(SnoozePluginDictionary *result, const char *id, const char *region, const Server *server);
/* This one, by the metadata service alone. */
void info_tell_own(SnoozePluginDictionary *result, const char *region, const Identity *identity);
