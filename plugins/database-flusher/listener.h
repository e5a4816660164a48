/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who is at the other end of a connection, where a password is about to be sent as it is. While a server of this
 * machine does not run, any of its users can listen on the port and be taken for it. */

#include <glib.h>

/* Anybody: what the administrator answers for. */
#define LISTENER_ANYBODY "*"

/* TRUE: the socket belongs to a program of this machine, of root or of one of these users (names, or numbers;
 * NULL-terminated), or to one that was handed it by them. A Unix socket that has a path is trusted for that path. */
gboolean listener_check(int fd, const char *const *users, GError **error);
