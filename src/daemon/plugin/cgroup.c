/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/cgroup.h"

#include <string.h>

#include "base/clock.h"
#include "util/file.h"

#define FILE_MAX 65536U
#define V1_NO_LIMIT (UINT64_C(1) << 60) /* it says a number near 2⁶³, in whole pages */

typedef struct Group {
        const char *root, *path;
} Group;

/* controllers: the directories of version 1 where it may be, "" for version 2. NULL: nowhere. Caller frees. */
static char *read_file(const Group *group, const char *const *controllers, const char *name) {
        for (; *controllers; controllers++) {
                g_autofree char *path = g_build_filename(group->root, *controllers, group->path, name, NULL);
                char *text;

                if (file_read(path, FILE_MAX, &text, NULL, NULL))
                        return text;
        }
        return NULL;
}

static uint64_t number(const char *text) {
        char *end;
        uint64_t value = g_ascii_strtoull(text, &end, 10);

        return end == text ? CGROUP_UNKNOWN : value;
}

static uint64_t read_number(const Group *group, const char *const *controllers, const char *name) {
        g_autofree char *text = read_file(group, controllers, name);

        return text ? number(text) : CGROUP_UNKNOWN;
}

/* Of lines "key value". */
static uint64_t field(const char *text, const char *key) {
        size_t n = strlen(key);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                line += *line == '\n';
                if (strncmp(line, key, n) == 0 && line[n] == ' ')
                        return number(line + n + 1);
        }
        return CGROUP_UNKNOWN;
}

static uint64_t read_field(const Group *group, const char *const *controllers, const char *name, const char *key) {
        g_autofree char *text = read_file(group, controllers, name);

        return text ? field(text, key) : CGROUP_UNKNOWN;
}

/* Files that nobody has used for a while are in memory only as long as nothing else wants the room. */
static uint64_t needed_memory(uint64_t used, uint64_t droppable) {
        if (used == CGROUP_UNKNOWN || droppable == CGROUP_UNKNOWN)
                return used;
        return used > droppable ? used - droppable : 0;
}

static uint64_t share(uint64_t quota, uint64_t period) {
        if (quota == CGROUP_UNKNOWN || period == CGROUP_UNKNOWN || period == 0 || quota > UINT64_MAX / USEC_PER_SEC)
                return CGROUP_UNKNOWN;
        return quota * USEC_PER_SEC / period;
}

/* "max 100000" or "20000 100000" */
static uint64_t read_cpu_max(const Group *group, const char *const *controllers) {
        g_autofree char *text = read_file(group, controllers, "cpu.max");
        const char *period = text ? strchr(text, ' ') : NULL;

        return period ? share(number(text), number(period + 1)) : CGROUP_UNKNOWN;
}

/* Lines "8:0 rbytes=1 wbytes=2 rios=…", one for each device. */
static uint64_t read_io(const Group *group, const char *const *controllers) {
        g_autofree char *text = read_file(group, controllers, "io.stat");
        g_auto(GStrv) words = text ? g_strsplit_set(text, " \n", -1) : NULL;
        uint64_t sum = 0;

        if (!words)
                return CGROUP_UNKNOWN;
        for (char **word = words; *word; word++)
                if (g_str_has_prefix(*word, "rbytes=") || g_str_has_prefix(*word, "wbytes="))
                        sum += g_ascii_strtoull(*word + strlen("rbytes="), NULL, 10);
        return sum;
}

static void read_version_2(const Group *group, CgroupUsage *usage) {
        static const char *const unified[] = { "", NULL };

        usage->memory = needed_memory(read_number(group, unified, "memory.current"),
                                      read_field(group, unified, "memory.stat", "inactive_file"));
        usage->memory_max = read_number(group, unified, "memory.max");
        usage->oom_kills = read_field(group, unified, "memory.events", "oom_kill");
        usage->tasks = read_number(group, unified, "pids.current");
        usage->tasks_max = read_number(group, unified, "pids.max");
        usage->tasks_refused = read_field(group, unified, "pids.events", "max");
        usage->cpu_usec = read_field(group, unified, "cpu.stat", "usage_usec");
        usage->cpu_max = read_cpu_max(group, unified);
        usage->io_bytes = read_io(group, unified);
}

static void read_version_1(const Group *group, CgroupUsage *usage) {
        static const char *const memory[] = { "memory", NULL }, *const pids[] = { "pids", NULL };
        static const char *const cpu[] = { "cpu,cpuacct", "cpu", NULL }, *const cpuacct[] = { "cpu,cpuacct", "cpuacct",
                                                                                              NULL };
        static const char *const blkio[] = { "blkio", NULL };
        uint64_t nanoseconds = read_number(group, cpuacct, "cpuacct.usage");

        usage->memory = needed_memory(read_number(group, memory, "memory.usage_in_bytes"),
                                      read_field(group, memory, "memory.stat", "total_inactive_file"));
        usage->memory_max = read_number(group, memory, "memory.limit_in_bytes");
        if (usage->memory_max >= V1_NO_LIMIT)
                usage->memory_max = CGROUP_UNKNOWN;
        usage->oom_kills = read_field(group, memory, "memory.oom_control", "oom_kill");
        usage->tasks = read_number(group, pids, "pids.current");
        usage->tasks_max = read_number(group, pids, "pids.max");
        usage->tasks_refused = read_field(group, pids, "pids.events", "max");
        if (nanoseconds != CGROUP_UNKNOWN)
                usage->cpu_usec = nanoseconds / NSEC_PER_USEC;
        usage->cpu_max =
                share(read_number(group, cpu, "cpu.cfs_quota_us"), read_number(group, cpu, "cpu.cfs_period_us"));
        usage->io_bytes = read_field(group, blkio, "blkio.throttle.io_service_bytes", "Total");
}

static gboolean exists(const Group *group, const char *controller) {
        g_autofree char *path = g_build_filename(group->root, controller, group->path, "cgroup.procs", NULL);

        return g_file_test(path, G_FILE_TEST_EXISTS);
}

gboolean cgroup_read(const char *root, const char *path, CgroupUsage *ret) {
        const Group group = { root, path };

        *ret = (CgroupUsage) { CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN,
                               CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN, CGROUP_UNKNOWN };
        /* Where both versions are mounted the controllers are those of version 1, and the tree of version 2 is in a
         * directory of its own. */
        if (exists(&group, "")) {
                read_version_2(&group, ret);
                return TRUE;
        }
        if (!exists(&group, "memory") && !exists(&group, "pids"))
                return FALSE;
        read_version_1(&group, ret);
        return TRUE;
}
