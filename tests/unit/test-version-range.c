/* SPDX-License-Identifier: Apache-2.0 */

/* Which versions a dependency may have. */

#include "util/version-range.h"

static void expect(const char *range, const char *version, gboolean expected) {
        g_assert_true(version_range_valid(range));
        if (version_range_has(range, version) != expected)
                g_error("%s %s %s", range, expected ? "should allow" : "should refuse", version);
}

static void within(const char *range, const char *version) {
        expect(range, version, TRUE);
}

static void outside(const char *range, const char *version) {
        expect(range, version, FALSE);
}

static void test_comparisons(void) {
        within(">=1.2 <2", "1.2.0");
        within(">=1.2 <2", "1.99.3");
        outside(">=1.2 <2", "1.1.9");
        outside(">=1.2 <2", "2.0.0");
        within(">1.2", "1.2.1");
        outside(">1.2", "1.2");
        within("<=1.2", "1.2.0");
        outside("<=1.2", "1.2.1");
        within("=1.2.3", "1.2.3");
        within("1.2", "1.2.0");
        outside("1.2", "1.2.1");
        within(">= 1.2", "1.3");
}

static void test_tilde(void) {
        within("~1.4", "1.4.0");
        within("~1.4", "1.4.17");
        outside("~1.4", "1.5.0");
        outside("~1.4", "1.3.9");
        within("~1.4.2", "1.4.2");
        outside("~1.4.2", "1.4.1");
        outside("~1.4.2", "1.5.0");
        within("~1", "1.9.0");
        outside("~1", "2.0.0");
}

static void test_caret(void) {
        within("^1", "1.0.0");
        within("^1.2", "1.9.9");
        outside("^1.2", "1.1.9");
        outside("^1.2", "2.0.0");
        within("^0.3.1", "0.3.9");
        outside("^0.3.1", "0.4.0");
        within("^0.0.3", "0.0.3");
        outside("^0.0.3", "0.0.4");
        within("^0.0", "0.0.9");
        outside("^0.0", "0.1.0");
        within("^0", "0.9.0");
        outside("^0", "1.0.0");
}

static void test_alternatives(void) {
        within("~1.4 || ^3", "1.4.1");
        within("~1.4||^3", "3.7.0");
        outside("~1.4 || ^3", "2.0.0");
        within("*", "0.0.1-alpha");
        within(">=5 || *", "1.0.0");
        within(" * ", "1.0.0");
}

/* 2.0.0-rc.1 comes before 2.0.0, and yet nobody means it who says "less than 2". */
static void test_candidates(void) {
        outside("<2", "2.0.0-rc.1");
        outside("~1.4", "1.5.0-rc.1");
        outside("^1", "2.0.0-0");
        within("<2.0.0-rc.2", "2.0.0-rc.1");
        within(">=2.0.0-rc.1", "2.0.0");
        within("^2.0.0-rc.1", "2.0.0-rc.2");
        within("<=2+build-7", "2.0.0");
        outside("<2+build-7", "2.0.0-rc.1");
}

static void test_wrong(void) {
        static const char *const wrong[] = { "",      " ",   "||",   "1 ||", "|| 1", "1 | 2", ">=", "~",       "a",
                                             "1.2.x", ">>1", "=>1",  "* 1",  "1 *",  "1,2",   "**", "1.2.3.4", "> = 1",
                                             "^-1",   "v1",  "1\t2", "!1",   "==1",  "~>1",   NULL };
        g_autofree char *long_one = g_strnfill(300, ' ');

        long_one[0] = '*';
        g_assert_false(version_range_valid(NULL));
        g_assert_false(version_range_valid(long_one));
        for (const char *const *text = wrong; *text; text++)
                if (version_range_valid(*text))
                        g_error("“%s” passes as a range", *text);
}

static void test_the_largest_number(void) {
        within("~2147483647", "2147483647.1.0");
        within("^2147483647", "2147483647.1.0");
        outside("<2147483647", "2147483647.0.0");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/version-range/comparisons", test_comparisons);
        g_test_add_func("/version-range/tilde", test_tilde);
        g_test_add_func("/version-range/caret", test_caret);
        g_test_add_func("/version-range/alternatives", test_alternatives);
        g_test_add_func("/version-range/candidates", test_candidates);
        g_test_add_func("/version-range/wrong", test_wrong);
        g_test_add_func("/version-range/the-largest-number", test_the_largest_number);
        return g_test_run();
}
