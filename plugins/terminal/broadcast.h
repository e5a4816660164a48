/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Writes to every terminal, as wall(1) does: pseudo-terminals and the terminals of logged-in sessions, where the group
 * may write (`mesg n` takes that away). Never waits: a terminal that somebody stopped with Ctrl-S is passed over. */

#include <stddef.h>

typedef struct Broadcast {
        unsigned told;
        unsigned closed;  /* may not be written to: mesg n */
        unsigned stopped; /* take nothing now */
} Broadcast;

#define BROADCAST_TERMINALS_MAX 4096U

/* devices: "/dev", or another folder for tests. A negative errno if it cannot be read. */
int broadcast(const char *devices, const char *text, size_t length, Broadcast *ret);
