/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The configured limits of a plugin (plugins.limits), which the helper writes for its units and systemd keeps, within
 * those that its manifest asks for; and whether this machine has as much as the lower of them at all. */

#include "daemon/plugin/plugins.h"

typedef struct LimitsCall LimitsCall;

/* What a machine has. */
typedef struct MachineSize {
        uint64_t memory; /* bytes */
        unsigned cpus;
        uint64_t tasks;
} MachineSize;

MachineSize machine_size(void);
/* What the manifest asks for and this machine does not have, with both figures; NULL: it can be given. Of what is
 * configured to be less (NULL: nothing) the less is asked for. Caller frees. */
char *limits_impossible(const Manifest *manifest, JsonObject *configured, const MachineSize *machine);

/* systemd has others than those configured, as far as is known. */
gboolean limits_needed(const Plugin *plugin);
/* What the helper was told may stand no more: it made the plugin known again or took it away, each of which changes
 * what it wrote, or another manifest bounds it. */
void limits_forget(Plugin *plugin);
/* message NULL: they are in force. */
typedef void (*LimitsDone)(const char *message, void *userdata);
/* done is called once, never from within this function, unless it is cancelled before. NULL: nothing could be sent. */
LimitsCall *limits_tell(Plugin *plugin, LimitsDone done, void *userdata);
/* The helper, which was told already, does as it was told. NULL is fine. */
LimitsCall *limits_cancel(LimitsCall *call);
