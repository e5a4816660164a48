/* SPDX-License-Identifier: Apache-2.0 */

#include "util/version.h"

static void test_valid(void) {
        static const char *const good[] = { "0",           "1.2",         "1.2.3",
                                            "1.0.0-alpha", "1.0.0-0.3.7", "1.0.0-x-y.z+build.5",
                                            "2147483647" };
        static const char *const bad[] = { "",       "v1",         "1.",     ".1", "1..2",       "01",     "1.2.3.4",
                                           "1.2.3-", "1.2.3-a..b", "1.2.3+", "1 ", "2147483648", "1.2.3-ä" };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++)
                g_assert_true(version_valid(good[i]));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
                g_assert_false(version_valid(bad[i]));
        g_assert_false(version_valid(NULL));
}

/* The example of Semantic Versioning, section 11, and numbers that are not words. */
static void test_order(void) {
        static const char *const ascending[] = { "0.9",        "1.0.0-alpha",  "1.0.0-alpha.1", "1.0.0-alpha.beta",
                                                 "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1",
                                                 "1.0.0",      "1.0.1",        "1.2",           "1.10",
                                                 "2" };

        for (size_t i = 0; i < G_N_ELEMENTS(ascending); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(ascending); j++) {
                        int order = version_compare(ascending[i], ascending[j]);

                        g_assert_cmpint((order > 0) - (order < 0), ==, (i > j) - (i < j));
                }
        g_assert_cmpint(version_compare("1.2", "1.2.0"), ==, 0);
        g_assert_cmpint(version_compare("1.2.3+a", "1.2.3+b"), ==, 0);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/version/valid", test_valid);
        g_test_add_func("/version/order", test_order);
        return g_test_run();
}
