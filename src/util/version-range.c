/* SPDX-License-Identifier: Apache-2.0 */

#include "util/version-range.h"

#include <string.h>

#include "util/version.h"

#define RANGE_LENGTH_MAX 256U
#define VERSION_LENGTH_MAX 64U

typedef enum Operator {
        OPERATOR_EQUAL,
        OPERATOR_ABOVE,
        OPERATOR_FROM,
        OPERATOR_BELOW,
        OPERATOR_UP_TO,
        OPERATOR_TILDE,
        OPERATOR_CARET,
} Operator;

/* The longer ones first. */
static const struct {
        const char *text;
        Operator meaning;
} operators[] = {
        { ">=", OPERATOR_FROM }, { "<=", OPERATOR_UP_TO }, { ">", OPERATOR_ABOVE },  { "<", OPERATOR_BELOW },
        { "=", OPERATOR_EQUAL }, { "~", OPERATOR_TILDE },  { "^", OPERATOR_CARET },
};

static Operator read_operator(const char **cursor) {
        for (size_t i = 0; i < G_N_ELEMENTS(operators); i++)
                if (g_str_has_prefix(*cursor, operators[i].text)) {
                        *cursor += strlen(operators[i].text);
                        return operators[i].meaning;
                }
        return OPERATOR_EQUAL;
}

/* How many numbers are written there, and which. */
static unsigned read_numbers(const char *version, guint64 numbers[3]) {
        unsigned n = 0;

        memset(numbers, 0, 3 * sizeof(numbers[0]));
        for (const char *cursor = version; n < 3; cursor++) {
                char *end;

                numbers[n++] = g_ascii_strtoull(cursor, &end, 10);
                if (*end != '.')
                        break;
                cursor = end;
        }
        return n;
}

/* "-0" is the least that comes before a release. */
static gboolean is_below(const char *version, guint64 major, guint64 minor, guint64 patch) {
        char limit[VERSION_LENGTH_MAX + 1];

        g_snprintf(limit, sizeof(limit), "%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT ".%" G_GUINT64_FORMAT "-0", major,
                   minor, patch);
        /* One that is too large to be a version is above all. */
        return !version_valid(limit) || version_compare(version, limit) < 0;
}

static gboolean below_release(const char *version, const char *limit) {
        guint64 numbers[3];

        if (strchr(limit, '-') && (!strchr(limit, '+') || strchr(limit, '-') < strchr(limit, '+')))
                return version_compare(version, limit) < 0;
        read_numbers(limit, numbers);
        return is_below(version, numbers[0], numbers[1], numbers[2]);
}

static gboolean within_tilde(const char *version, const char *base) {
        guint64 numbers[3];
        unsigned n = read_numbers(base, numbers);

        if (version_compare(version, base) < 0)
                return FALSE;
        return n == 1 ? is_below(version, numbers[0] + 1, 0, 0) : is_below(version, numbers[0], numbers[1] + 1, 0);
}

static gboolean within_caret(const char *version, const char *base) {
        guint64 numbers[3];
        unsigned n = read_numbers(base, numbers);

        if (version_compare(version, base) < 0)
                return FALSE;
        if (numbers[0] > 0 || n == 1)
                return is_below(version, numbers[0] + 1, 0, 0);
        if (numbers[1] > 0 || n == 2)
                return is_below(version, 0, numbers[1] + 1, 0);
        return is_below(version, 0, 0, numbers[2] + 1);
}

static gboolean fits(const char *version, Operator meaning, const char *limit) {
        switch (meaning) {
        case OPERATOR_EQUAL:
                return version_compare(version, limit) == 0;
        case OPERATOR_ABOVE:
                return version_compare(version, limit) > 0;
        case OPERATOR_FROM:
                return version_compare(version, limit) >= 0;
        case OPERATOR_BELOW:
                return below_release(version, limit);
        case OPERATOR_UP_TO:
                return version_compare(version, limit) <= 0;
        case OPERATOR_TILDE:
                return within_tilde(version, limit);
        case OPERATOR_CARET:
                return within_caret(version, limit);
        }
        return FALSE;
}

static const char *skip_blanks(const char *text) {
        return text + strspn(text, " ");
}

/* Up to "||" or the end; FALSE: it is none. version NULL: only that. */
static gboolean read_set(const char **cursor, const char *version, gboolean *ret_fits) {
        unsigned n = 0;

        *ret_fits = TRUE;
        *cursor = skip_blanks(*cursor);
        if (**cursor == '*') {
                *cursor = skip_blanks(*cursor + 1);
                return **cursor == '\0' || **cursor == '|';
        }
        for (; **cursor && **cursor != '|'; n++) {
                Operator meaning = read_operator(cursor);
                char limit[VERSION_LENGTH_MAX + 1];
                size_t length;

                *cursor = skip_blanks(*cursor);
                length = strcspn(*cursor, " |");
                if (length == 0 || length >= sizeof(limit))
                        return FALSE;
                memcpy(limit, *cursor, length);
                limit[length] = '\0';
                if (!version_valid(limit))
                        return FALSE;
                if (version && !fits(version, meaning, limit))
                        *ret_fits = FALSE;
                *cursor = skip_blanks(*cursor + length);
        }
        return n > 0;
}

/* FALSE: it is no range. */
static gboolean evaluate(const char *range, const char *version, gboolean *ret_fits) {
        const char *cursor = range;

        *ret_fits = FALSE;
        if (strnlen(range, RANGE_LENGTH_MAX + 1) > RANGE_LENGTH_MAX)
                return FALSE;
        for (;;) {
                gboolean one;

                if (!read_set(&cursor, version, &one))
                        return FALSE;
                *ret_fits = *ret_fits || one;
                if (*cursor == '\0')
                        return TRUE;
                if (!g_str_has_prefix(cursor, "||"))
                        return FALSE;
                cursor += strlen("||");
        }
}

gboolean version_range_valid(const char *range) {
        gboolean ignored;

        return range && evaluate(range, NULL, &ignored);
}

gboolean version_range_has(const char *range, const char *version) {
        gboolean result;

        g_return_val_if_fail(version_valid(version), FALSE);
        g_return_val_if_fail(evaluate(range, version, &result), FALSE);
        return result;
}
