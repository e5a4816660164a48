/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which versions will do:
 *
 *         range      := set { "||" set }
 *         set        := "*" | comparator { blank comparator }
 *         comparator := [ "=" | ">" | ">=" | "<" | "<=" | "~" | "^" ] version
 *
 * One set has to fit, and all comparators in it. No operator is "=". ~1.4 and ~1.4.2 are what comes before 1.5, ~1
 * what comes before 2; ^ allows what does not change the first number that is not 0: ^1.2 comes before 2, ^0.3.1
 * before 0.4, ^0.0.3 before 0.0.4. Candidates of a version that is shut out (2.0.0-rc.1 under <2, ~1 or ^1) are shut
 * out as well. */

#include <glib.h>

gboolean version_range_valid(const char *range);
/* Both must be valid. */
gboolean version_range_has(const char *range, const char *version);
