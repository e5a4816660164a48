/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Diagnose, which setup shows, too. */

#include "cli/cli.h"

/* aa{sv}, or NULL with error. */
GVariant *doctor_fetch(Cli *cli, GError **error);

/* All that is not ok, worst first; nothing where there is nothing. except: a check to leave out, or NULL. */
void doctor_print_troubles(Cli *cli, GVariant *findings, const char *except);
