/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the verbs about the configuration share. */

#include "cli/cli.h"

extern const Verb verb_config_get, verb_config_check;

/* The configuration in force: an object, or NULL with error. */
JsonNode *config_fetch(Cli *cli, GError **error);

/* A value as config get shows it: strings bare, the rest as JSON. */
char *config_value_text(JsonNode *value);

/* SetConfiguration. */
gboolean config_patch(Cli *cli, JsonNode *patch, GError **error);
