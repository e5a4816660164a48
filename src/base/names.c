/* SPDX-License-Identifier: Apache-2.0 */

#include "base/names.h"

#include <string.h>

bool metric_name_valid(const char *name) {
        static const char *const metrics[] = { "cpu", "memory", "network", "disk", "gpu", "input" };

        for (size_t i = 0; i < sizeof(metrics) / sizeof(*metrics); i++)
                if (strcmp(name, metrics[i]) == 0)
                        return true;
        return false;
}

bool plugin_id_valid(const char *id) {
        size_t length = id ? strnlen(id, PLUGIN_ID_MAX + 1) : 0;

        return length > 0 && length <= PLUGIN_ID_MAX && id[0] >= 'a' && id[0] <= 'z' && strcmp(id, "admin") != 0 &&
                !metric_name_valid(id) &&
                strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}
