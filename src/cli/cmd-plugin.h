/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Verbs of `snooze plugin` that have a file of their own. */

#include "cli/cli.h"

/* cmd-plugin-uninstall.c: the daemon forgets what it keeps of it, whether it is there or not; cli is connected. */
gboolean plugin_forget(Cli *cli, const char *id, GError **error);
/* Warns of the files in /etc that say something of one that is forgotten; of the configuration's where cli is
 * connected. heir: who gets it, in the words of the warning. */
void plugin_tell_left(Cli *cli, const char *id, const char *heir);

/* cmd-plugin.c: opens one that was put there a moment ago, in the line before this one, and that snoozed may not have
 * seen yet; cli is connected. */
SnoozeClientPlugin *plugin_open_just_put(Cli *cli, const char *id, GError **error);
/* Whether it says that the plugin asks for what nobody has approved: a reason among others, of whatever failed. */
gboolean plugin_lacks_approval(const GError *error);
/* As cli_fail(); for want of an approval a start is refused, and has not failed. */
int plugin_fail(const Cli *cli, GError *error);
/* Has snoozed, where it runs, read the directories again, so that the next line finds what this one brought, and not
 * what it removed. cli's bus is open. That it could not is a warning: snoozed will have looked soon. */
void plugin_discover(Cli *cli);

extern const Verb verb_plugin_configure, verb_plugin_install, verb_plugin_permissions, verb_plugin_search,
        verb_plugin_update, verb_plugin_uninstall, verb_plugin_new, verb_plugin_test, verb_plugin_call,
        verb_plugin_process;
