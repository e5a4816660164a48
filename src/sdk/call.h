/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One method call from its arrival to its answer, given at once or later. What an author sets is gathered here and
 * written as one reply at the end, so that a call that fails half-way has answered nothing. */

#include "sdk/instance.h"

/* A state (as much as the daemon keeps), and a block of data, in either direction. */
#define STATE_MAX (4U * 1024U * 1024U)
#define DATA_MAX (16U * 1024U * 1024U)

/* The parts of an answer, in the order in which they are written. */
typedef enum CallParts {
        CALL_ANSWER = 1 << 0,      /* b */
        CALL_VERDICT = 1 << 1,     /* s verdict, s reason */
        CALL_RESULT = 1 << 2,      /* a{sv} */
        CALL_PERMISSIONS = 1 << 3, /* a(sbs) */
        CALL_STATE = 1 << 4,       /* u, ay */
        CALL_DATA = 1 << 5,        /* ay */
} CallParts;

/* -> a call, or a negative errno with *error set: too many under way. */
int call_new(SnoozePluginInstance *instance, sd_bus_message *message, CallParts parts, SnoozePluginCall **ret,
             sd_bus_error *error);

/* One that nobody sent: `ended` gets what would be answered, before the call is freed. 0 or a negative errno. */
int call_new_internal(SnoozePluginInstance *instance, CallParts parts,
                      void (*ended)(SnoozePluginCall *call, int result), SnoozePluginCall **ret);
/* What was set; the caller's from here on, to be freed. */
void *call_steal_state(SnoozePluginCall *call, uint32_t *ret_version, size_t *ret_size);

/* What came with the call and is to stay as long as it; the call owns it from here on. */
void call_keep(SnoozePluginCall *call, SnoozePluginDictionary *input);
SnoozePluginDictionary *call_steal_input(SnoozePluginCall *call);

/* What is read when it is looked at, is read now: from here on another thread may look. */
void call_read_input(SnoozePluginCall *call);

/* Whoever called waits for so long from now on, µs. */
void call_set_budget(SnoozePluginCall *call, uint64_t budget);

/* The ends of a stream; the message that brought them closes them. 0 or a negative errno. */
int call_set_pipes(SnoozePluginCall *call, int input, int output);
/* The stream that came in the message of this serial number, from where m comes from; NULL: none any more. */
SnoozePluginCall *call_find_stream(SnoozePluginInstance *instance, sd_bus_message *m, uint32_t serial);
/* Nobody waits for it any more: it is not answered, and abandoned() sees to its end, which may be at once. Without
 * one, the author's function does; without that, its pipes are taken. */
void call_on_abandoned(SnoozePluginCall *call, void (*abandoned)(void *userdata), void *userdata);
void call_abandon(SnoozePluginCall *call);
/* All streams that came over this connection: whoever sent them is gone, and cannot say so any more. */
void call_abandon_all(SnoozePluginInstance *instance, const sd_bus *bus);
/* A pipe that cannot be read, and that nobody reads, takes the place of both. */
void call_take_pipes(SnoozePluginCall *call);

SnoozePluginInstance *call_get_instance(const SnoozePluginCall *call);
sd_bus *call_get_bus(const SnoozePluginCall *call);

/* What works on the call beside its table (a stream), freed with it. */
void call_set_worker(SnoozePluginCall *call, void *worker, void (*worker_free)(void *worker));
void *call_get_worker(const SnoozePluginCall *call);

const char *call_get_error(const SnoozePluginCall *call);
void call_get_verdict(const SnoozePluginCall *call, SnoozePluginVerdict *ret_verdict, const char **ret_reason);

/* What a function of the table returned; answers and frees the call unless that was SNOOZE_PLUGIN_LATER. What a D-Bus
 * method handler returns. */
int call_return(SnoozePluginCall *call, int result);

/* Runs when the call has succeeded, right behind its reply. */
void call_on_success(SnoozePluginCall *call, void (*succeeded)(SnoozePluginCall *call));
