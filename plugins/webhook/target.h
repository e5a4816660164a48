/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where events are posted to, and what is said with them: checked before anything is sent. Pure. */

#include <glib.h>

#define TARGETS_MAX 8U
#define HEADERS_MAX 16U

/* How a URL is called in logs and results: its scheme, host and port. The rest may be a password (many services take
 * one in the path). NULL with an error that does not repeat it either: no URL, http:// to another machine, or with a
 * user name. */
char *target_name(const char *url, gboolean *ret_loopback, GError **error);

/* "Name: value" that a request may have. FALSE with an error that does not repeat the value. */
gboolean header_valid(const char *header, GError **error);
/* Has one of them this name? */
gboolean headers_have(const char *const *headers, const char *name);
