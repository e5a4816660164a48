/* SPDX-License-Identifier: Apache-2.0 */

#include "util/number.h"

#include <math.h>

static gboolean skip_digits(const char **cursor) {
        const char *start = *cursor;

        while (g_ascii_isdigit(**cursor))
                (*cursor)++;
        return *cursor > start;
}

static gboolean is_number(const char *text) {
        if (*text == '-')
                text++;
        if (!skip_digits(&text))
                return FALSE;
        if (*text == '.') {
                text++;
                if (!skip_digits(&text))
                        return FALSE;
        }
        if (*text == 'e' || *text == 'E') {
                text++;
                if (*text == '-' || *text == '+')
                        text++;
                if (!skip_digits(&text))
                        return FALSE;
        }
        return *text == '\0';
}

gboolean number_parse(const char *text, double *ret) {
        double value;

        if (!is_number(text))
                return FALSE;
        value = g_ascii_strtod(text, NULL);
        if (!isfinite(value))
                return FALSE;
        *ret = value;
        return TRUE;
}
