/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The least that can answer over a private socket: a child process with bare sd-bus at the other end of a socketpair.
 * What calls over a plugin's channel are held against. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bench.h"

typedef struct Peer {
        sd_bus *bus;
        GPid pid;
} Peer;

void peer_begin(Peer *peer, sd_event *event);
void peer_end(Peer *peer);

/* One call of CheckIdle with a round's metrics, or of ProcessData with this block; *answers counts up when the answer
 * is there. */
void peer_check(Peer *peer, unsigned *answers);
void peer_process(Peer *peer, GBytes *block, unsigned *answers);
