/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Has the system read again what was written: users are made or removed (by units of systemd, so that the helper
 * itself cannot write the list of users), systemd reloads its units, the bus its policies. One reload costs some 80
 * ms, so what comes within a tenth of a second shares one; the calls are answered after it. Where there is no
 * systemd the bus alone is told. What failed stays owed to the plugins that it was for until it is done. */

#include <glib.h>
#include <systemd/sd-bus.h>

typedef enum ReloadWhat {
        RELOAD_USERS = 1 << 0,
        RELOAD_UNITS = 1 << 1,
        RELOAD_BUS = 1 << 2,
        RELOAD_ALL = RELOAD_USERS | RELOAD_UNITS | RELOAD_BUS,
} ReloadWhat;

typedef struct Reloader Reloader;

/* In the place of an id: of whichever plugin somebody asks for, for it is not known which it is. */
#define RELOAD_FOR_ANY "*"

/* settled is called when something has been done or failed, before those who waited are answered. */
int reloader_new(sd_bus *bus, void (*settled)(void *userdata), void *userdata, Reloader **ret);
Reloader *reloader_free(Reloader *reloader);

/* Answers the call (a method return without values, or an error; NULL: nobody) when all of `what` has been read
 * again for this plugin, and what is under way or owed for it; 0: nothing has to be, but for that. removal: its user
 * is to go. */
int reloader_request(Reloader *reloader, sd_bus_message *call, const char *id, unsigned what, gboolean removal);

gboolean reloader_busy(const Reloader *reloader);

/* That the user goes is owed, though it was not asked for yet: what comes before it could not be done. */
void reloader_owe_removal(Reloader *reloader, const char *id);
/* He is to stay after all: nothing removes him any more, but what is under way already. */
void reloader_forgive_removal(Reloader *reloader, const char *id);

/* Ids of those of whom what was written may not be in force, and of those whose users are to go. Free with
 * g_hash_table_unref(). */
GHashTable *reloader_unread(const Reloader *reloader);
GHashTable *reloader_unremoved(const Reloader *reloader);
