/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The wall clock, which anybody may set who administrates the machine, or its network time. No decision takes it:
 * idleness runs on monotonic time, holds end on boot time. What remains is to tell people times of day on the clock as
 * it is now, and to say why those that they were told before are off; of a warning that runs they are told anew. */

#include "daemon/manager.h"

/* Wall clock of a moment on the monotonic clock. The same moment stays the same time, unless somebody sets the clock.
 */
uint64_t manager_realtime(Manager *manager, uint64_t monotonic);

/* With each sample: was it set since the one before? */
void wall_clock_look(Manager *manager);
