/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Text of unknown origin (names of processes, messages of clouds) made fit for the bus, which drops a connection that
 * sends invalid UTF-8, and for a person's one line. */

#include <stdarg.h>
#include <stdbool.h>

#define TEXT_LINE_MAX 1024U

/* Bytes of the valid UTF-8 character at text, 0 if there is none (NUL included). */
unsigned text_character(const char *text);

/* How many bytes of valid text come to at most max and end with a whole character: for "%.*s". */
int text_cut(const char *text, int max);

bool text_is_valid(const char *text);

/* Replaces each invalid byte by '?', in place. */
void text_make_valid(char *text);

/* Formats one line: valid, what steers a terminal or turns the direction of a text made blanks, at most TEXT_LINE_MAX
 * bytes. NULL without memory. */
char *text_line(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));
