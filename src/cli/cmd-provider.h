/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* CheckPermissions, which setup shows, too; and the verbs that have a file of their own. */

#include "cli/cli.h"

extern const Verb verb_provider_policy;

/* a(sbs), or NULL with error. */
GVariant *provider_permissions(Cli *cli, SnoozeClientProvider *provider, GError **error);
unsigned provider_permissions_missing(GVariant *permissions);
void provider_permissions_print(Cli *cli, GVariant *permissions);
