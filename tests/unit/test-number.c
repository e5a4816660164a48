/* SPDX-License-Identifier: Apache-2.0 */

#include "util/number.h"

static void test_numbers(void) {
        static const struct {
                const char *text;
                double value;
        } good[] = {
                { "0", 0 },       { "5", 5 },        { "-5", -5 },       { "12.5", 12.5 },     { "-0.25", -0.25 },
                { "1e3", 1000 },  { "1E-2", 0.01 },  { "2.5e+1", 25 },   { "007", 7 },         { "1e308", 1e308 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                double value = -1;

                g_assert_true(number_parse(good[i].text, &value));
                g_assert_cmpfloat(value, ==, good[i].value);
        }
}

static void test_what_is_none(void) {
        static const char *const bad[] = { "",      " ",   " 5",    "5 ",    "\t5",    "\n5", "+5",  "- 5",
                                           "--5",   "5x",  "x",     "0x5",   "0x1p4",  "inf", "nan", "-inf",
                                           "NaN",   "1e",  "1e+",   "1.",    ".5",     "1,5", "-",   "infinity",
                                           "1.5.2", "5\n", "1e309", "1_000", "-1e309", "٥" };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                double value = 42;

                if (number_parse(bad[i], &value))
                        g_error("“%s” is taken for %g", bad[i], value);
                g_assert_cmpfloat(value, ==, 42);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/number/numbers", test_numbers);
        g_test_add_func("/number/what-is-none", test_what_is_none);
        return g_test_run();
}
