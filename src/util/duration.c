/* SPDX-License-Identifier: Apache-2.0 */

#include "util/duration.h"

#include <string.h>

#include "base/clock.h"

#define DURATION_MAX (10 * 365 * USEC_PER_DAY)

typedef struct Unit {
        const char *name;
        uint64_t usec;
} Unit;

static const Unit units[] = {
        { "s", USEC_PER_SEC },       { "sec", USEC_PER_SEC },       { "second", USEC_PER_SEC },
        { "seconds", USEC_PER_SEC }, { "m", USEC_PER_MINUTE },      { "min", USEC_PER_MINUTE },
        { "minute", USEC_PER_MINUTE }, { "minutes", USEC_PER_MINUTE }, { "h", USEC_PER_HOUR },
        { "hr", USEC_PER_HOUR },     { "hour", USEC_PER_HOUR },     { "hours", USEC_PER_HOUR },
        { "d", USEC_PER_DAY },       { "day", USEC_PER_DAY },       { "days", USEC_PER_DAY },
        { "w", 7 * USEC_PER_DAY },   { "week", 7 * USEC_PER_DAY },  { "weeks", 7 * USEC_PER_DAY },
};

static gboolean fail(GError **error, const char *text, const char *what) {
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                    "\"%s\" is no span of time: %s (90s, 5min, 2h, 1h 30min, 1.5h, 3d, 1w)", text, what);
        return FALSE;
}

static const char *skip_space(const char *p) {
        while (*p == ' ' || *p == '\t')
                p++;
        return p;
}

/* Digits with at most one point between them, whatever the locale; NULL where there are none. */
static const char *parse_number(const char *p, double *ret) {
        double value = 0, scale = 1;
        const char *first = p;

        for (; g_ascii_isdigit(*p); p++)
                value = value * 10 + (*p - '0');
        if (p == first)
                return NULL;
        if (*p == '.') {
                const char *fraction = ++p;

                for (; g_ascii_isdigit(*p); p++) {
                        scale /= 10;
                        value += (*p - '0') * scale;
                }
                if (p == fraction)
                        return NULL;
        }
        *ret = value;
        return p;
}

static const char *parse_unit(const char *p, uint64_t *ret) {
        size_t length = 0;

        while (g_ascii_isalpha(p[length]))
                length++;
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (strlen(units[i].name) == length && strncmp(units[i].name, p, length) == 0) {
                        *ret = units[i].usec;
                        return p + length;
                }
        return NULL;
}

gboolean duration_parse(const char *text, uint64_t *ret_usec, GError **error) {
        const char *p = skip_space(text);
        double sum = 0;

        if (!*p)
                return fail(error, text, "it is empty");
        for (gboolean first = TRUE; *p; first = FALSE) {
                uint64_t unit = USEC_PER_SEC;
                double number;

                p = parse_number(p, &number);
                if (!p)
                        return fail(error, text, "a number was expected");
                p = skip_space(p);
                if (*p) {
                        p = parse_unit(p, &unit);
                        if (!p)
                                return fail(error, text, "the units are s, min, h, d and w");
                        p = skip_space(p);
                } else if (!first)
                        return fail(error, text, "the last number has no unit");
                sum += number * (double) unit;
                if (sum > (double) DURATION_MAX)
                        return fail(error, text, "more than ten years");
        }
        if (sum < 1)
                return fail(error, text, "it must be longer than nothing");
        *ret_usec = (uint64_t) (sum + 0.5);
        return TRUE;
}

char *duration_format(uint64_t usec) {
        unsigned long long seconds = usec / USEC_PER_SEC, minutes = seconds / 60, hours = minutes / 60,
                           days = hours / 24;

        if (usec == USEC_INFINITY)
                return g_strdup("without end");
        if (days > 0)
                return hours % 24 ? g_strdup_printf("%llu d %llu h", days, hours % 24)
                                  : g_strdup_printf("%llu d", days);
        if (hours > 0)
                return minutes % 60 ? g_strdup_printf("%llu h %02llu min", hours, minutes % 60)
                                    : g_strdup_printf("%llu h", hours);
        if (minutes > 0)
                return seconds % 60 ? g_strdup_printf("%llu min %02llu s", minutes, seconds % 60)
                                    : g_strdup_printf("%llu min", minutes);
        return g_strdup_printf("%llu s", seconds);
}

static gboolean is_near(uint64_t a, uint64_t b) {
        return MAX(a, b) - MIN(a, b) < USEC_PER_MINUTE;
}

static char *format_moment(uint64_t realtime_usec, uint64_t now_realtime_usec, gboolean near, gboolean with_zone) {
        g_autoptr(GDateTime) moment = NULL, now = NULL;
        g_autofree char *text = NULL, *format = NULL;
        gboolean same_day;

        if (realtime_usec == 0)
                return g_strdup("never");
        moment = g_date_time_new_from_unix_local((gint64) (realtime_usec / USEC_PER_SEC));
        now = g_date_time_new_from_unix_local((gint64) (now_realtime_usec / USEC_PER_SEC));
        if (!moment)
                return g_strdup("in the far future");
        same_day = now && g_date_time_get_year(moment) == g_date_time_get_year(now) &&
                   g_date_time_get_day_of_year(moment) == g_date_time_get_day_of_year(now);
        format = g_strconcat(same_day ? "" : "%Y-%m-%d ", near ? "%H:%M:%S" : "%H:%M", NULL);
        text = g_date_time_format(moment, format);
        if (!with_zone)
                return g_steal_pointer(&text);
        return g_strdup_printf("%s %s", text, g_date_time_get_timezone_abbreviation(moment));
}

/* "22:41, in 20 s" leaves open whether that is now. */
char *moment_format(uint64_t realtime_usec, uint64_t now_realtime_usec, gboolean with_zone) {
        return format_moment(realtime_usec, now_realtime_usec, is_near(realtime_usec, now_realtime_usec), with_zone);
}

char *moment_format_beside(uint64_t realtime_usec, uint64_t other_realtime_usec, uint64_t now_realtime_usec) {
        return format_moment(realtime_usec, now_realtime_usec, is_near(realtime_usec, other_realtime_usec), FALSE);
}
