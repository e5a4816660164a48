/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <glib.h>

#define REASON_MAX 512U /* bytes of anything a plugin says in words */

/* What a plugin said, fit for a terminal: no control characters, at most REASON_MAX bytes. */
char *plugin_words(const char *text);
