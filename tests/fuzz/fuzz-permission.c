/* SPDX-License-Identifier: Apache-2.0 */

/* Any text as a permission: refused, or of such a form that nothing in it can end a line of a unit or an attribute
 * of a bus policy. */

#include <stdint.h>
#include <string.h>

#include "manifest/permission.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static gboolean every_group(const char *name, void *userdata) {
        return TRUE;
}

static void check_lines(GPtrArray *lines, const char *forbidden, size_t quotes) {
        for (guint i = 0; i < lines->len; i++) {
                const char *line = g_ptr_array_index(lines, i);
                size_t n = 0;

                for (const char *c = line; *c; c++) {
                        g_assert_true(*c >= ' ' && *c < 0x7f);
                        n += *c == '"';
                }
                g_assert_null(strpbrk(line, forbidden));
                g_assert_cmpuint(n, ==, quotes);
                /* Names may begin with two dots. */
                g_assert_null(strstr(line, "/../"));
                g_assert_false(g_str_has_suffix(line, "/.."));
        }
}

static void check_valid(const char *text) {
        const char *const permissions[] = { text, NULL };
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free),
                             rules = g_ptr_array_new_with_free_func(g_free);
        g_autofree char *words = permission_words(text), *units = NULL;
        gboolean unit = g_str_has_prefix(text, "unit:");

        g_assert_true(g_str_has_prefix(words, "may "));
        g_assert_null(strpbrk(words, "\n\r\t\x1b"));
        permission_directives(permissions, every_group, NULL, lines);
        check_lines(lines, "\n%\\$'\"", 0);
        permission_bus_rules(permissions, rules);
        check_lines(rules, "\n&'", unit ? 6 : 4);
        units = permission_units(permissions);
        g_assert_true(unit ? units[0] && strchr(units, '\n') == units + strlen(units) - 1 : !units[0]);
        g_assert_true(lines->len > 0 || rules->len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_autofree char *text = size > 0 ? g_strndup((const char *) data, size) : g_strdup("");

        /* An editor's newline at the end of a corpus file is not part of it. */
        if (g_str_has_suffix(text, "\n"))
                text[strlen(text) - 1] = '\0';
        if (!permission_problem(text))
                check_valid(text);
        else
                g_assert_true(g_str_has_prefix(permission_problem(text), "expected "));
        return 0;
}
