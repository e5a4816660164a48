/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The version that was replaced (Plugin.previous). Calls that were under way when another took its place end there,
 * each by its own deadline, which for a stream may be an hour away; it is sent no others. It is told to leave at once,
 * gives the name away, and goes when the last of them has ended. From that on it has the time that its plugin has to
 * leave, then it is killed. It belongs to the plugin and outlives the swap: whatever becomes of the version that
 * replaced it, by itself, is not its concern. Who ends the plugin ends both. */

#include "daemon/plugin/plugins.h"

/* It was put there a moment ago. */
void drain_begin(Plugin *plugin);
/* A call ended, or the name has another owner. NULL is fine for all these: there may be none. */
void drain_go_on(Plugin *plugin);
/* Kills it. What it was asked does not begin the plugin anew. */
void drain_end(Plugin *plugin, const char *reason);
/* Kills it, before the caller begins the plugin anew. */
void drain_end_before(Plugin *plugin, const char *reason);
/* It is the one who still has the plugin's name. */
gboolean drain_has_name(const Plugin *plugin);
/* What it does yet, for a person; NULL: there is none. Caller frees. */
char *drain_in_words(const Plugin *plugin);
