/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What state_command says of a machine: a state alone ("running"), or a JSON object with state and any of id, name,
 * type, region, zone, lifecycle (texts), launch-time (µs since the epoch) and tags (an object of texts). It is input
 * like any other: what is unknown, too long or of another type is an error. */

#include <snooze/plugin.h>

/* Fills what is known into info, over what stands there. false: ret_problem says what was wrong and is the caller's to
 * free. */
bool knowledge_read(const char *line, SnoozePluginDictionary *info, char **ret_problem);
