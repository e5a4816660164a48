/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* How a person names one value of the configuration: sources.memory.policy, or as a JSON pointer (RFC 6901),
 * /sources/memory/policy, which also reaches keys that have a dot in them. */

#include <json-glib/json-glib.h>

/* The segments, decoded; NULL where there is an empty one. */
char **config_path_split(const char *path);

/* a.b and /a/b~1c as people read them; from a JSON pointer. */
char *config_path_display(const char *pointer);

/* A segment as part of a JSON pointer. */
char *config_path_escape(const char *segment);

/* {"a":{"b":value}}: a merge patch. Takes value. */
JsonNode *config_path_patch(char *const *segments, JsonNode *value);
