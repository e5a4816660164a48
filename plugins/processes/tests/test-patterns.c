/* SPDX-License-Identifier: Apache-2.0 */

#include <string.h>

#include "patterns.h"

static GPtrArray *parse_one(const char *text) {
        g_autoptr(GError) error = NULL;
        GPtrArray *patterns = patterns_parse((const char *const[]) { text, NULL }, &error);

        g_assert_no_error(error);
        g_assert_cmpuint(patterns->len, ==, 1);
        return patterns;
}

static gboolean matches(const char *text, const char *name, const char *cmdline, uid_t owner) {
        g_autoptr(GPtrArray) patterns = parse_one(text);
        const Pattern *pattern = g_ptr_array_index(patterns, 0);
        ScannedProcess process = { .owner = owner, .cmdline = cmdline };
        uid_t wanted;

        g_strlcpy(process.name, name, sizeof(process.name));
        g_assert_true(pattern_owner(pattern, &wanted));
        return pattern_matches(pattern, wanted, &process);
}

static void test_every_condition_has_to_hold(void) {
        g_assert_true(matches("a: name=^ffmpeg$ owner=1000", "ffmpeg", NULL, 1000));
        g_assert_false(matches("a: name=^ffmpeg$ owner=1000", "ffmpeg", NULL, 1001));
        g_assert_false(matches("a: name=^ffmpeg$ owner=1000", "ffmpeg2", NULL, 1000));
        g_assert_true(matches("a: owner=0", "anything", NULL, 0));
        g_assert_true(matches("a: owner=root", "anything", NULL, 0));
}

static void test_a_command_line(void) {
        g_assert_true(matches("train: cmdline='python3? .*train[.]py'", "python3",
                              "/usr/bin/python3 -u train.py --epochs 3", 5));
        g_assert_false(matches("train: cmdline='python3? .*train[.]py'", "python3", "/usr/bin/python3 serve.py", 5));
        g_assert_false(matches("train: cmdline=x", "kworker", NULL, 0));
}

static void test_only_who_asks_has_command_lines_read(void) {
        g_autoptr(GPtrArray) without = parse_one("a: name=x"), with = parse_one("a: cmdline=x");

        g_assert_false(patterns_need_cmdline(without));
        g_assert_true(patterns_need_cmdline(with));
}

static void test_an_owner_that_is_not_there(void) {
        g_autoptr(GPtrArray) patterns = parse_one("a: owner=no-such-user-here");
        uid_t uid;

        g_assert_false(pattern_owner(g_ptr_array_index(patterns, 0), &uid));
}

static void test_percent(void) {
        g_autoptr(GPtrArray) patterns = parse_one("a: name=x cpu=12.5%");

        g_assert_cmpfloat(((const Pattern *) g_ptr_array_index(patterns, 0))->cpu, ==, 12.5);
}

static void test_other_texts_are_refused(void) {
        static const char *const texts[] = {
                "",          "name=x",          ": name=x",           "a b: name=x",       "-a: name=x",
                "a:",        "a: cpu=5",        "a: name=",           "a: name=x name=y",  "a: name='x",
                "a: name=(", "a: cpu=0 name=x", "a: cpu=-1 name=x",   "a: cpu=nan name=x", "a: cpu=5x name=x",
                "a: cpu=+5 name=x", "a: cpu=0x5 name=x", "a: 'cpu= 5' name=x", "a: cpu=5%% name=x", "a: cpu=% name=x",
                "a: owner=", "a: pid=5",        "a: owner=x owner=y",
        };

        for (gsize i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(GError) error = NULL;

                g_assert_null(patterns_parse((const char *const[]) { texts[i], NULL }, &error));
                g_assert_nonnull(error);
                g_assert_nonnull(strstr(error->message, texts[i]));
        }
}

static void test_no_two_of_one_name_and_not_too_many(void) {
        g_autoptr(GPtrArray) many = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) error = NULL, error_many = NULL;

        g_assert_null(patterns_parse((const char *const[]) { "a: name=x", "a: name=y", NULL }, &error));
        g_assert_nonnull(strstr(error->message, "two patterns are called a"));
        for (guint i = 0; i <= PATTERNS_MAX; i++)
                g_ptr_array_add(many, g_strdup_printf("a%u: name=x", i));
        g_ptr_array_add(many, NULL);
        g_assert_null(patterns_parse((const char *const *) many->pdata, &error_many));
        g_assert_nonnull(strstr(error_many->message, "at most 48"));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/processes/patterns/every-condition-has-to-hold", test_every_condition_has_to_hold);
        g_test_add_func("/processes/patterns/a-command-line", test_a_command_line);
        g_test_add_func("/processes/patterns/only-who-asks-has-command-lines-read",
                        test_only_who_asks_has_command_lines_read);
        g_test_add_func("/processes/patterns/an-owner-that-is-not-there", test_an_owner_that_is_not_there);
        g_test_add_func("/processes/patterns/percent", test_percent);
        g_test_add_func("/processes/patterns/other-texts-are-refused", test_other_texts_are_refused);
        g_test_add_func("/processes/patterns/no-two-of-one-name-and-not-too-many",
                        test_no_two_of_one_name_and_not_too_many);
        return g_test_run();
}
