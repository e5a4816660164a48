/* SPDX-License-Identifier: Apache-2.0 */

/* Writes snooze.json(5): its text as it is, and where the text says so, the table of keys. At build time only, so that
 * page and table cannot disagree. */

#include <stdio.h>

#include "base/cleanup.h"
#include "daemon/config/config-keys.h"
#include "util/json.h"

#define MARK ".. KEYS"

static char *show_number(double value) {
        char buffer[G_ASCII_DTOSTR_BUF_SIZE];

        return g_strdup(g_ascii_formatd(buffer, sizeof(buffer), "%.12g", value));
}

static void print_range(JsonObject *key) {
        g_autofree char *minimum = show_number(json_get_double(key, "minimum", 0));
        g_autofree char *maximum = show_number(json_get_double(key, "maximum", 0));
        gboolean above = json_get_boolean(key, "exclusive_minimum", FALSE);
        const char *unit = json_get_string(key, "unit", "");

        printf(" %s %s to %s %s.", above ? "More than" : "From", minimum, maximum, unit);
}

static void print_choices(JsonArray *choices, gboolean several) {
        printf(several ? " Any of" : " One of");
        for (guint i = 0; i < json_array_get_length(choices); i++)
                printf("%s ``%s``", i > 0 ? "," : "", json_array_get_string_element(choices, i));
        printf(".");
}

static void print_key(JsonObject *key) {
        const char *type = json_get_string(key, "type", NULL);
        JsonNode *fallback = json_object_get_member(key, "default");
        g_autofree char *text = fallback ? json_text_compact(fallback) : NULL;

        if (fallback && JSON_NODE_HOLDS_VALUE(fallback) && json_node_get_value_type(fallback) == G_TYPE_DOUBLE) {
                g_free(text);
                text = show_number(json_node_get_double(fallback));
        }
        printf("``%s`` (%s%s%s)\n        %s", json_get_string(key, "key", NULL), type, text ? ", default " : "",
               text ? text : "", json_get_string(key, "description", NULL));
        if (g_str_equal(type, "number"))
                print_range(key);
        if (json_get_array(key, "choices"))
                print_choices(json_get_array(key, "choices"), g_str_equal(type, "strings"));
        printf("\n\n");
}

static void print_keys(void) {
        g_autoptr(JsonNode) table = config_describe();
        JsonArray *array = json_node_get_array(table);

        for (guint i = 0; i < json_array_get_length(array); i++)
                print_key(json_array_get_object_element(array, i));
}

int main(int argc, char **argv) {
        _cleanup_(fclosep) FILE *page = argc == 2 ? fopen(argv[1], "re") : NULL;
        char line[4096];
        gboolean marked = FALSE;

        if (!page) {
                fprintf(stderr, "print-keys: expected the page as the only argument\n");
                return EXIT_FAILURE;
        }
        while (fgets(line, sizeof(line), page)) {
                if (g_str_equal(line, MARK "\n")) {
                        print_keys();
                        marked = TRUE;
                } else
                        fputs(line, stdout);
        }
        if (!marked || ferror(page) || fflush(stdout) == EOF) {
                fprintf(stderr, "print-keys: %s: no line \"" MARK "\", or it cannot be read or written\n", argv[1]);
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}
