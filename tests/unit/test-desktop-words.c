/* SPDX-License-Identifier: Apache-2.0 */

/* What people read on a desktop of a stop. */

#include <locale.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <glib/gi18n.h>
#include <glib/gstdio.h>

#include "base/clock.h"
#include "config.h"
#include "desktop/words.h"

/* 2026-11-20 22:36:00 UTC */
#define EVENING (UINT64_C(1795214160) * USEC_PER_SEC)

static void assert_title(const Stop *stop, const char *expected) {
        g_autofree char *title = words_title(stop, EVENING);

        g_assert_cmpstr(title, ==, expected);
}

static void assert_body(const Stop *stop, const char *failure, const char *expected) {
        g_autofree char *body = words_body(stop, failure);

        g_assert_cmpstr(body, ==, expected);
}

static void test_a_warning_says_when_why_and_what_to_type(void) {
        Stop stop = { .phase = STOP_SCHEDULED,
                      .deadline = EVENING + 5 * USEC_PER_MINUTE,
                      .reason = "idle for 30 min" };

        assert_title(&stop, "This machine stops at 22:41 UTC (in 5 min)");
        assert_body(&stop, NULL, "idle for 30 min\nKeep it on: snooze postpone 2h · why: snooze why");
}

static void test_seconds_that_passed_on_the_way_are_rounded(void) {
        Stop stop = { .phase = STOP_SCHEDULED,
                      .deadline = EVENING + USEC_PER_MINUTE - USEC_PER_SEC / 4,
                      .reason = "" };

        assert_title(&stop, "This machine stops at 22:37 UTC (in 1 min)");
        stop.deadline = EVENING + 20 * USEC_PER_SEC;
        assert_title(&stop, "This machine stops at 22:36:20 UTC (in 20 s)");
}

static void test_an_unknown_or_past_moment_is_soon(void) {
        Stop stop = { .phase = STOP_SCHEDULED, .deadline = 0, .reason = "alice: going home" };

        assert_title(&stop, "This machine stops soon");
        stop.deadline = EVENING - 1;
        assert_title(&stop, "This machine stops soon");
}

static void test_a_moment_beyond_all_calendars_is_no_trouble(void) {
        Stop stop = { .phase = STOP_SCHEDULED, .deadline = UINT64_MAX, .reason = "" };
        g_autofree char *title = words_title(&stop, EVENING);

        g_assert_true(g_str_has_prefix(title, "This machine stops at "));
}

static void test_a_dry_run_says_so_first(void) {
        Stop stop = { .phase = STOP_SCHEDULED, .dry_run = TRUE, .deadline = EVENING + USEC_PER_HOUR, .reason = "" };

        assert_title(&stop, "Dry run: this machine would stop at 23:36 UTC (in 1 h)");
        stop.phase = STOP_STOPPING;
        assert_title(&stop, "Dry run: this machine would stop now");
}

static void test_a_failed_wish_comes_first(void) {
        Stop stop = { .phase = STOP_STOPPING, .reason = "idle for 35 min" };

        assert_title(&stop, "This machine stops now");
        assert_body(&stop, "the provider was asked already",
                    "That did not work: the provider was asked already\nidle for 35 min\nKeep it on, if it is not too "
                    "late: snooze cancel");
}

static void test_called_off_needs_nothing_typed(void) {
        Stop stop = { .phase = STOP_CANCELLED, .reason = "bob: still working" };

        assert_title(&stop, "This machine stays on");
        assert_body(&stop, NULL, "bob: still working");
}

static void test_what_others_wrote_is_one_line_of_limited_length(void) {
        g_autofree char *many = g_strnfill(400, 'x'), *cut = g_strnfill(300, 'x');
        g_autofree char *expected = g_strconcat(cut, "…", NULL);
        Stop stop = { .phase = STOP_CANCELLED,
                      .reason = "a\nb\tc\xe2\x80\xae"
                                "d" };

        assert_body(&stop, NULL, "a b c d");
        stop.reason = many;
        assert_body(&stop, NULL, expected);
}

/* A locale of this name, whatever this machine has: it is by the name that gettext finds a catalogue. */
static void speak(const char *name) {
        g_autofree char *directory = g_dir_make_tmp("snooze-locales-XXXXXX", NULL);
        g_autofree char *link = g_build_filename(directory, name, NULL);

        g_assert_no_errno(symlink("/usr/lib/locale/C.utf8", link));
        setenv("LOCPATH", directory, 1);
        g_assert_nonnull(setlocale(LC_ALL, name));
        unsetenv("LOCPATH");
        g_assert_no_errno(g_unlink(link));
        g_assert_no_errno(g_rmdir(directory));
}

static void test_german(void) {
        Stop stop = { .phase = STOP_SCHEDULED,
                      .deadline = EVENING + 5 * USEC_PER_MINUTE,
                      .reason = "idle for 30 min" };

        speak("de_DE.UTF-8");
        assert_title(&stop, "Dieser Rechner schaltet sich um 22:41 UTC ab (in 5 min)");
        assert_body(&stop, NULL, "idle for 30 min\nEingeschaltet lassen: snooze postpone 2h · warum: snooze why");
        stop.dry_run = TRUE;
        stop.deadline = EVENING + USEC_PER_DAY;
        assert_title(&stop, "Probelauf: Dieser Rechner würde sich um 2026-11-21 22:36 UTC abschalten (in 1 Tag)");
        stop.deadline += USEC_PER_DAY;
        assert_title(&stop, "Probelauf: Dieser Rechner würde sich um 2026-11-22 22:36 UTC abschalten (in 2 Tagen)");
        stop.deadline += 3 * USEC_PER_HOUR;
        assert_title(&stop,
                     "Probelauf: Dieser Rechner würde sich um 2026-11-23 01:36 UTC abschalten (in 2 Tagen 3 h)");
        stop.phase = STOP_STOPPING;
        assert_body(&stop, "zu spät",
                    "Das ging nicht: zu spät\nidle for 30 min\nEingeschaltet lassen, falls es nicht zu spät ist: "
                    "snooze cancel");
        g_assert_cmpstr(words_postpone(), ==, "2 h eingeschaltet lassen");
        g_assert_cmpstr(words_cancel(), ==, "Nicht abschalten");
        (void) setlocale(LC_ALL, "C");
}

static void test_french(void) {
        Stop stop = { .phase = STOP_SCHEDULED, .deadline = EVENING + 65 * USEC_PER_MINUTE, .reason = "" };

        speak("fr_FR.UTF-8");
        assert_title(&stop, "Cette machine s’arrête à 23:41 UTC (dans 1 h 05 min)");
        stop.deadline = EVENING + USEC_PER_DAY;
        assert_title(&stop, "Cette machine s’arrête à 2026-11-21 22:36 UTC (dans 1 j)");
        stop.phase = STOP_CANCELLED;
        assert_title(&stop, "Cette machine reste allumée");
        (void) setlocale(LC_ALL, "C");
}

static void test_spans_are_those_of_the_command_line(void) {
        static const struct {
                uint64_t left;
                const char *title;
        } examples[] = {
                { 45 * USEC_PER_SEC, "This machine stops at 22:36:45 UTC (in 45 s)" },
                { 65 * USEC_PER_SEC, "This machine stops at 22:37 UTC (in 1 min 05 s)" },
                { 65 * USEC_PER_MINUTE, "This machine stops at 23:41 UTC (in 1 h 05 min)" },
                { USEC_PER_DAY, "This machine stops at 2026-11-21 22:36 UTC (in 1 d)" },
                { USEC_PER_DAY + 2 * USEC_PER_HOUR, "This machine stops at 2026-11-22 00:36 UTC (in 1 d 2 h)" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(examples); i++) {
                Stop stop = { .phase = STOP_SCHEDULED, .deadline = EVENING + examples[i].left, .reason = "" };

                assert_title(&stop, examples[i].title);
        }
}

int main(int argc, char *argv[]) {
        const char *locales = getenv("SNOOZE_LOCALES");

        setenv("TZ", "UTC", 1);
        tzset();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/desktop-words/a-warning-says-when-why-and-what-to-type",
                        test_a_warning_says_when_why_and_what_to_type);
        g_test_add_func("/desktop-words/seconds-that-passed-on-the-way-are-rounded",
                        test_seconds_that_passed_on_the_way_are_rounded);
        g_test_add_func("/desktop-words/an-unknown-or-past-moment-is-soon", test_an_unknown_or_past_moment_is_soon);
        g_test_add_func("/desktop-words/a-moment-beyond-all-calendars-is-no-trouble",
                        test_a_moment_beyond_all_calendars_is_no_trouble);
        g_test_add_func("/desktop-words/a-dry-run-says-so-first", test_a_dry_run_says_so_first);
        g_test_add_func("/desktop-words/a-failed-wish-comes-first", test_a_failed_wish_comes_first);
        g_test_add_func("/desktop-words/called-off-needs-nothing-typed", test_called_off_needs_nothing_typed);
        g_test_add_func("/desktop-words/what-others-wrote-is-one-line-of-limited-length",
                        test_what_others_wrote_is_one_line_of_limited_length);
        g_test_add_func("/desktop-words/spans-are-those-of-the-command-line",
                        test_spans_are_those_of_the_command_line);
        /* Where this is built with translations. */
        if (locales) {
                unsetenv("LANGUAGE");
                g_assert_nonnull(bindtextdomain(GETTEXT_PACKAGE, locales));
                g_assert_nonnull(bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8"));
                g_assert_nonnull(textdomain(GETTEXT_PACKAGE));
                g_test_add_func("/desktop-words/german", test_german);
                g_test_add_func("/desktop-words/french", test_french);
        }
        return g_test_run();
}
