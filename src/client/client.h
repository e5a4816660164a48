/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* libsnooze-glib, its beginning: how a program of a person talks to snoozed. Proxies are generated from introspection/
 * (SnoozeClientManager, SnoozeClientPlugin, SnoozeClientProvider); what stands here is what the generator cannot know:
 * where the objects are, that a daemon which cannot be started is an error and not a proxy full of nothing, and what
 * an error on the bus means to somebody who only wants to know what to do next. It depends on GIO and on the XML
 * alone. */

#include <gio/gio.h>

#include "client/snooze-client-dbus.h"

#define SNOOZE_CLIENT_NAME "io.cloudsnooze.Snooze1"
#define SNOOZE_CLIENT_PATH "/io/cloudsnooze/Snooze1"
#define SNOOZE_CLIENT_ERROR_PREFIX SNOOZE_CLIENT_NAME ".Error."

/* The system bus (DBUS_SYSTEM_BUS_ADDRESS is honoured). Losing it later is an error of the next call, not an exit of
 * the process: a hold outlives the bus. */
GDBusConnection *snooze_client_open_bus(GError **error);

/* That of another machine, over ssh: [USER@]HOST[:PORT], which must be valid. No descriptor passes there, so nothing
 * can be held there for as long as something runs here. Blocks as long as ssh asks. */
gboolean snooze_client_host_is_valid(const char *host);
/* [USER@]HOST and PORT, which may be NULL. */
void snooze_client_split_host(const char *host, char **ret_name, char **ret_port);
GDBusConnection *snooze_client_open_remote_bus(const char *host, GError **error);

/* Whether the daemon runs now; never starts it. */
gboolean snooze_client_is_running(GDBusConnection *bus);

/* A proxy for one object with its properties loaded; starts the daemon where it does not run. type is
 * SNOOZE_CLIENT_TYPE_MANAGER_PROXY or one of its two brothers. Properties of a wrong type are dropped, so that the
 * generated getters are safe. */
void snooze_client_open(GDBusConnection *bus, GType type, const char *path, GCancellable *cancellable,
                        GAsyncReadyCallback callback, gpointer userdata);
gpointer snooze_client_open_finish(GAsyncResult *result, GError **error);

/* Reads the properties of such a proxy again. */
void snooze_client_refresh(GDBusProxy *proxy, GCancellable *cancellable, GAsyncReadyCallback callback,
                           gpointer userdata);
gboolean snooze_client_refresh_finish(GAsyncResult *result, GError **error);

/* The id at the end of a plugin's or provider's path, decoded; NULL for "/" and for what is no such path. */
char *snooze_client_path_id(const char *path);

typedef enum SnoozeClientOutcome {
        SNOOZE_CLIENT_FAILED,
        SNOOZE_CLIENT_REFUSED,     /* not authorized, or the daemon says not now: held, too late, not approved */
        SNOOZE_CLIENT_UNREACHABLE, /* no bus, no daemon, no answer */
} SnoozeClientOutcome;

SnoozeClientOutcome snooze_client_error_outcome(const GError *error);

/* True if it is the named error, given without SNOOZE_CLIENT_ERROR_PREFIX: "Held". */
gboolean snooze_client_error_is(const GError *error, const char *name);

/* The message as the daemon wrote it, without the name that GDBus puts in front. */
char *snooze_client_error_message(const GError *error);
