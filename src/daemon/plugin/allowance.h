/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory for what a plugin announces. sd-bus makes room for a whole message as soon as it has read the 16 bytes that
 * say how long it is, up to 128 MiB for each connection. sd-bus can live with the kernel's no (ENOMEM, and the
 * connection is at fault); GLib, which everything else in the daemon stands on, ends the process. So the kernel's
 * limit (LimitDATA= of the unit) is narrowed while a channel is read and is wide again before anything of ours runs. */

#include <stdint.h>

/* So much more than what is in use now, and never more than half of all, so that however many plugins announce however
 * much, the bus and the daemon itself have the other half. Nothing happens where that cannot be told. */
void allowance_narrow(uint64_t more);

/* Between these two the first answer counts for all that narrow: for a quick turn through many channels. */
void allowance_measure(void);
void allowance_measured(void);

/* Also from within what is called while it is narrow; costs nothing where it is not. */
void allowance_widen(void);
