/* SPDX-License-Identifier: Apache-2.0 */

/* The kernel's counters of a control group, as two machines of either version show them (tests/data/cgroup), and when
 * a use is worth telling. */

#include <glib.h>

#include "daemon/plugin/cgroup.h"
#include "daemon/plugin/plugin.h"
#include "util/json.h"

#define GROUP "/system.slice/system-snooze\\x2dplugin.slice/snooze-plugin@sessions.service"

static char *tree(const char *name) {
        return g_test_build_filename(G_TEST_DIST, "data", "cgroup", name, NULL);
}

static void test_version_2(void) {
        g_autofree char *root = tree("v2");
        CgroupUsage usage;

        g_assert_true(cgroup_read(root, GROUP, &usage));
        /* Without the 1 MiB of files that may go at once. */
        g_assert_cmpuint(usage.memory, ==, 60817408 - 1048576);
        g_assert_cmpuint(usage.memory_max, ==, 67108864);
        g_assert_cmpuint(usage.oom_kills, ==, 2);
        g_assert_cmpuint(usage.tasks, ==, 3);
        g_assert_cmpuint(usage.tasks_max, ==, 16);
        g_assert_cmpuint(usage.tasks_refused, ==, 7);
        g_assert_cmpuint(usage.cpu_usec, ==, 2500000);
        g_assert_cmpuint(usage.cpu_max, ==, 200000);
        g_assert_cmpuint(usage.io_bytes, ==, 4096 + 8192 + 100 + 1);
}

static void test_version_1(void) {
        g_autofree char *root = tree("v1");
        CgroupUsage usage;

        g_assert_true(cgroup_read(root, GROUP, &usage));
        g_assert_cmpuint(usage.memory, ==, 20000000);
        g_assert_cmpuint(usage.memory_max, ==, CGROUP_UNKNOWN);
        g_assert_cmpuint(usage.oom_kills, ==, 1);
        g_assert_cmpuint(usage.tasks, ==, 16);
        g_assert_cmpuint(usage.tasks_max, ==, 16);
        g_assert_cmpuint(usage.tasks_refused, ==, 120);
        g_assert_cmpuint(usage.cpu_usec, ==, 1234);
        g_assert_cmpuint(usage.cpu_max, ==, 200000);
        g_assert_cmpuint(usage.io_bytes, ==, 12345);
}

static void test_what_is_not_there_is_unknown(void) {
        g_autofree char *root = tree("v2");
        CgroupUsage usage;

        g_assert_false(cgroup_read(root, "/system.slice/none.service", &usage));
        g_assert_true(cgroup_read(root, "/", &usage));
        g_assert_cmpuint(usage.memory, ==, CGROUP_UNKNOWN);
        g_assert_cmpuint(usage.memory_max, ==, CGROUP_UNKNOWN);
        g_assert_cmpuint(usage.cpu_max, ==, CGROUP_UNKNOWN);
        g_assert_cmpuint(usage.io_bytes, ==, CGROUP_UNKNOWN);
}

/* Told near the limit and at it, and not each time that a use wavers around either. */
static void test_levels(void) {
        g_assert_cmpint(limit_level(89, 100, LIMIT_KEPT), ==, LIMIT_KEPT);
        g_assert_cmpint(limit_level(90, 100, LIMIT_KEPT), ==, LIMIT_NEAR);
        g_assert_cmpint(limit_level(85, 100, LIMIT_NEAR), ==, LIMIT_NEAR);
        g_assert_cmpint(limit_level(100, 100, LIMIT_NEAR), ==, LIMIT_REACHED);
        g_assert_cmpint(limit_level(95, 100, LIMIT_REACHED), ==, LIMIT_REACHED);
        g_assert_cmpint(limit_level(80, 100, LIMIT_REACHED), ==, LIMIT_REACHED);
        g_assert_cmpint(limit_level(79, 100, LIMIT_REACHED), ==, LIMIT_KEPT);
        g_assert_cmpint(limit_level(CGROUP_UNKNOWN, 100, LIMIT_REACHED), ==, LIMIT_KEPT);
        g_assert_cmpint(limit_level(100, CGROUP_UNKNOWN, LIMIT_KEPT), ==, LIMIT_KEPT);
        g_assert_cmpint(limit_level(UINT64_MAX - 1, UINT64_MAX - 2, LIMIT_KEPT), ==, LIMIT_REACHED);
}

/* Both figures are named, so that somebody can choose another machine or another limit. */
static void test_what_a_machine_has_not(void) {
        const MachineSize machine = { .memory = UINT64_C(1) << 30, .cpus = 2, .tasks = 4096 };
        const struct {
                Manifest manifest;
                const char *problem;
                const char *configured;
        } cases[] = {
                { { .memory_max = UINT64_C(1) << 30, .cpu_percent = 200, .tasks_max = 4096 }, NULL },
                { {}, NULL },
                { { .memory_max = UINT64_C(3) << 30 }, "asks for 3072 MiB of memory, this machine has 1024 MiB" },
                { { .cpu_percent = 250 }, "asks for 250 % of a CPU, the 2 of this machine have 200 %" },
                { { .tasks_max = 5000 }, "asks for 5000 tasks, this machine has at most 4096" },
                { { .memory_max = UINT64_C(3) << 30, .cpu_percent = 250, .tasks_max = 5000 }, NULL,
                  "{\"memory_mb\": 1024, \"cpu_percent\": 12.5, \"tasks\": 4096}" },
                { { .memory_max = UINT64_C(3) << 30 }, "asks for 2048 MiB of memory, this machine has 1024 MiB",
                  "{\"memory_mb\": 2048}" },
                { { .tasks_max = 5000 }, "asks for 5000 tasks, this machine has at most 4096",
                  "{\"memory_mb\": 1}" },
                /* The manifest bounds what may be configured: that is said of it when it is started. */
                { { .memory_max = UINT64_C(1) << 20 }, NULL, "{\"memory_mb\": 4096}" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const char *text = cases[i].configured;
                g_autoptr(JsonNode) node = text ? json_text_parse("test", text, -1, NULL) : NULL;
                JsonObject *configured = node ? json_node_get_object(node) : NULL;
                g_autofree char *problem = limits_impossible(&cases[i].manifest, configured, &machine);

                g_assert_cmpstr(problem, ==, cases[i].problem);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cgroup/version-2", test_version_2);
        g_test_add_func("/cgroup/version-1", test_version_1);
        g_test_add_func("/cgroup/what-is-not-there-is-unknown", test_what_is_not_there_is_unknown);
        g_test_add_func("/cgroup/levels", test_levels);
        g_test_add_func("/cgroup/what-a-machine-has-not", test_what_a_machine_has_not);
        return g_test_run();
}
