/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What snoozed says of a stop, as long as there is a snoozed. Never starts it, and believes nobody but the owner of
 * its name: any local user can send signals that look like its own, so signals are subscribed to by the unique name,
 * which no one can forge. A restart of the daemon, or of the whole system bus, is followed. */

#include "client/client.h"
#include "desktop/words.h"

typedef struct DaemonWatch DaemonWatch;

/* The news; STOP_NONE: nothing is about to happen any more, and there is nothing to be told of it. */
typedef void (*DaemonWatchNews)(const Stop *stop, void *userdata);

DaemonWatch *daemon_watch_new(DaemonWatchNews news, void *userdata);
void daemon_watch_free(DaemonWatch *watch);

/* The daemon that said it, or NULL: there is none. Not owned by the caller. */
SnoozeClientManager *daemon_watch_manager(DaemonWatch *watch);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(DaemonWatch, daemon_watch_free)
