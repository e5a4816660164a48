/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A call that waits for something (whose it is, polkit, the disk, a plugin) before it is answered.
 *
 * A message keeps all that its sender put into it, also up to 64 MiB of header fields that the specification does not
 * know and everybody ignores (D-Bus specification, "Header Fields"). dbus-daemon takes those out, dbus-broker lets
 * them through; of the calls that wait they would be the daemon's memory. */

#include <systemd/sd-bus.h>

/* A copy of the call that has what it means and no more: sender, object, member, flags, arguments. Handled and
 * answered as the call itself would be. The call is at its beginning afterwards. 0 or a negative errno.
 *
 * Arguments other than a block ("ay") are copied one by one, so they have been held against their bounds before. What
 * authorize() let through is such a copy already. */
int call_keep(sd_bus_message *call, sd_bus_message **ret);

/* The same without the arguments, and so without the descriptors in them. */
int call_keep_head(sd_bus_message *call, sd_bus_message **ret);
