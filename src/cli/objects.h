/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Every plugin or provider with all properties in one call. */

#include "cli/cli.h"

typedef struct Object {
        char *path;
        char *id;
        GVariant *properties; /* a{sv} of one interface */
} Object;

/* GPtrArray of Object, by id; NULL with error. interface: SnoozeClient's own info->name. */
GPtrArray *objects_fetch(Cli *cli, const char *interface, GError **error);

/* Properties of one; "", FALSE or 0 where they are missing. */
const char *object_string(const Object *object, const char *name);
gboolean object_boolean(const Object *object, const char *name);

/* Arrays of objects with "id", "path" and all properties, NextStop as next_stop. */
JsonNode *objects_json(GPtrArray *objects);
