/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a configuration is held against: the plugins that a running daemon knows, or those whose manifests lie in the
 * directories where one would look. */

#include "daemon/plugin/plugins.h"

typedef struct Installed {
        GPtrArray *plugins, *providers; /* of ids, ending with NULL */
        GPtrArray *excess; /* "<file>: <json pointer>: got …": limits above a manifest's; ends so, too */
} Installed;

void installed_known(Plugins *plugins, const Config *config, Installed *ret);
/* directories: NULL-terminated, besides those of the configuration. */
void installed_on_disk(const char *const *directories, const Config *config, Installed *ret);
void installed_clear(Installed *installed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Installed, installed_clear)

/* What the configuration is warned of: keys without a meaning here, names of nothing, limits with which a plugin is
 * not started, and secrets that everybody can read. NULL-terminated. */
char **installed_warnings(const Installed *installed, const Config *config);
