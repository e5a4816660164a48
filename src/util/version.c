/* SPDX-License-Identifier: Apache-2.0 */

#include "util/version.h"

#include <stdint.h>
#include <string.h>

#define VERSION_LENGTH_MAX 64U
#define NUMBERS 3U

typedef struct Version {
        uint64_t number[NUMBERS];
        const char *pre; /* behind '-', NULL if none */
        size_t pre_length;
} Version;

/* Digits without a superfluous zero in front. */
static gboolean read_number(const char **cursor, uint64_t *ret) {
        const char *start = *cursor;
        uint64_t value = 0;

        for (; g_ascii_isdigit(**cursor); (*cursor)++) {
                value = value * 10 + (uint64_t) (**cursor - '0');
                if (value > INT32_MAX)
                        return FALSE;
        }
        if (*cursor == start || (*start == '0' && *cursor - start > 1))
                return FALSE;
        *ret = value;
        return TRUE;
}

/* Dot-separated, none of them empty. */
static gboolean read_identifiers(const char **cursor) {
        gboolean empty = TRUE;

        for (;; (*cursor)++)
                if (g_ascii_isalnum(**cursor) || **cursor == '-')
                        empty = FALSE;
                else if (**cursor == '.' && !empty)
                        empty = TRUE;
                else
                        return !empty;
}

static gboolean version_read(const char *text, Version *ret) {
        const char *cursor = text;

        *ret = (Version) {};
        if (strnlen(text, VERSION_LENGTH_MAX + 1) > VERSION_LENGTH_MAX)
                return FALSE;

        for (unsigned i = 0; i < NUMBERS; i++) {
                if (!read_number(&cursor, &ret->number[i]))
                        return FALSE;
                if (*cursor != '.')
                        break;
                if (i + 1 < NUMBERS)
                        cursor++;
        }
        if (*cursor == '-') {
                ret->pre = ++cursor;
                if (!read_identifiers(&cursor))
                        return FALSE;
                ret->pre_length = (size_t) (cursor - ret->pre);
        }
        if (*cursor == '+') {
                cursor++;
                if (!read_identifiers(&cursor))
                        return FALSE;
        }
        return *cursor == 0;
}

gboolean version_valid(const char *text) {
        Version version;

        return text && version_read(text, &version);
}

static gboolean all_digits(const char *text) {
        return text[strspn(text, "0123456789")] == 0;
}

static int compare_identifier(const char *a, const char *b) {
        gboolean a_number = all_digits(a), b_number = all_digits(b);

        if (a_number != b_number)
                return a_number ? -1 : 1; /* numbers come before words */
        if (!a_number)
                return strcmp(a, b);

        a += strspn(a, "0");
        b += strspn(b, "0");
        if (strlen(a) != strlen(b))
                return strlen(a) < strlen(b) ? -1 : 1;
        return strcmp(a, b);
}

static int compare_pre(const Version *a, const Version *b) {
        g_autofree char *a_text = NULL, *b_text = NULL;
        g_auto(GStrv) a_parts = NULL, b_parts = NULL;

        if (!a->pre || !b->pre)
                return (a->pre ? 0 : 1) - (b->pre ? 0 : 1); /* a release comes after its candidates */

        a_text = g_strndup(a->pre, a->pre_length);
        b_text = g_strndup(b->pre, b->pre_length);
        a_parts = g_strsplit(a_text, ".", -1);
        b_parts = g_strsplit(b_text, ".", -1);
        for (size_t i = 0; a_parts[i] || b_parts[i]; i++) {
                int r;

                if (!a_parts[i] || !b_parts[i])
                        return a_parts[i] ? 1 : -1;
                r = compare_identifier(a_parts[i], b_parts[i]);
                if (r != 0)
                        return r;
        }
        return 0;
}

int version_compare(const char *a, const char *b) {
        Version left, right;

        g_return_val_if_fail(version_read(a, &left), 0);
        g_return_val_if_fail(version_read(b, &right), 0);

        for (unsigned i = 0; i < NUMBERS; i++)
                if (left.number[i] != right.number[i])
                        return left.number[i] < right.number[i] ? -1 : 1;
        return compare_pre(&left, &right);
}
