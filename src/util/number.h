/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers in texts that somebody else wrote, as JSON writes them and not otherwise. g_ascii_strtod() passes over
 * blanks in front, and knows signs, hexadecimal digits, infinity and what is no number. */

#include <glib.h>

/* The whole text; FALSE: it is no number, or one that is too large. Zeros in front do no harm. */
gboolean number_parse(const char *text, double *ret);
