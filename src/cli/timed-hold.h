/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A hold for a time that this command made, as it is told. */

#include "cli/cli.h"

/* cookie 0: it is not known. stored: it outlives a reboot. */
void timed_hold_print_json(guint cookie, guint64 until, gboolean stored);
/* Instead of cli_fail(), after HoldFor or Postpone: where the hold stands and could only not be stored, programs get
 * its cookie, too. */
int timed_hold_fail(const Cli *cli, GError *failure, guint64 until);
