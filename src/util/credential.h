/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Secrets that systemd hands to a service: systemd.exec(5), LoadCredential= and the like. */

#include <glib.h>

#define CREDENTIAL_MAX 4096U

/* The content of $CREDENTIALS_DIRECTORY/NAME without the newline at its end; NULL without an error: there is none.
 * Whoever frees it clears it before. */
char *credential_read(const char *name, GError **error);
