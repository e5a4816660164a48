/* SPDX-License-Identifier: Apache-2.0 */

#include <time.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "plugins/terminal/notice.h"
#include "sdk/dictionary.h"

#define NOW (UINT64_C(1700000000) * USEC_PER_SEC) /* 22:13:20 UTC */

static void check_clean(const char *source, size_t size, const char *expected) {
        char text[NOTICE_SIZE];

        notice_clean(source, text, size);
        g_assert_cmpstr(text, ==, expected);
        g_assert_true(g_utf8_validate(text, -1, NULL));
}

static void test_a_terminal_gets_no_orders(void) {
        check_clean("plain ü 🛌", 100, "plain ü 🛌");
        check_clean("\033]0;title\a\r\n\tx\x7f", 100, " ]0;title    x ");
        check_clean("\xc2\x9b" "2J", 100, " 2J");
        check_clean("abc\xe2\x80\xae" "dcb \xe2\x80\xa8 \xe2\x81\xa6x", 100, "abc dcb    x");
        check_clean("a\xc2\xa0z €", 100, "a\xc2\xa0z €");
}

static void test_a_long_text_ends_at_a_character(void) {
        check_clean("abcü", 5, "abc");
        check_clean("abcü", 6, "abcü");
        check_clean("ab🛌", 6, "ab");
        check_clean("abc", 1, "");
        check_clean("ab\xe2\x82. Keep it on", 100, "ab. Keep it on");
        check_clean("ab\xf0\x9f\x9b", 100, "ab");
}

static void check_notice(const SnoozePluginDictionary *event, const char *expected) {
        char text[NOTICE_SIZE];

        notice_write(event, NOW, text, sizeof(text));
        g_assert_cmpstr(text, ==, expected);
}

static void test_the_daemons_words_are_used(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *event = dictionary_new();
        SnoozePluginDictionary *data = snooze_plugin_dictionary_add_dictionary(event, "data");

        snooze_plugin_dictionary_set_uint(event, "deadline", NOW + 5 * USEC_PER_MINUTE);
        snooze_plugin_dictionary_set_string(data, "notice", "This machine stops\nnow");
        check_notice(event, "This machine stops now");
}

static void test_without_words_it_finds_its_own(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *event = dictionary_new();
        SnoozePluginDictionary *data = snooze_plugin_dictionary_add_dictionary(event, "data");

        snooze_plugin_dictionary_set_uint(event, "deadline", NOW + 5 * USEC_PER_MINUTE);
        snooze_plugin_dictionary_set_string(data, "reason", "idle since 21:43");
        check_notice(event, "This machine stops at 22:18 UTC (in 5 min): idle since 21:43. "
                            "Keep it on: snooze postpone 2h · why: snooze why");
        snooze_plugin_dictionary_set_uint(event, "deadline", NOW + 20 * USEC_PER_SEC);
        check_notice(event, "This machine stops at 22:13:40 UTC (in 20 s): idle since 21:43. "
                            "Keep it on: snooze postpone 2h · why: snooze why");
        snooze_plugin_dictionary_set_uint(event, "deadline", 0);
        check_notice(event,
                     "This machine stops soon: idle since 21:43. Keep it on: snooze postpone 2h · why: snooze why");
        snooze_plugin_dictionary_set_bool(data, "cancelled", true);
        check_notice(event, "This machine stays on: idle since 21:43");
}

static void test_called_off_after_all(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *event = dictionary_new();
        SnoozePluginDictionary *data = snooze_plugin_dictionary_add_dictionary(event, "data");

        snooze_plugin_dictionary_set_uint(event, "deadline", NOW + 5 * USEC_PER_MINUTE);
        snooze_plugin_dictionary_set_bool(event, "cancelled", true);
        snooze_plugin_dictionary_set_string(data, "reason", "idle since 21:43");
        check_notice(event, "This machine stays on");
        snooze_plugin_dictionary_set_string(data, "notice", "Somebody shuts this machine down");
        check_notice(event, "Called off: Somebody shuts this machine down");
}

static void test_an_empty_event_is_no_crash(void) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *event = dictionary_new();

        check_notice(event, "This machine stops soon. Keep it on: snooze postpone 2h · why: snooze why");
        snooze_plugin_dictionary_set_string(event, "data", "not a dictionary");
        snooze_plugin_dictionary_set_uint(event, "deadline", UINT64_MAX);
        {
                char text[NOTICE_SIZE];

                notice_write(event, NOW, text, sizeof(text));
                g_assert_true(g_str_has_prefix(text, "This machine stops"));
        }
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_setenv("TZ", "UTC", TRUE);
        tzset();
        g_test_add_func("/terminal-notice/called-off", test_called_off_after_all);
        g_test_add_func("/terminal/notice/a-terminal-gets-no-orders", test_a_terminal_gets_no_orders);
        g_test_add_func("/terminal/notice/a-long-text-ends-at-a-character", test_a_long_text_ends_at_a_character);
        g_test_add_func("/terminal/notice/the-daemons-words-are-used", test_the_daemons_words_are_used);
        g_test_add_func("/terminal/notice/without-words-it-finds-its-own", test_without_words_it_finds_its_own);
        g_test_add_func("/terminal/notice/an-empty-event-is-no-crash", test_an_empty_event_is_no_crash);
        return g_test_run();
}
