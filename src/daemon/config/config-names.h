/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Ids in the configuration that name nothing. That is no error, for a plugin may be installed later; but a slip of the
 * pen would turn a required source off, or leave the machine without a provider, and say nothing. */

#include "daemon/config/config.h"

/* plugins, providers: the ids that are known, ending with NULL. A provider is a plugin, too. One warning each:
 * "<file>: <json pointer>: no plugin "x" is installed, did you mean "y"?". NULL-terminated. */
char **config_unknown_names(const Config *config, const char *const *plugins, const char *const *providers);
