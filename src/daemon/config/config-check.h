/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One text of the chain held against the table, before it is merged: so a message can name the text that said it.
 * null is allowed for every known key: it takes the value of lower files back to the default. */

#include "daemon/config/config.h"

gboolean config_check_text(const char *name, JsonNode *root, GPtrArray *warnings, GError **error);

/* What holds between keys, over the merged result. */
gboolean config_check_conflicts(const Config *config, GError **error);

/* One more step of a JSON pointer (RFC 6901). */
char *config_pointer(const char *parent, const char *member);
