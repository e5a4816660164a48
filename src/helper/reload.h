/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Has the system read again what was written: users are made or removed (by units of systemd, so that the helper
 * itself cannot write the list of users), systemd reloads its units, the bus its policies. One reload costs some 80
 * ms, so what comes within a tenth of a second shares one; the calls are answered after it. Where there is no
 * systemd the bus alone is told. What failed stays owed until it is done. */

#include <glib.h>
#include <systemd/sd-bus.h>

typedef enum ReloadWhat {
        RELOAD_USERS = 1 << 0,
        RELOAD_UNITS = 1 << 1,
        RELOAD_BUS = 1 << 2,
} ReloadWhat;

typedef struct Reloader Reloader;

/* idle is called when nothing is under way any more. */
int reloader_new(sd_bus *bus, void (*idle)(void *userdata), void *userdata, Reloader **ret);
Reloader *reloader_free(Reloader *reloader);

/* Answers the call (a method return without values, or an error; NULL: nobody) when all of `what` has been read
 * again, and what is owed of it; 0: nothing has to be, but what is under way already is waited for. removed: the
 * plugin whose user is to go, or NULL. */
int reloader_request(Reloader *reloader, sd_bus_message *call, unsigned what, const char *removed);

gboolean reloader_busy(const Reloader *reloader);

/* That the user goes is owed, though it was not asked for yet: what comes before it could not be done. */
void reloader_owe_removal(Reloader *reloader, const char *id);
/* He is to stay after all: nothing removes him any more, but what is under way already. */
void reloader_forgive_removal(Reloader *reloader, const char *id);
/* What was written may not be in force. */
gboolean reloader_owes(const Reloader *reloader);
