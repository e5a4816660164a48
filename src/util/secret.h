/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What is not to be shown to everybody though nobody called it a secret: values by their names, and texts that hold a
 * password. */

#include <glib.h>

/* "db_password", "API-Token": the words for secrets, wherever they stand in the name. */
gboolean name_sounds_secret(const char *name);

/* Holds "scheme://user:password@host" or "scheme://token@host", anywhere: an argument of a command may be one. */
gboolean text_carries_credentials(const char *text);
