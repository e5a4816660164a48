/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the daemon tells of a plugin, for a person. */

#include <gio/gio.h>

/* "may see the processes of others (processes): approved" */
char *plugin_permission_text(const char *permission, gboolean approved);

/* What GetStatistics and GetResources tell in numbers; "" where they tell nothing. */
char *plugin_statistics_text(GVariant *statistics);
char *plugin_resources_text(GVariant *resources);
