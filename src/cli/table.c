/* SPDX-License-Identifier: Apache-2.0 */

/* Tables: columns under titles on a terminal, the last one broken to its width; tabs elsewhere. */

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/output.h"

/* A last column narrower than this is not broken: nobody reads one word below the other. */
#define WIDTH_MIN 24U

struct Table {
        unsigned columns;
        const char *const *titles;
        GPtrArray *rows; /* of Row */
};

typedef struct Row {
        Style style;
        char **cells;
        char *note; /* NULL: none */
} Row;

static void row_free(gpointer data) {
        Row *row = data;

        g_strfreev(row->cells);
        g_free(row->note);
        g_free(row);
}

Table *table_new(const char *const *titles) {
        Table *table = g_new0(Table, 1);

        table->titles = titles;
        table->columns = g_strv_length((char **) titles);
        table->rows = g_ptr_array_new_with_free_func(row_free);
        return table;
}

void table_free(Table *table) {
        if (!table)
                return;
        g_ptr_array_unref(table->rows);
        g_free(table);
}

void table_add(Table *table, Style style, ...) {
        Row *row = g_new0(Row, 1);
        const char *cell;
        va_list cells;

        row->style = style;
        row->cells = g_new0(char *, table->columns + 1);
        va_start(cells, style);
        for (unsigned i = 0; i < table->columns; i++) {
                cell = va_arg(cells, const char *);
                row->cells[i] = text_clean(cell);
        }
        va_end(cells);
        g_ptr_array_add(table->rows, row);
}

void table_note(Table *table, const char *note) {
        Row *row = g_ptr_array_index(table->rows, table->rows->len - 1);

        g_free(row->note);
        row->note = text_clean(note);
}

unsigned table_rows(const Table *table) {
        return table->rows->len;
}

static unsigned width_of(const char *text) {
        unsigned width = 0;

        for (; *text; text = g_utf8_next_char(text)) {
                gunichar c = g_utf8_get_char(text);

                width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
        }
        return width;
}

/* In columns; 0: unknown. */
static unsigned terminal_width(void) {
        const char *columns = g_getenv("COLUMNS");
        struct winsize size;

        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
                return size.ws_col;
        return columns ? (unsigned) CLAMP(atoi(columns), 0, 10000) : 0;
}

/* How many bytes of the text fit into so many columns, up to the end of a word if there is one. */
static gsize fitting(const char *text, unsigned width) {
        const char *end = text, *word = NULL;

        for (unsigned used = 0; *end; end = g_utf8_next_char(end)) {
                g_autofree char *character = g_strndup(end, (gsize) (g_utf8_next_char(end) - end));

                used += width_of(character);
                if (used > width)
                        return (gsize) ((word ? word : end > text ? end : g_utf8_next_char(end)) - text);
                if (*end == ' ')
                        word = end;
        }
        return (gsize) (end - text);
}

/* What stands from column `indent` on, its further lines below its first. */
static void print_broken(const char *text, unsigned indent, Style style, const Cli *cli) {
        unsigned width = terminal_width();
        gboolean breaks = width >= indent + WIDTH_MIN;

        while (TRUE) {
                gsize length = breaks ? fitting(text, width - indent) : strlen(text);

                g_print("%s%.*s%s\n", style_begin(cli, style), (int) length, text,
                        style == STYLE_PLAIN ? "" : style_end(cli));
                text += length;
                while (*text == ' ')
                        text++;
                if (!*text)
                        return;
                g_print("%*s", (int) indent, "");
        }
}

static void print_row(const Cli *cli, const Table *table, const unsigned *widths, Style first, Style rest,
                      char *const *cells) {
        unsigned indent = 0;

        for (unsigned i = 0; i + 1 < table->columns; i++) {
                Style style = i == 0 ? first : rest;

                g_print("%s%s%s%*s", style_begin(cli, style), cells[i], style == STYLE_PLAIN ? "" : style_end(cli),
                        (int) (widths[i] + 2 - width_of(cells[i])), "");
                indent += widths[i] + 2;
        }
        print_broken(cells[table->columns - 1], indent, table->columns == 1 ? first : rest, cli);
}

static void print_plain(const Table *table) {
        for (guint r = 0; r < table->rows->len; r++) {
                const Row *row = g_ptr_array_index(table->rows, r);
                g_autofree char *line = g_strjoinv("\t", row->cells);

                g_print("%s%s%s\n", line, row->note ? "\t" : "", row->note ?: "");
        }
}

void table_print(const Cli *cli, const Table *table) {
        g_autofree unsigned *widths = g_new0(unsigned, table->columns);

        if (!cli->terminal) {
                print_plain(table);
                return;
        }
        for (unsigned i = 0; i < table->columns; i++) {
                widths[i] = width_of(table->titles[i]);
                for (guint r = 0; r < table->rows->len; r++) {
                        const Row *row = g_ptr_array_index(table->rows, r);

                        widths[i] = MAX(widths[i], width_of(row->cells[i]));
                }
        }
        print_row(cli, table, widths, STYLE_DIM, STYLE_DIM, (char *const *) table->titles);
        for (guint r = 0; r < table->rows->len; r++) {
                const Row *row = g_ptr_array_index(table->rows, r);

                print_row(cli, table, widths, row->style, STYLE_PLAIN, row->cells);
                if (row->note && *row->note) {
                        g_print("%*s→ ", (int) widths[0] + 2, "");
                        print_broken(row->note, widths[0] + 4, STYLE_PLAIN, cli);
                }
        }
}
