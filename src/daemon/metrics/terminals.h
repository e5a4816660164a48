/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Input at terminals. The kernel sets a terminal's access time when somebody reads from it, that is, when input came
 * (its output is the modification time), and rounds: it changes at most every 8 seconds, so that idleness may seem up
 * to 8 seconds longer than it is. stat() needs no privilege.
 *
 * Looked at are all of /dev/pts (ssh, tmux, terminal windows: opening one is input, too) and those other terminals in
 * which somebody is logged in, as far as that can be known: logind's sessions, the login records in utmp, and consoles
 * whose device belongs to a user other than root. The dozens of /dev/tty* that nobody ever used are no input
 * devices. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Terminals Terminals;

Terminals *terminals_new(const char *root);
void terminals_free(Terminals *terminals);

/* Terminals of logind's sessions ("tty2"), NULL-terminated; replaces those named before. */
void terminals_set_sessions(Terminals *terminals, const char *const *names);

/* Looks at all of them. An access time that is new since the look before is input; its moment is told on the clock of
 * boot time, which goes on while the machine sleeps, between that look and this one, so that a clock set forth or back
 * is no input and hides none. True if there is a terminal, or was one at any look before; *ret_input is then the
 * latest input (negative: before the machine's boot). */
bool terminals_look(Terminals *terminals, uint64_t boottime, uint64_t realtime, int64_t *ret_input);

/* Calls back for each that the latest look found closed to others' messages (mesg n), in no order. */
typedef void (*TerminalsClosed)(const char *name, uid_t owner, void *userdata);
void terminals_tell_closed(const Terminals *terminals, TerminalsClosed closed, void *userdata);
