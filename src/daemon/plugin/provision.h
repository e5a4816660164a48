/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What has to be there before a plugin that no package brought can be started: the helper makes it known to the
 * system (user, policy, activation file, drop-ins), once for each manifest, and an administrator has approved of
 * all that it asks for. A plugin that came with a package needs neither, but that nothing is left of one of its name
 * that was made known before: the helper removes that. Where there is neither systemd nor a helper nothing would be
 * enforced, and nothing is asked. */

#include "daemon/plugin/plugins.h"

/* At most so many calls of the helper at once; the bus allows 128 answers to be owed to one connection. */
#define PROVISIONING_MAX 16U

typedef struct Provisioning Provisioning;

/* error NULL: it may be started. Else the name and text of the error. */
typedef void (*ProvisionDone)(Plugin *plugin, const char *error, const char *message, void *userdata);

/* It lies where packages put theirs. */
gboolean plugin_packaged(const Plugin *plugin);
/* Which may be another one than what there is now. */
gboolean manifest_packaged(const Manifest *manifest);
/* The same, and its manifest says that it came with CloudSnooze. NULL: has none, and is not. */
gboolean plugin_official(const Manifest *manifest);
/* It lies where packages put theirs, and no package made the user that its unit runs as. */
gboolean plugin_lacks_user(const Plugin *plugin);
/* slot: a PluginSlot, in which it is to be started; PLUGIN_SLOT_COUNT: in either. FALSE: it may be started at once. */
gboolean provision_needed(Plugin *plugin, const Manifest *manifest, unsigned slot);
/* Why it may not take the place of the version that runs: not all that it asks for is approved. Making it known would
 * take away what the one that runs was granted. NULL: it may, or nothing has to be approved here. Caller frees. */
char *provision_refusal(const Plugin *plugin, const Manifest *manifest);
/* done is called once, never from within this function, unless it is cancelled or everything freed before. NULL:
 * nothing could be sent. */
Provisioning *provision_begin(Plugin *plugin, Manifest *manifest, unsigned slot, ProvisionDone done, void *userdata);
void provision_cancel(Provisioning *provisioning);
/* The plugin is gone: whoever still waits is told so. */
void provision_abandon(Plugin *plugin);
/* Those that were begun with this `done` end with this error. */
void provision_give_up(Plugin *plugin, ProvisionDone done, const char *error, const char *message);
/* What was made known may be taken away by others from now on, and is made known again with the next start. */
void provision_forget(Plugin *plugin);
/* For the list of them that a plugin owns. */
void provisioning_free(void *provisioning);

/* Of what its manifest asks for. Free with g_strfreev(). */
char **plugin_approved(const Plugin *plugin);
/* Those of them by which it may reach certain addresses and no others, "network:10.1.2.3, network:localhost"; NULL:
 * there are none, or it may reach every address in any case. Caller frees. */
char *plugin_approved_addresses(const Plugin *plugin);
