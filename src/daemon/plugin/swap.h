/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Hot-swap: another version takes the place of the one that serves, and nobody who calls the plugin sees more of it
 * than a moment's wait.
 *
 *   start what it needs, then itself in the free slot ─► greet by its unique name, own channel
 *      ─► hold back what changes its state ─► export from the old ─► import into the new
 *      ─► the link `current`, where versions lie side by side ─► SWITCH
 *      ─► trial; meanwhile the old ends its calls, releases the name and leaves, for as long as they take (drain.h)
 *
 * Until the switch any failure ends the new one and changes nothing; the error names the step. A failure within the
 * trial brings the old version back, with the state that it had exported, where it is still on the disk. Every step
 * has a deadline, and the trial is over when its time is, wherever the old one is by then. What is held back has that
 * time besides its own. */

#include "daemon/plugin/plugins.h"
#include "daemon/plugin/process.h"

typedef struct PluginSwap PluginSwap;

/* Of a running plugin. Takes the manifest. done is called once, never from within: with NULL when the old version has
 * left or the trial is over, whichever is first, or with a named error. May be NULL: failures are Problems then. As
 * long as the one before the old one ends its calls there is no slot: Error.Busy; without done, it is taken then. */
void plugin_swap(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata);

/* What that does of one whose slot is taken by the version before, which ends its calls. */
void swap_put_off(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata);

/* A call ended, or the name has another owner: what waited for that goes on. */
void swap_call_ended(Plugin *plugin);
/* The version that was replaced is gone. */
void swap_previous_left(Plugin *plugin);
/* The version that serves took the place of another a moment ago. */
gboolean swap_on_trial(const Plugin *plugin);
/* So many µs in all calls that may change what it knows were held back, up to now: that is no part of the time that
 * whoever waits for the plugin has. */
uint64_t swap_held(const Plugin *plugin);
/* It is about to hand the state over: what is exported besides would come too late, or too early. */
gboolean swap_carries_state(const Plugin *plugin);
/* The plugin stops running for another reason. What was replaced is left alone. */
void swap_abort(Plugin *plugin, const char *reason);
/* The version on trial has failed: TRUE where the one before it is on its way back. */
gboolean swap_roll_back(Plugin *plugin, const char *reason);
void swap_free(PluginSwap *swap);
