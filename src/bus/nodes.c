/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/nodes.h"

char **node_paths(GPtrArray *list, char *(*path)(const void *element)) {
        char **paths = g_new0(char *, list->len + 1);

        for (guint i = 0; i < list->len; i++)
                paths[i] = path(g_ptr_array_index(list, i));
        return paths;
}
