/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/answer/words.h"

#include <string.h>

#include "util/line.h"

/* Short, and nothing in it that has to be looked at more closely. */
static gboolean is_plain(const char *text) {
        size_t i = 0;

        while (i + 6 <= REASON_MAX && text[i] >= ' ' && text[i] <= '~')
                i++;
        return text[i] == '\0';
}

char *plugin_words(const char *text) {
        g_autofree char *valid = NULL;
        GString *words;

        if (is_plain(text))
                return g_strstrip(g_strdup(text));
        valid = g_utf8_make_valid(text, (gssize) strnlen(text, 4 * REASON_MAX));
        words = g_string_new(NULL);

        for (const char *c = valid; *c; c = g_utf8_next_char(c)) {
                gunichar character = g_utf8_get_char(c);

                if (words->len + 6 > REASON_MAX)
                        break;
                g_string_append_unichar(words, character_steers(character) ? ' ' : character);
        }
        g_strstrip(words->str);
        return g_string_free(words, FALSE);
}
