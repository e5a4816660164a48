/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The beat of the daemon: a sample in each interval, and with some of them a check. */

#include "daemon/manager.h"

int tick_begin(Manager *manager);
void tick_end(Manager *manager);

/* The interval of the configuration counts from now on; first: µs until the next sample. */
int tick_set(Manager *manager, uint64_t first);
