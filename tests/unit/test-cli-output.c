/* SPDX-License-Identifier: Apache-2.0 */

/* Text for people, made of what came over the bus. */

#include "cli/output.h"

#include "base/clock.h"
#include "util/json.h"

static void assert_clean(const char *text, const char *expected) {
        g_autofree char *clean = text_clean(text);

        g_assert_cmpstr(clean, ==, expected);
}

static void test_nothing_harmful_reaches_a_terminal(void) {
        assert_clean(NULL, "");
        assert_clean("plain ≥ text", "plain ≥ text");
        assert_clean("two\nlines\tand a tab", "two lines and a tab");
        assert_clean("\033[2J", "\xEF\xBF\xBD[2J");
        assert_clean("\xC2\x9B"
                     "31m",
                     "\xEF\xBF\xBD"
                     "31m"); /* a control sequence introducer of one character */
        assert_clean("safe\xE2\x80\xAEtxt.exe", "safe\xEF\xBF\xBDtxt.exe"); /* right-to-left override */
        assert_clean("bad \xFF byte", "bad \xEF\xBF\xBD byte");
}

static void assert_text(const char *variant, const char *expected) {
        g_autoptr(GVariant) value = g_variant_parse(NULL, variant, NULL, NULL, NULL);
        g_autofree char *text = NULL;

        g_assert_nonnull(value);
        text = text_of_variant(value);
        g_assert_cmpstr(text, ==, expected);
}

static void test_values(void) {
        assert_text("'text'", "text");
        assert_text("true", "yes");
        assert_text("3.14159", "3.1");
        assert_text("5.0", "5");
        assert_text("1234.5", "1234");
        assert_text("uint32 7", "7");
        assert_text("uint64 1261440000000000", "2009-12-22 00:00");
        assert_text("['one', 'two']", "one, two");
        assert_text("{'cpus': <uint32 8>, 'names': <['a']>}", "cpus 8, names (a)");
        assert_text("{'a': <{'b': <[<{'c': <true>}>, <{'c': <false>}>]>}>}", "a (b ((c yes), (c no)))");
        assert_text("@a{sv} {}", "");
}

static void assert_span(uint64_t usec, const char *expected) {
        g_autofree char *text = text_span(usec);

        g_assert_cmpstr(text, ==, expected);
}

static void test_spans_from_a_minute_on_have_no_seconds(void) {
        assert_span(42 * USEC_PER_SEC, "42 s");
        assert_span(31 * USEC_PER_MINUTE + 51 * USEC_PER_SEC, "31 min");
        assert_span(2 * USEC_PER_HOUR + 5 * USEC_PER_MINUTE, "2 h 05 min");
}

/* Five minutes that have just begun are five minutes. */
static void test_what_is_left_is_rounded_up(void) {
        g_autofree char *text = text_distance(clock_realtime() + 5 * USEC_PER_MINUTE - USEC_PER_SEC);

        g_assert_cmpstr(text, ==, "5 min");
}

static void test_json_names(void) {
        g_autoptr(GVariant) properties = g_variant_parse(
                NULL, "{'NextStop': <uint64 5>, 'State': <'idle'>, 'DryRun': <true>}", NULL, NULL, NULL);
        g_autoptr(JsonObject) object = json_of_dictionary(properties);
        g_autofree char *text = json_object_text(object);

        g_assert_cmpstr(text, ==, "{\"next_stop\":5,\"state\":\"idle\",\"dry_run\":true}");
}

int main(int argc, char **argv) {
        (void) g_setenv("TZ", "UTC", TRUE);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cli/output/clean", test_nothing_harmful_reaches_a_terminal);
        g_test_add_func("/cli/output/values", test_values);
        g_test_add_func("/cli/output/span", test_spans_from_a_minute_on_have_no_seconds);
        g_test_add_func("/cli/output/left", test_what_is_left_is_rounded_up);
        g_test_add_func("/cli/output/json-names", test_json_names);
        return g_test_run();
}
