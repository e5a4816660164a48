/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A dictionary of the SDK as a JSON object, and back: what goes to a foreign program and comes from it. */

#include <snooze/dictionary.h>

#include "util/json.h"

/* What has no getter is left out. */
JsonObject *json_of_dictionary(const SnoozePluginDictionary *dictionary);

/* Adds every member. Lists are of strings or of objects; null is left out. FALSE with error: a value that a dictionary
 * cannot have. */
gboolean dictionary_add_json(SnoozePluginDictionary *dictionary, JsonObject *object, GError **error);
