/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which user called. The bus driver knows the uid of each connection; it is asked without waiting, in the same way as
 * polkit: the call is parked and its handler runs again from the first line. A connection never changes its user and a
 * unique name is never given out twice, so that an answer stays true and is remembered. */

#include <sys/types.h>

#include <glib.h>
#include <systemd/sd-bus.h>

typedef struct Callers Callers;

int callers_new(sd_bus *bus, Callers **ret);
Callers *callers_free(Callers *callers);

/* 1: *ret_uid is the caller's. 0: parked, return 1 from the handler. <0: the caller left or the driver failed; *error
 * is set. */
int caller_uid(Callers *callers, sd_bus_message *message, uid_t *ret_uid, sd_bus_error *error);

/* How many calls are parked for that. */
unsigned callers_pending(const Callers *callers);

/* The same without asking: FALSE where this connection's user is not known so far. */
gboolean caller_known(const Callers *callers, const char *sender, uid_t *ret_uid);

/* "alice", or "uid 1234" for users that /etc/passwd does not list: a name service could make the daemon wait. Caller
 * frees. */
char *user_name(uid_t uid);

/* Remembered connections; the oldest is forgotten beyond. */
#define CALLERS_MAX 512U
