/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Memory for what a plugin announces. sd-bus makes room for a whole message as soon as it has read the 16 bytes that
 * say how long it is, up to 128 MiB for each connection. sd-bus can live with the kernel's no (ENOMEM, and the
 * connection is at fault); GLib, which everything else in the daemon stands on, ends the process. So the kernel's
 * limit (LimitDATA= of the unit) is narrowed while a channel is read and is wide again before anything of ours runs.
 */

#include <stdbool.h>
#include <stdint.h>

/* So much more than what is in use now, and never more than half of all, so that however many plugins announce however
 * much, the bus and the daemon itself have the other half. Nothing happens where that cannot be told. */
void allowance_narrow(uint64_t more);

/* Where there was no room: whether that was concluded from what was in use a moment ago. The next one to narrow looks
 * again. */
bool allowance_was_guessed(void);

/* Also from within what is called while it is narrow; costs nothing where it is not. */
void allowance_widen(void);
