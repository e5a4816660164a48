/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What leaves the program. For people: colours and aligned tables, on a terminal alone; elsewhere tables are plain
 * columns between tabs. For programs: JSON, UTF-8 whatever the locale. Text that came over the bus was chosen by
 * somebody else and is cleaned before a terminal sees it. */

#include <stdint.h>

#include "cli/cli.h"

typedef enum Style {
        STYLE_PLAIN,
        STYLE_BOLD,
        STYLE_DIM,
        STYLE_GOOD,
        STYLE_WARN,
        STYLE_BAD,
} Style;

/* Escape sequences, or "" where there is no colour. */
const char *style_begin(const Cli *cli, Style style);
const char *style_end(const Cli *cli);

/* Without control characters, line ends and invisible formatting; NULL becomes "". */
char *text_clean(const char *text);

/* The value as text for a person, one line: strings bare, numbers short, dictionaries as "key value, key value". */
char *text_of_variant(GVariant *value);

/* Of an a{sv}, each entry in a line of its own: "key: value". */
char *text_of_entries(GVariant *entries);

/* Moments and spans as people say them: "22:06", "31 min". */
char *text_moment(uint64_t realtime);
char *text_span(uint64_t usec);         /* without seconds from a minute on */
char *text_distance(uint64_t realtime); /* from now, in either direction */
char *text_number(double value);

/* Rows of as many cells as there are titles; the last is followed by NULL. style colours the first cell. */
typedef struct Table Table;
Table *table_new(const char *const *titles);
void table_add(Table *table, Style style, ...) G_GNUC_NULL_TERMINATED;
/* Said of the last row: below it on a terminal, a last column elsewhere. For what is too long for a column. */
void table_note(Table *table, const char *note);
unsigned table_rows(const Table *table);
void table_print(const Cli *cli, const Table *table);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* Indented, with a newline; of an object or an array. Takes the node. */
void json_print(JsonNode *node);
/* One line: for streams. Takes the node. */
void json_print_line(JsonNode *node);
JsonNode *json_of_variant(GVariant *value);
JsonNode *json_of_object(JsonObject *object);
/* Properties, a{sv} or those that a proxy has cached; NextStop becomes next_stop. */
JsonObject *json_of_dictionary(GVariant *properties);
JsonObject *json_of_properties(GDBusProxy *proxy);
