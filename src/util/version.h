/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Versions as Semantic Versioning 2.0.0 orders them: "1.2.3", "1.2.3-rc.1+build". Missing minor and patch numbers
 * count as 0, because people write "1.2". */

#include <glib.h>

/* FALSE for anything else, also for numbers above 2^31-1 and texts above 64 bytes. */
gboolean version_valid(const char *text);

/* < 0, 0, > 0 as strcmp(). Both must be valid; build metadata does not count. */
int version_compare(const char *a, const char *b);
