/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What snoozed says of a stop, made visible in one graphical session: one notification, told again a minute before the
 * end, with buttons that keep the machine on. It lies idle for as long as nothing is about to stop. */

#include <gio/gio.h>

typedef struct Desktop Desktop;

Desktop *desktop_new(GDBusConnection *session);
void desktop_free(Desktop *desktop);

/* Before the last desktop_free(), outside of the main loop: takes the notification away, for which the server may have
 * to answer first. NULL is none. */
void desktop_end(Desktop *desktop);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Desktop, desktop_free)
