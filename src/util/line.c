/* SPDX-License-Identifier: Apache-2.0 */

#include "util/line.h"

#include <string.h>

gboolean character_steers(gunichar character) {
        return g_unichar_iscntrl(character) || (character >= 0x2028 && character <= 0x202e) ||
               (character >= 0x2066 && character <= 0x2069);
}

int line_cut(const char *text, int max) {
        const char *end = text;

        while (*end && g_utf8_next_char(end) - text <= max)
                end = g_utf8_next_char(end);
        return (int) (end - text);
}

void line_clean(char *text) {
        const char *from = text;
        char *to = text;

        while (*from) {
                const char *next = g_utf8_next_char(from);

                if (character_steers(g_utf8_get_char(from)))
                        *to++ = ' ';
                else {
                        memmove(to, from, (gsize) (next - from));
                        to += next - from;
                }
                from = next;
        }
        *to = '\0';
}
