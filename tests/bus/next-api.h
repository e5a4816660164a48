/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Read before all else by what tests/bus/meson.build compiles anew: the plugin API after this tree's, for a daemon
 * that has this tree's as the one before, and for a program made for that daemon. */

#include <snooze/plugin.h>

#include "base/names.h"

enum { TREE_HOST_API = PLUGIN_API_VERSION, TREE_PLUGIN_API = SNOOZE_PLUGIN_API };

#undef PLUGIN_API_VERSION
#define PLUGIN_API_VERSION (TREE_HOST_API + 1U)

#undef SNOOZE_PLUGIN_API
#define SNOOZE_PLUGIN_API (TREE_PLUGIN_API + 1U)
