/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One line of text that somebody else wrote and people read on a terminal, next to words that are to be trusted. */

#include <glib.h>

/* Moves the cursor, ends the line, or turns the direction of the text, so that it looks like another: control
 * characters (C0, DEL, C1), line and paragraph separators, and the marks that embed, override or isolate a direction.
 * Joiners, which scripts need, are no harm. */
gboolean character_steers(gunichar character);

/* How many bytes of UTF-8 text come to at most max and end with a whole character: for "%.*s". D-Bus takes no half
 * ones. */
int line_cut(const char *text, int max);

/* A space in the place of each of these. The text is UTF-8 and does not grow. */
void line_clean(char *text);
