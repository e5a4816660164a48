/* SPDX-License-Identifier: Apache-2.0 */

#include "bus/request.h"

#include <string.h>

#include <glib.h>

#include "util/line.h"

/* Agents show the text as markup (polkit-gnome gives it to gtk_label_set_markup()), so that what means something there
 * could blank or hide what is asked. One byte for one, so that no value makes room for less of the others. */
static char harmless(char character) {
        static const char special[] = "\"<>&", instead[] = "'()+";
        const char *found = character ? strchr(special, character) : NULL;

        return found ? instead[found - special] : character;
}

char *request_detail(const char *value) {
        char *text = g_strdup(value);

        for (char *p = text; *p; p++)
                *p = harmless(*p);
        line_clean(text);
        return text;
}

static char *quoted(const char *value) {
        int length = line_cut(value, REQUEST_VALUE_MAX);
        g_autofree char *shown = g_strndup(value, (gsize) length), *text = request_detail(shown);

        return g_strdup_printf("\"%s%s\"", text, value[length] ? "…" : "");
}

char *request_text(const char *member, const char *const *details) {
        GString *text = g_string_new(member);
        const char *separator = ": ";

        for (const char *const *p = details; p && p[0] && p[1]; p += 2) {
                g_autofree char *value = NULL;

                if (!*p[1] || strcmp(p[1], "false") == 0)
                        continue;
                value = quoted(p[1]);
                if (text->len + strlen(separator) + strlen(p[0]) + 1 + strlen(value) > REQUEST_MAX) {
                        g_string_append(text, " …");
                        break;
                }
                g_string_append_printf(text, "%s%s %s", separator, p[0], value);
                separator = ", ";
        }
        return g_string_free(text, FALSE);
}
