/* SPDX-License-Identifier: Apache-2.0 */

/* Any bytes as what the kernel and systemd say a plugin uses. The first byte says which: the files of its control
 * group, version 1 or 2, one after the other between NULs, or the properties of its unit. Nothing that they say may be
 * more than they say. */

#include <string.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "daemon/plugin/cgroup.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/resources.h"
#include "message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GROUP "/g"

static const char *const files_2[] = { "memory.current", "memory.stat", "memory.max",  "memory.events",
                                       "pids.current",   "pids.max",    "pids.events", "cpu.stat",
                                       "cpu.max",        "io.stat",     NULL };
static const char *const files_1[] = { "memory/g/memory.usage_in_bytes",
                                       "memory/g/memory.stat",
                                       "memory/g/memory.limit_in_bytes",
                                       "memory/g/memory.oom_control",
                                       "pids/g/pids.current",
                                       "pids/g/pids.max",
                                       "pids/g/pids.events",
                                       "cpuacct/g/cpuacct.usage",
                                       "cpu/g/cpu.cfs_quota_us",
                                       "cpu/g/cpu.cfs_period_us",
                                       "blkio/g/blkio.throttle.io_service_bytes",
                                       NULL };

static char *roots[2];

static void remove_trees(void) {
        for (unsigned version = 0; version < 2; version++)
                for (const char *const *file = version == 0 ? files_1 : files_2; *file; file++) {
                        g_autofree char *path = version == 0 ? g_build_filename(roots[0], *file, NULL)
                                                             : g_build_filename(roots[1], GROUP, *file, NULL);
                        g_autofree char *group = g_path_get_dirname(path), *parent = g_path_get_dirname(group);
                        g_autofree char *mark = g_build_filename(group, "cgroup.procs", NULL);

                        (void) g_unlink(path);
                        (void) g_unlink(mark);
                        (void) g_rmdir(group);
                        (void) g_rmdir(parent);
                }
        (void) g_rmdir(roots[0]);
        (void) g_rmdir(roots[1]);
}

static void make_group(const char *path) {
        g_autofree char *group = g_path_get_dirname(path), *mark = g_build_filename(group, "cgroup.procs", NULL);

        g_assert_cmpint(g_mkdir_with_parents(group, 0700), ==, 0);
        g_assert_true(g_file_set_contents(mark, "", 0, NULL));
}

static void make_trees(void) {
        if (roots[0])
                return;
        for (unsigned i = 0; i < 2; i++) {
                roots[i] = g_dir_make_tmp("fuzz-usage-XXXXXX", NULL);
                g_assert_nonnull(roots[i]);
        }
        for (const char *const *file = files_1; *file; file++) {
                g_autofree char *path = g_build_filename(roots[0], *file, NULL);

                make_group(path);
        }
        {
                g_autofree char *path = g_build_filename(roots[1], GROUP, files_2[0], NULL);

                make_group(path);
        }
        (void) atexit(remove_trees);
}

static void write_file(const char *path, const void *data, size_t size) {
        FILE *file = fopen(path, "we");

        g_assert_nonnull(file);
        g_assert_cmpuint(fwrite(data, 1, size, file), ==, size);
        g_assert_cmpint(fclose(file), ==, 0);
}

static void write_files(const char *root, const char *below, const char *const *files, Input *input) {
        for (; *files; files++) {
                g_autofree char *path = g_build_filename(root, below, *files, NULL);
                const uint8_t *end = input->left > 0 ? memchr(input->data, '\0', input->left) : NULL;
                size_t size = end ? (size_t) (end - input->data) : input->left;

                if (size > 0)
                        write_file(path, input->data, size);
                else
                        (void) g_unlink(path);
                input->data += size + (end ? 1 : 0);
                input->left -= size + (end ? 1 : 0);
        }
}

static void try_group(unsigned version, Input *input) {
        CgroupUsage usage;

        make_trees();
        if (version == 1)
                write_files(roots[0], "", files_1, input);
        else
                write_files(roots[1], GROUP, files_2, input);
        g_assert_true(cgroup_read(roots[version - 1], GROUP, &usage));
        if (version == 1 && usage.memory_max != CGROUP_UNKNOWN)
                g_assert_cmpuint(usage.memory_max, <, UINT64_C(1) << 60);
}

static void try_resources(Input *input) {
        _cleanup_bus_message_ sd_bus_message *m = message_from_input("a{sv}", input);
        Resource resources[RESOURCES];

        if (m && resources_read_unit(m, resources) >= 0)
                for (unsigned i = 0; i < RESOURCES; i++)
                        g_assert_nonnull(resources[i].name);
}

static void try_ending(Input *input) {
        _cleanup_bus_message_ sd_bus_message *m = message_from_input("sa{sv}as", input);
        UnitEnding ending = {};

        if (m && unit_ending_read(m, &ending) >= 0 && ending.result)
                g_assert_true(g_utf8_validate(ending.result, -1, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const words[] = { "MemoryCurrent",      "MemoryMax",    "CPUUsageNSec",
                                             "CPUQuotaPerSecUSec", "TasksCurrent", "TasksMax",
                                             "IOReadBytes",        "IOWriteBytes", "IPIngressBytes",
                                             "IPEgressBytes",      "Result",       "ExecMainCode",
                                             "ExecMainStatus",     "oom-kill",     NULL };
        Input input = { data, size, words };

        switch (input_take(&input) % 4) {
        case 0:
                try_group(1, &input);
                break;
        case 1:
                try_group(2, &input);
                break;
        case 2:
                try_resources(&input);
                break;
        default:
                try_ending(&input);
        }
        return 0;
}
