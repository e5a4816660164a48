/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the verbs about the configuration share. */

#include "cli/cli.h"

extern const Verb verb_config_get, verb_config_check;

/* The configuration in force: an object, or NULL with error. */
JsonNode *config_fetch(Cli *cli, GError **error);

/* SetConfiguration. */
gboolean config_patch(Cli *cli, JsonNode *patch, GError **error);
