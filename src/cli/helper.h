/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Calls of the root helper: by the person's own program, since polkit is to be asked about the person. */

#include "cli/cli.h"

/* Waits for the answer, whose type is `reply`; cli's bus is open. */
GVariant *helper_call(Cli *cli, const char *method, GVariant *arguments, const char *reply, GError **error);
/* The same with a descriptor, which is handle 0 of the arguments. */
GVariant *helper_call_with_fd(Cli *cli, const char *method, GVariant *arguments, int fd, const char *reply,
                              GError **error);
/* After a call, which started it: FALSE where systemd says that it cannot tell addresses apart. */
gboolean helper_tells_addresses_apart(Cli *cli);
