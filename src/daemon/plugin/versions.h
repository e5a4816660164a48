/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Versions of a plugin that are installed side by side. Their files and the link `current` are root's: the daemon
 * reads them, and has snooze-helper switch the link and say which version each slot runs. */

#include <systemd/sd-bus.h>

#include "daemon/plugin/plugins.h"

typedef struct VersionSwitch VersionSwitch;

/* problem NULL: the link names it. */
typedef void (*VersionSwitched)(Plugin *plugin, const char *problem, void *userdata);

/* Which is meant by this: "" is the newest that is installed or, where versions do not lie side by side, the one that
 * is there. NULL with *error, which lists those that are there. */
Manifest *version_find(const Plugin *plugin, const char *version, GError **error);

/* The link names it already, or there is no link to name it. */
gboolean version_is_current(const Plugin *plugin, const Manifest *manifest);
/* Has it name this one from now on. One at a time: another that is under way ends with a problem. done may be NULL: a
 * failure is a Problem then; else it is called once, never from within, unless it is forgotten or the plugin freed
 * before: then destroy is called, if there is one. */
void version_switch(Plugin *plugin, const Manifest *manifest, VersionSwitched done, GDestroyNotify destroy,
                    void *userdata);
/* Nobody waits for it any more; what was asked for is done. */
void version_switch_forget(Plugin *plugin);
/* The plugin is gone: whoever waits is told so. */
void version_switch_abandon(Plugin *plugin);

/* Has both slots run what serves now, and nothing be granted to another version any more. */
void version_settle(Plugin *plugin);

/* Takes the manifest: ends the plugin if it runs, and starts it with that. done as in plugin_settle_later(). */
void version_replace(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata);
