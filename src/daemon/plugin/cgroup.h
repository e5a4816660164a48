/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the kernel counts for a control group, read from its files, in version 2 of the hierarchy or in version 1 with
 * one tree for each controller. Nothing here knows of plugins: a root, a path below it, numbers. */

#include <stdint.h>

#include <glib.h>

#define CGROUP_UNKNOWN UINT64_MAX

/* CGROUP_UNKNOWN: not counted here, or no limit. */
typedef struct CgroupUsage {
        uint64_t memory, memory_max;          /* bytes; without what the kernel may drop at once */
        uint64_t oom_kills;
        uint64_t tasks, tasks_max;
        uint64_t tasks_refused;               /* how often a fork failed for that limit */
        uint64_t cpu_usec;                    /* in all */
        uint64_t cpu_max;                     /* µs in each second */
        uint64_t io_bytes;                    /* read and written */
} CgroupUsage;

/* root: where the hierarchies are mounted, /sys/fs/cgroup. path: as systemd's ControlGroup says. FALSE: there is no
 * such group. */
gboolean cgroup_read(const char *root, const char *path, CgroupUsage *ret);
