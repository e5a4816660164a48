/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <math.h>
#include <string.h>

#include <glib.h>

#include "base/cleanup.h"
#include "manifest/schema.h"
#include "sdk/dictionary.h"
#include "sdk/text.h"
#include "util/line.h"

/* The daemon sends no configuration that the library does not take. */
G_STATIC_ASSERT(SETTINGS_VALUES_MAX == DICTIONARY_ENTRIES_MAX && SETTINGS_BYTES_MAX == DICTIONARY_BYTES_MAX);

static void test_values_come_back(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *d = dictionary_new();

        g_assert_cmpint(snooze_plugin_dictionary_set_string(d, "name", "old"), ==, 0);
        g_assert_cmpint(snooze_plugin_dictionary_set_string(d, "name", "tmux"), ==, 0);
        g_assert_cmpint(snooze_plugin_dictionary_set_strv(d, "list", (const char *const[]) { "a", "b", NULL }), ==, 0);
        g_assert_cmpint(snooze_plugin_dictionary_set_bool(d, "yes", true), ==, 0);

        g_assert_cmpstr(snooze_plugin_dictionary_get_string(d, "name", "none"), ==, "tmux");
        g_assert_cmpstr(snooze_plugin_dictionary_get_strv(d, "list", NULL)[1], ==, "b");
        g_assert_true(snooze_plugin_dictionary_get_bool(d, "yes", false));
        g_assert_cmpstr(snooze_plugin_dictionary_get_string(d, "missing", "fallback"), ==, "fallback");
        g_assert_cmpstr(snooze_plugin_dictionary_get_string(d, "yes", "fallback"), ==, "fallback");
        g_assert_cmpstr(snooze_plugin_dictionary_get_key(d, 2), ==, "yes");
        g_assert_null(snooze_plugin_dictionary_get_key(d, 3));
        g_assert_cmpstr(snooze_plugin_dictionary_get_string(NULL, "name", "fallback"), ==, "fallback");
}

/* JSON knows one kind of number, D-Bus nine: a plugin asks for what it needs. */
static void test_numbers_convert_where_nothing_is_lost(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *d = dictionary_new();

        snooze_plugin_dictionary_set_uint(d, "t", 5);
        snooze_plugin_dictionary_set_uint(d, "huge", UINT64_MAX);
        snooze_plugin_dictionary_set_int(d, "x", -5);
        snooze_plugin_dictionary_set_double(d, "whole", 12.0);
        snooze_plugin_dictionary_set_double(d, "part", 0.5);
        snooze_plugin_dictionary_set_double(d, "vast", 1e300);

        g_assert_cmpint(snooze_plugin_dictionary_get_int(d, "t", -1), ==, 5);
        g_assert_cmpint(snooze_plugin_dictionary_get_int(d, "huge", -1), ==, -1);
        g_assert_cmpuint(snooze_plugin_dictionary_get_uint(d, "huge", 1), ==, UINT64_MAX);
        g_assert_cmpuint(snooze_plugin_dictionary_get_uint(d, "x", 1), ==, 1);
        g_assert_cmpint(snooze_plugin_dictionary_get_int(d, "whole", -1), ==, 12);
        g_assert_cmpint(snooze_plugin_dictionary_get_int(d, "part", -1), ==, -1);
        g_assert_cmpint(snooze_plugin_dictionary_get_int(d, "vast", -1), ==, -1);
        g_assert_cmpfloat(snooze_plugin_dictionary_get_double(d, "x", 0), ==, -5);
        g_assert_cmpint(dictionary_failure(d), ==, 0);
}

static void test_infinity_is_no_number(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *d = dictionary_new();

        g_assert_cmpint(snooze_plugin_dictionary_set_double(d, "x", INFINITY), ==, -ERANGE);
        g_assert_cmpint(dictionary_failure(d), ==, -ERANGE);
        g_assert_false(snooze_plugin_dictionary_has(d, "x"));
}

static void test_a_map_of_numbers_takes_numbers_only(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *d = dictionary_new();
        SnoozePluginDictionary *metrics = snooze_plugin_dictionary_add_numbers(d, "metrics");

        g_assert_cmpint(snooze_plugin_dictionary_set_double(metrics, "gpu_usage", 3), ==, 0);
        g_assert_cmpint(snooze_plugin_dictionary_set_string(metrics, "gpu_usage", "3"), ==, -EINVAL);
        g_assert_cmpint(dictionary_failure(d), ==, -EINVAL);
}

/* The bounds are of what is there, not of what was there once. */
static void test_what_is_replaced_makes_room(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *d = dictionary_new();
        g_autofree char *long_text = g_strnfill(DICTIONARY_BYTES_MAX - strlen("key"), 'x'),
                        *half = g_strnfill(DICTIONARY_BYTES_MAX / 2, 'y');
        const char *many[DICTIONARY_ENTRIES_MAX] = { NULL };

        for (unsigned i = 0; i + 1 < G_N_ELEMENTS(many); i++)
                many[i] = "";
        for (unsigned i = 0; i < 100; i++) {
                SnoozePluginDictionary *inner, *item;

                g_assert_cmpint(snooze_plugin_dictionary_set_string(d, "key", i % 2 ? long_text : "short"), ==, 0);
                g_assert_cmpint(snooze_plugin_dictionary_set_strv(d, "key", many), ==, 0);
                item = snooze_plugin_dictionary_append_dictionary(d, "key");
                g_assert_cmpint(snooze_plugin_dictionary_set_string(item, "text", half), ==, 0);
                inner = snooze_plugin_dictionary_add_dictionary(d, "key");
                g_assert_cmpint(snooze_plugin_dictionary_set_string(inner, "text", half), ==, 0);
                g_assert_cmpint(snooze_plugin_dictionary_set_string(
                                        inner, "text", snooze_plugin_dictionary_get_string(inner, "text", "")),
                                ==, 0);
        }
        g_assert_cmpint(dictionary_failure(d), ==, 0);
        /* And they still hold. */
        g_assert_cmpint(snooze_plugin_dictionary_set_string(d, "other", half), ==, -E2BIG);
}

static void test_bounds_hold_for_the_whole_tree(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *d = dictionary_new();
        SnoozePluginDictionary *inner = d;
        unsigned n = 0;

        for (unsigned i = 1; i < DICTIONARY_DEPTH_MAX; i++) {
                inner = snooze_plugin_dictionary_add_dictionary(inner, "deeper");
                g_assert_nonnull(inner);
        }
        g_assert_null(snooze_plugin_dictionary_add_dictionary(inner, "too deep"));
        g_assert_cmpint(dictionary_failure(d), ==, -E2BIG);

        while (snooze_plugin_dictionary_append_dictionary(inner, "list"))
                n++;
        g_assert_cmpuint(n, ==, 0); /* its elements would be a level deeper, too */

        while (n <= DICTIONARY_ENTRIES_MAX) {
                g_autofree char *key = g_strdup_printf("%u", n);

                if (snooze_plugin_dictionary_set_bool(d, key, true) < 0)
                        break;
                n++;
        }
        g_assert_cmpuint(n, <, DICTIONARY_ENTRIES_MAX);
        /* Setters take the NULL that a failed one gave. */
        g_assert_cmpint(snooze_plugin_dictionary_set_bool(NULL, "x", true), ==, -EINVAL);
        g_assert_null(snooze_plugin_dictionary_append_dictionary(NULL, "x"));
}

static void test_text_is_bounded(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *d = dictionary_new();
        g_autofree char *long_text = g_strnfill(DICTIONARY_BYTES_MAX, 'x');

        g_assert_cmpint(snooze_plugin_dictionary_set_string(d, "x", long_text), ==, -E2BIG);
        long_text[DICTIONARY_BYTES_MAX - 1] = 0; /* the key counts, too */
        g_assert_cmpint(snooze_plugin_dictionary_set_string(d, "x", long_text), ==, 0);
        g_assert_cmpint(snooze_plugin_dictionary_set_string(d, "y", "z"), ==, -E2BIG);
}

static char *format_line(const char *format, ...) G_GNUC_PRINTF(1, 2);
static char *format_line(const char *format, ...) {
        va_list ap;
        char *line;

        va_start(ap, format);
        line = text_line(format, ap);
        va_end(ap);
        return line;
}

static void check_line(const char *text, const char *expected) {
        _cleanup_free_ char *line = format_line("%s", text);

        g_assert_cmpstr(line, ==, expected);
        g_assert_true(g_utf8_validate(line, -1, NULL));
}

static void test_foreign_text_becomes_one_line(void) {
        check_line("plain", "plain");
        check_line("Grüße · 走る 🛌", "Grüße · 走る 🛌");
        check_line("a\nb\tc\033[2J", "a b c [2J");
        check_line("c1 \xc2\x9b" "2J", "c1   2J");
        check_line("exe.\u202etxt \u2066a\u2069 \u2028b", "exe.   txt    a       b");
        check_line("bad \xff\xc0\xaf\xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82", "bad ?????? ???? ??");
}

/* The library has no GLib, and knows what steers a terminal by itself: it is the same for every character. */
static void test_what_steers_is_the_same_for_all(void) {
        for (gunichar c = 1; c <= 0x10ffff; c++) {
                char text[8] = { 0 };
                _cleanup_free_ char *line = NULL;

                if (c >= 0xd800 && c <= 0xdfff)
                        continue;
                (void) g_unichar_to_utf8(c, text);
                line = format_line("%s", text);
                g_assert_cmpint(strcmp(line, text) != 0, ==, c != ' ' && character_steers(c));
        }
}

/* What GLib takes for valid, and only that, is left as it is: all sequences of up to two bytes, and random longer
 * ones. */
static void test_validity_agrees_with_glib(void) {
        g_autoptr(GRand) random = g_rand_new_with_seed(1);

        for (unsigned i = 0; i < 200000; i++) {
                char text[6] = { 0 }, copy[6];
                guint32 bits = g_rand_int(random);

                for (unsigned k = 0; k < 4; k++)
                        text[k] = (char) (i < 65536 ? (k < 2 ? i >> (8 * k) : 0)
                                                    : (bits >> (8 * k)) | (k == 0 ? 0xc0 : 0x80));
                memcpy(copy, text, sizeof(text));
                text_make_valid(copy);
                g_assert_cmpint(strcmp(copy, text) == 0, ==, g_utf8_validate(text, -1, NULL));
                g_assert_true(g_utf8_validate(copy, -1, NULL));
        }
}

static void test_a_long_line_ends_at_a_character(void) {
        g_autoptr(GString) text = g_string_new("x");
        _cleanup_free_ char *line = NULL;

        while (text->len < 4 * TEXT_LINE_MAX)
                g_string_append(text, "ü");
        line = format_line("%s", text->str);
        g_assert_cmpuint(strlen(line), ==, TEXT_LINE_MAX - 1);
        g_assert_true(g_utf8_validate(line, -1, NULL));
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sdk/dictionary/values-come-back", test_values_come_back);
        g_test_add_func("/sdk/dictionary/numbers-convert-where-nothing-is-lost",
                        test_numbers_convert_where_nothing_is_lost);
        g_test_add_func("/sdk/dictionary/infinity-is-no-number", test_infinity_is_no_number);
        g_test_add_func("/sdk/dictionary/a-map-of-numbers-takes-numbers-only",
                        test_a_map_of_numbers_takes_numbers_only);
        g_test_add_func("/sdk/dictionary/what-is-replaced-makes-room", test_what_is_replaced_makes_room);
        g_test_add_func("/sdk/dictionary/bounds-hold-for-the-whole-tree", test_bounds_hold_for_the_whole_tree);
        g_test_add_func("/sdk/dictionary/text-is-bounded", test_text_is_bounded);
        g_test_add_func("/sdk/text/foreign-text-becomes-one-line", test_foreign_text_becomes_one_line);
        g_test_add_func("/sdk/text/what-steers", test_what_steers_is_the_same_for_all);
        g_test_add_func("/sdk/text/validity-agrees-with-glib", test_validity_agrees_with_glib);
        g_test_add_func("/sdk/text/a-long-line-ends-at-a-character", test_a_long_line_ends_at_a_character);
        return g_test_run();
}
