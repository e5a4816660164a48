/* SPDX-License-Identifier: Apache-2.0 */

/* Which announcements have been there: of each source so many, the latest. */

#include "daemon/event/memory.h"

static void test_an_id_is_known_of_its_source_alone(void) {
        g_autoptr(Memory) memory = memory_new();

        g_assert_false(memory_has(memory, "aws", "i-1"));
        g_assert_null(memory_add(memory, "aws", "i-1"));
        g_assert_null(memory_add(memory, "aws", "i-1"));
        g_assert_true(memory_has(memory, "aws", "i-1"));
        g_assert_false(memory_has(memory, "gcp", "i-1"));
}

static void test_a_source_that_talks_much_forgets_its_own_alone(void) {
        g_autoptr(Memory) memory = memory_new();

        g_assert_null(memory_add(memory, "aws", "i-1"));
        for (unsigned i = 0; i < 2 * MEMORY_PER_SOURCE_MAX; i++) {
                g_autofree char *id = g_strdup_printf("%u", i), *forgotten = memory_add(memory, "chatter", id);
                g_autofree char *oldest =
                        i < MEMORY_PER_SOURCE_MAX ? NULL : g_strdup_printf("%u", i - MEMORY_PER_SOURCE_MAX);

                g_assert_cmpstr(forgotten, ==, oldest);
        }
        g_assert_false(memory_has(memory, "chatter", "0"));
        g_assert_true(memory_has(memory, "chatter", "2047"));
        g_assert_true(memory_has(memory, "aws", "i-1"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/event/memory/of-its-source", test_an_id_is_known_of_its_source_alone);
        g_test_add_func("/event/memory/bounded", test_a_source_that_talks_much_forgets_its_own_alone);
        return g_test_run();
}
