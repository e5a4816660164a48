/* SPDX-License-Identifier: Apache-2.0 */

/* One line of somebody else's text. */

#include <string.h>

#include <glib.h>

#include "util/line.h"

static void test_cut(void) {
        static const struct {
                const char *text;
                int max, bytes;
        } cuts[] = {
                { "", 0, 0 },   { "", 8, 0 },    { "abc", 0, 0 },  { "abc", 2, 2 },   { "abc", 3, 3 },
                { "abc", 9, 3 }, { "aé", 2, 1 }, { "aé", 3, 3 }, { "a€x", 3, 1 }, { "a€x", 4, 4 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cuts); i++) {
                int n = line_cut(cuts[i].text, cuts[i].max);

                g_assert_cmpint(n, ==, cuts[i].bytes);
                g_assert_true(g_utf8_validate(cuts[i].text, n, NULL));
        }
}

static void test_clean(void) {
        char text[] = "a\x1b[2J\nb\xe2\x80\xae" "c\xc2\x9b" "d é";

        line_clean(text);
        g_assert_cmpstr(text, ==, "a [2J b c d é");
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/line/cut", test_cut);
        g_test_add_func("/line/clean", test_clean);
        return g_test_run();
}
