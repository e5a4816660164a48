/* SPDX-License-Identifier: Apache-2.0 */

/* Spans of time as people type them. */

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "util/duration.h"

static void test_spans(void) {
        static const struct {
                const char *text;
                uint64_t usec;
        } good[] = {
                { "90", 90 * USEC_PER_SEC },
                { "90s", 90 * USEC_PER_SEC },
                { "5min", 5 * USEC_PER_MINUTE },
                { "5 minutes", 5 * USEC_PER_MINUTE },
                { "2h", 2 * USEC_PER_HOUR },
                { "1h 30min", 90 * USEC_PER_MINUTE },
                { "1h30m", 90 * USEC_PER_MINUTE },
                { " 1.5h ", 90 * USEC_PER_MINUTE },
                { "0.5s", USEC_PER_SEC / 2 },
                { "3d", 3 * USEC_PER_DAY },
                { "1w", 7 * USEC_PER_DAY },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
                g_autoptr(GError) error = NULL;
                uint64_t usec = 0;

                g_assert_true(duration_parse(good[i].text, &usec, &error));
                g_assert_no_error(error);
                g_assert_cmpuint(usec, ==, good[i].usec);
        }
}

static void test_no_spans(void) {
        static const char *const bad[] = {
                "",
                " ",
                "0",
                "0h",
                "-5min",
                "+5min",
                "five",
                "5 parsecs",
                "1h 30",
                "5min,",
                "1.h",
                ".5h",
                "1e3",
                "0x10",
                "11y",
                "521w 999d",
                "99999999999999999999999999",
                "5min5",
                "inf",
                "nan",
        };

        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;
                uint64_t usec = 7;

                g_assert_false(duration_parse(bad[i], &usec, &error));
                g_assert_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE);
                g_assert_cmpuint(usec, ==, 7);
        }
}

static void assert_format(uint64_t usec, const char *expected) {
        g_autofree char *text = duration_format(usec);

        g_assert_cmpstr(text, ==, expected);
}

static void test_format(void) {
        assert_format(0, "0 s");
        assert_format(45 * USEC_PER_SEC, "45 s");
        assert_format(5 * USEC_PER_MINUTE, "5 min");
        assert_format(5 * USEC_PER_MINUTE + 3 * USEC_PER_SEC, "5 min 03 s");
        assert_format(65 * USEC_PER_MINUTE, "1 h 05 min");
        assert_format(USEC_PER_HOUR + 59 * USEC_PER_SEC, "1 h");
        assert_format(52 * USEC_PER_HOUR, "2 d 4 h");
        assert_format(2 * USEC_PER_DAY + 59 * USEC_PER_MINUTE, "2 d");
        assert_format(USEC_INFINITY, "without end");
}

static void test_moments(void) {
        const uint64_t noon = UINT64_C(1768478400) * USEC_PER_SEC; /* 2026-01-15 12:00 UTC */
        g_autofree char *same = moment_format(noon, noon + USEC_PER_HOUR, FALSE);
        g_autofree char *zone = moment_format(noon, noon + USEC_PER_HOUR, TRUE);
        g_autofree char *dated = moment_format(noon, noon + USEC_PER_DAY, FALSE);
        g_autofree char *soon = moment_format(noon + 59 * USEC_PER_SEC, noon, TRUE);
        g_autofree char *just = moment_format(noon, noon + 59 * USEC_PER_SEC, FALSE);
        g_autofree char *later = moment_format(noon + USEC_PER_MINUTE, noon, FALSE);
        g_autofree char *none = moment_format(0, noon, TRUE);
        g_autofree char *absurd = moment_format(USEC_INFINITY, noon, TRUE);

        g_assert_cmpstr(same, ==, "13:00");
        g_assert_cmpstr(zone, ==, "13:00 CET");
        g_assert_cmpstr(dated, ==, "2026-01-15 13:00");
        g_assert_cmpstr(soon, ==, "13:00:59 CET");
        g_assert_cmpstr(just, ==, "13:00:00");
        g_assert_cmpstr(later, ==, "13:01");
        g_assert_cmpstr(none, ==, "never");
        g_assert_nonnull(absurd);
}

int main(int argc, char **argv) {
        /* A zone spelled out needs no zone database. */
        setenv("TZ", "CET-1", 1);
        tzset();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/duration/spans", test_spans);
        g_test_add_func("/duration/no-spans", test_no_spans);
        g_test_add_func("/duration/format", test_format);
        g_test_add_func("/duration/moments", test_moments);
        return g_test_run();
}
