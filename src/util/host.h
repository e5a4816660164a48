/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Where a host is. */

#include <glib.h>

/* "localhost", or an address that never leaves this machine (127.0.0.0/8, ::1, in brackets or not). Names are not
 * looked up: only localhost is one by RFC 6761. */
gboolean host_is_loopback(const char *host);
