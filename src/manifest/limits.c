/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/limits.h"

#include "util/json.h"

#define MIB 1048576.0

Limits limits_allowed(const Manifest *manifest) {
        return (Limits) { .memory_max = manifest->memory_max > 0 ? manifest->memory_max : LIMIT_DEFAULT_MEMORY,
                          .cpu_percent = manifest->cpu_percent > 0 ? manifest->cpu_percent : LIMIT_DEFAULT_CPU_PERCENT,
                          .tasks_max = manifest->tasks_max > 0 ? manifest->tasks_max : LIMIT_DEFAULT_TASKS };
}

char *limits_excess(const Manifest *manifest, JsonObject *configured) {
        const Limits allowed = limits_allowed(manifest);
        const struct {
                const char *name;
                double maximum;
        } table[] = {
                { "memory_mb", (double) allowed.memory_max / MIB },
                { "cpu_percent", allowed.cpu_percent },
                { "tasks", (double) allowed.tasks_max },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
                double value = json_get_double(configured, table[i].name, 1);

                if (!(value >= 1 && value <= table[i].maximum))
                        return g_strdup_printf("%s: got %g, expected 1 to %g, which is what %s says", table[i].name,
                                               value, table[i].maximum, manifest->path);
        }
        return NULL;
}
