/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Object paths of a list of things, as sd-bus's node enumerators and `ao` replies want them. */

#include <glib.h>

/* path: gives the path of one element, owned by the caller. NULL-terminated; freed by sd-bus or with g_strfreev()
 * (GLib's allocator is the C library's). */
char **node_paths(GPtrArray *list, char *(*path)(const void *element));
