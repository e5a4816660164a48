/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers and lines out of what /proc says, without a copy or an allocation. Every text ends with a NUL that stops
 * each of these, so none looks behind the end, whatever stands there. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline const char *scan_blanks(const char *p) {
        while (*p == ' ' || *p == '\t')
                p++;
        return p;
}

/* The end of the word that begins here. */
static inline const char *scan_word(const char *p) {
        while (*p && *p != ' ' && *p != '\t' && *p != '\n')
                p++;
        return p;
}

/* Skips blanks and reads one decimal number that fits; *text is then behind it. Untouched where there is none. */
static inline bool scan_number(const char **text, uint64_t *ret) {
        const char *p = *text;
        uint64_t value = 0;

        p = scan_blanks(p);
        if (*p < '0' || *p > '9')
                return false;
        for (; *p >= '0' && *p <= '9'; p++) {
                uint64_t digit = (uint64_t) (*p - '0');

                if (value > (UINT64_MAX - digit) / 10)
                        return false;
                value = value * 10 + digit;
        }
        *text = p;
        *ret = value;
        return true;
}

/* The same for n numbers that nobody needs; their size does not matter. */
static inline bool scan_skip_numbers(const char **text, unsigned n) {
        const char *p = *text;

        for (; n > 0; n--) {
                p = scan_blanks(p);
                if (*p < '0' || *p > '9')
                        return false;
                while (*p >= '0' && *p <= '9')
                        p++;
        }
        *text = p;
        return true;
}

/* The beginning of the next line, or `end`. */
static inline const char *scan_next_line(const char *p, const char *end) {
        const char *newline = memchr(p, '\n', (size_t) (end - p));

        return newline ? newline + 1 : end;
}

static inline bool scan_literal(const char **text, const char *literal) {
        const char *p = *text;

        for (; *literal; p++, literal++)
                if (*p != *literal)
                        return false;
        *text = p;
        return true;
}
