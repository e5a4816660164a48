/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The one privileged program. It makes a plugin that no package brought known to the system (user, bus policy,
 * activation file, unit drop-ins), grants it what an administrator approved, and sets its limits. What a plugin may
 * ask for it reads itself from a manifest that root alone can change; a call brings an id and, where it approves,
 * the digest of what somebody looked at. So a captured daemon gets no further than having a plugin known that is
 * there in any case. */

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "bus/authorize.h"
#include "bus/caller.h"
#include "bus/limits.h"
#include "helper/place.h"
#include "helper/reload.h"
#include "helper/texts.h"
#include "manifest/approvals.h"
#include "manifest/manifest.h"

typedef struct Helper {
        sd_event *event;
        sd_bus *bus;
        Places places;
        Callers *callers;
        Authorizer *authorizer;
        SenderLimits *limits;
        Reloader *reloader;
        sd_event_source *idle, *left;
        gboolean leaving;
        GHashTable *stale; /* ids of those that an earlier helper left and that could not be brought up to date yet */
        char *unknown; /* why it is not known what an earlier helper had under way; NULL: that is under way here */
} Helper;

/* main.c */
/* Something was asked for: it stays a while longer. */
void helper_touch(Helper *helper);

/* helper-bus.c */
int helper_export(Helper *helper);

/* find.c */
/* The manifest as the daemon finds it, from a place that root alone can change. *ret_packaged: it came with a
 * package, which brought the rest, too. NULL with *error: G_FILE_ERROR_NOENT where it is not there in any form. */
Manifest *plugin_find(const Places *places, const char *id, gboolean *ret_packaged, GError **error);
/* The same of one of the versions that lie side by side. */
Manifest *plugin_find_version(const Places *places, const char *id, const char *version, GError **error);
/* What lies below this directory (without the root). version NULL: the one that counts. */
Manifest *plugin_load(const Places *places, const char *directory, const char *id, const char *version,
                      GError **error);
/* The directory that it is found in, without the root. */
char *plugin_directory(const Places *places, const char *id, gboolean *ret_packaged, GError **error);
/* A package brought what is found first. */
gboolean plugin_packaged(const Places *places, const char *id);
/* What it says of itself, whether or not it could be run; NULL: that cannot be told. directory: as of
 * plugin_directory(). */
Manifest *plugin_read_version(const Places *places, const char *directory, const char *id, const char *version);
/* As manifest_versions(). */
char **plugin_versions(const Places *places, const char *id);

/* install.c */
typedef enum Installed {
        INSTALLED_NEW,
        INSTALLED_ALREADY, /* the very same files */
} Installed;

/* What the caller says that he brings; NULL: does not say. */
typedef struct InstallClaim {
        const char *id, *version;
} InstallClaim;

/* Takes over what lies in the directory behind the descriptor as one more version of the plugin that its plugin.json
 * names: whole or not at all. caller: who may read all of it. claim: what plugin.json has to name. The first version
 * of a plugin is the one that counts; another one is until the daemon has it replaced. */
Manifest *install_version(const Places *places, int source, uid_t caller, const InstallClaim *claim, Installed *ret,
                          GError **error);
/* version "": all of them. That which counts goes only with all. */
gboolean install_remove(const Places *places, const char *id, const char *version, GError **error);
/* The version is the one that counts from now on. */
gboolean install_switch(const Places *places, const char *id, const char *version, GError **error);

/* interpreter.c */
/* The programs that are run for a script that root alone can change: of "#!/usr/bin/env python3" both, as far as they
 * are root's alone, too. Empty for anything else. The path is a real one. Free with g_strfreev(). */
char **interpreters(const Places *places, const char *program);
/* Those of a program that a permission names, which are such as could be asked for: exec:PATH. */
char **interpreters_granted(const Places *places, const char *program);

/* pending.c */
typedef enum PendingKind {
        PENDING_READ,    /* what is written of it has to be read */
        PENDING_KEPT,    /* and it is not to be forgotten any more */
        PENDING_REMOVED, /* it is to be forgotten */
} PendingKind;

/* FALSE: it is not known what an earlier helper left, and nothing may be changed. */
gboolean pending_known(const Helper *helper, GError **error);
/* Before anything of this plugin is changed. Fails as long as it is not known what an earlier helper left. */
gboolean pending_note(const Helper *helper, const char *id, PendingKind kind, GError **error);
/* That it is to be forgotten is noted, and may not be done. */
gboolean pending_removes(const Places *places, const char *id);
/* What is not in force now is noted, and nothing else. What an earlier helper left and could not be brought up to date
 * is tried again before. */
void pending_settle(Helper *helper);
/* Has done what an earlier helper left: what that wrote of is granted what is approved now. 0, 1 or a negative errno.
 * Where it cannot be read what that is, this is to be called again before anything is changed. */
int pending_resume(Helper *helper);

/* provision.c: each sets *changed to what has to be read again (ReloadWhat). */
typedef enum Slots {
        SLOT_A = 1 << 0,
        SLOT_B = 1 << 1,
        SLOTS_BOTH = SLOT_A | SLOT_B,
} Slots;

/* All of it, or a part. */
gboolean provision_present(const Places *places, const char *id);
/* What is approved and asked for neither by this manifest nor by another version that is there is not approved any
 * more: what comes later and asks for it asks anew. A version that is broken is one that may ask for it. */
gboolean provision_narrow(const Places *places, Manifest *manifest, Approvals *approvals, GError **error);
/* The same of what none of the versions asks for that are installed: one that comes next does not have it because it
 * asks for it. */
gboolean provision_narrow_installed(const Places *places, const char *id, GError **error);
/* Has these slots run this version with what is approved of what it asks for. The bus policy, which is one for both,
 * grants what is approved to either. */
gboolean provision_apply(const Places *places, const Manifest *manifest, const Approvals *approvals, Slots slots,
                         unsigned *changed, GError **error);
/* Each slot as it is, with what is approved now. */
gboolean provision_refresh(const Places *places, const Manifest *manifest, const Approvals *approvals,
                           unsigned *changed, GError **error);
gboolean provision_remove(const Places *places, const char *id, unsigned *changed, GError **error);
/* Of a plugin that a package has brought: something is left of an earlier one of its name that was not, and would take
 * the place of what the package brought. */
gboolean provision_left(const Places *places, const char *id);
/* Removes that, and nothing that may be the package's or the administrator's. */
gboolean provision_clear(const Places *places, const char *id, unsigned *changed, GError **error);
/* Of what this manifest asks for these are approved from now on; what only other versions ask for stays as it was. */
gboolean provision_approve(const Places *places, Manifest *manifest, const char *const *permissions, GError **error);
gboolean provision_limit(const Places *places, const char *id, const Limits *limits, unsigned *changed,
                         GError **error);
Approvals *provision_approvals(const Places *places, const char *id, GError **error);
/* What is pinned to the slot, NULL: nothing, or what has no versions. */
char *provision_pinned(const Places *places, const char *id, Slots slot);
