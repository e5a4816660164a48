/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The socket that is listened on: one of the file system, whose group may connect, or a port of this machine. Two
 * instances may listen on the same at once, so that one version can replace another without a moment in which nobody
 * does. */

#include <glib.h>

#define LISTEN_UNIX "unix"

typedef struct Listener Listener;

/* where: LISTEN_UNIX, "127.0.0.1:PORT" or "[::1]:PORT". */
gboolean listen_valid(const char *where, GError **error);

/* directory: of LISTEN_UNIX, in which it is called `socket`. */
Listener *listener_open(const char *where, const char *directory, GError **error);
/* The descriptor, which becomes the caller's to close. */
int listener_take_fd(Listener *listener);
/* The socket's name goes if it is still ours. NULL is fine. */
void listener_free(Listener *listener);
