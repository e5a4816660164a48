/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Starts and ends the processes of plugins. Where systemd is on this bus, by its units: StartUnit, then JobRemoved and
 * ActiveState, because activation through dbus-daemon lets the caller wait 25 s for every start that fails. Elsewhere
 * by StartServiceByName. Nobody waits here: each operation has a callback, and can be given up. */

#include <stdbool.h>

#include <systemd/sd-bus.h>

typedef struct Starter Starter;
typedef struct Start Start;

int starter_new(sd_bus *bus, Starter **ret);
/* All of its starts must have ended or been given up. */
void starter_free(Starter *starter);

/* NULL where the bus has no systemd; its unique name else. Valid once a first start has ended. */
const char *starter_systemd(const Starter *starter);

/* Has it send the signals of its units. 0 or a negative errno; there must be one. */
int starter_subscribe(Starter *starter);

/* message: NULL: it was started, and its name is on the bus or about to come. Otherwise why not. The start is freed
 * afterwards. */
typedef void (*StartDone)(const char *message, void *userdata);

/* name: of the plugin on the bus. unit: of systemd. failed_before: the unit may be in a failed state, which is reset
 * first, so that systemd's own rate limit does not stand in the way of ours. NULL if nothing could be sent. */
Start *starter_begin(Starter *starter, const char *name, const char *unit, bool failed_before, StartDone done,
                     void *userdata);
/* done is not called. NULL is fine. */
Start *start_cancel(Start *start);

/* Should something run in this unit at its next start, that ends it first. */
void starter_renew(Starter *starter, const char *unit);
bool starter_renews(const Starter *starter, const char *unit);
/* SIGKILL for every process of the unit; without systemd for the process behind pidfd (negative: none). */
void starter_kill(Starter *starter, const char *unit, int pidfd);
