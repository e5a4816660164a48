/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What GetStatistics and GetResources tell in numbers, for a person; "" where they tell nothing. */

#include <gio/gio.h>

char *plugin_statistics_text(GVariant *statistics);
char *plugin_resources_text(GVariant *resources);
