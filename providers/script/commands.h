/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The administrator's commands: whose they may be, what they are told (by their environment, never by a shell's
 * words), and what their end means. Exit status 0: done; 75 (EX_TEMPFAIL of sysexits.h): ask again later; anything
 * else is a refusal, whose reason is the last line that was written. */

#include <glib.h>
#include <snooze/plugin.h>

#include "run/run.h"

/* At once; a provider is asked seldom. */
#define COMMANDS_MAX 4U

typedef struct Commands Commands;

typedef struct Command {
        const char *setting;     /* "stop_command"; static */
        const char *program;     /* its value */
        const char *action;      /* for SNOOZE_ACTION */
        const char *instance_id; /* for SNOOZE_INSTANCE_ID; "": this machine, whose id is not known */
        const char *reason;      /* for SNOOZE_REASON */
        uint64_t timeout;        /* µs */
} Command;

/* line: the last one that was written, one line of valid UTF-8. Called once; the call is its own to finish, and was
 * not failed. */
typedef void (*CommandDone)(SnoozePluginCall *call, const char *line, void *userdata);

int commands_new(sd_event *event, Commands **ret);
/* Those that run end without being told. NULL is fine. */
void commands_free(Commands *commands);

/* Runs it; a command that does not end well fails and finishes the call. Returns what a function of the table returns;
 * while one of this setting runs for the same machine there is no second of stop_command and start_command. */
int command_run(Commands *commands, const Command *command, SnoozePluginCall *call, CommandDone done, void *userdata);
