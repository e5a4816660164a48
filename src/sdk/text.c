/* SPDX-License-Identifier: Apache-2.0 */

#include "sdk/text.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool continues(char c) {
        return ((unsigned char) c & 0xc0) == 0x80;
}

unsigned text_character(const char *text) {
        unsigned char first = (unsigned char) text[0];
        uint32_t code;
        unsigned n;

        if (first == 0)
                return 0;
        if (first < 0x80)
                return 1;
        if (first >= 0xc2 && first <= 0xdf)
                n = 2;
        else if ((first & 0xf0) == 0xe0)
                n = 3;
        else if (first >= 0xf0 && first <= 0xf4)
                n = 4;
        else
                return 0;

        code = first & (0xffU >> (n + 1));
        for (unsigned i = 1; i < n; i++) {
                if (!continues(text[i]))
                        return 0;
                code = code << 6 | ((unsigned char) text[i] & 0x3fU);
        }

        /* Overlong forms, surrogates and what lies beyond Unicode are invalid, too. */
        if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || (code >= 0xd800 && code <= 0xdfff) ||
            code > 0x10ffff)
                return 0;
        return n;
}

int text_cut(const char *text, int max) {
        int length = 0, n;

        while ((n = (int) text_character(text + length)) > 0 && length + n <= max)
                length += n;
        return length;
}

bool text_is_valid(const char *text) {
        unsigned n;

        while ((n = text_character(text)) > 0)
                text += n;
        return *text == 0;
}

void text_make_valid(char *text) {
        while (*text) {
                unsigned n = text_character(text);

                if (n == 0)
                        *text = '?';
                text += n > 0 ? n : 1;
        }
}

/* How many bytes a character has that moves the cursor, ends the line or turns the direction of a text, so that it
 * looks like another: what character_steers() of src/util/line.h names, here without GLib. 0: it does not. The text is
 * valid. */
static unsigned steers(const char *text) {
        const unsigned char *p = (const unsigned char *) text;

        if (p[0] < 0x20 || p[0] == 0x7f)
                return 1;
        /* U+0080 to U+009F */
        if (p[0] == 0xc2 && p[1] < 0xa0)
                return 2;
        /* U+2028 to U+202E, U+2066 to U+2069 */
        if (p[0] == 0xe2 &&
            ((p[1] == 0x80 && p[2] >= 0xa8 && p[2] <= 0xae) || (p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)))
                return 3;
        return 0;
}

static bool is_plain(char c) {
        return c >= 0x20 && c < 0x7f;
}

static void make_one_line(char *text) {
        while (*text) {
                unsigned n = is_plain(*text) ? 1 : text_character(text);

                if (n == 0)
                        *text = '?';
                else if (!is_plain(*text))
                        memset(text, ' ', steers(text));
                text += n > 0 ? n : 1;
        }
}

/* Most of what is said at each check needs no formatting, which takes longer than all that is done to it here. */
static char *formatted(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));
static char *formatted(const char *format, va_list ap) {
        char *text;

        if (!strchr(format, '%'))
                return strdup(format);
        return vasprintf(&text, format, ap) < 0 ? NULL : text;
}

static void shorten(char *text, size_t maximum) {
        if (strlen(text) <= maximum)
                return;
        while (maximum > 0 && continues(text[maximum]))
                maximum--;
        text[maximum] = 0;
}

char *text_line(const char *format, va_list ap) {
        char *text = formatted(format, ap);

        if (!text)
                return NULL;
        make_one_line(text);
        shorten(text, TEXT_LINE_MAX);
        return text;
}
