/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an administrator approved of what a plugin asks for: APPROVALS/<id>.json, written by the helper alone, read
 * by the helper and the daemon. Somebody approves of what a certain manifest says: the helper takes an approval only
 * for the manifest that is there, by its digest, and keeps with it the terms on which it was given. Another manifest
 * is granted what one of these approvals grants, if it says nothing beyond that one's terms, so that a new version of
 * the same program does not ask again, and another program, or one that is to be more to the daemon, does. What it
 * asks for and was not approved is not granted; what it no longer asks for is not granted either. */

#include "manifest/manifest.h"

#define APPROVALS_DIRECTORY "approvals" /* below the configuration's */

typedef struct Approvals {
        GPtrArray *list; /* of what approvals.c knows, the oldest first; one for each manifest at most */
} Approvals;

/* Nothing is approved. */
Approvals *approvals_new(void);
/* A missing file means that nothing is approved. NULL with *error: there is one, and it cannot be trusted or
 * understood. */
Approvals *approvals_load(const char *directory, const char *id, uid_t also, GError **error);
void approvals_free(Approvals *approvals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Approvals, approvals_free)

/* The file's content. */
char *approvals_text(const Approvals *approvals);

/* What a manifest says of the plugin that decides what its permissions are good for: "program:" and its `exec` as it
 * is written, "contract:" and each of those, "event:" and each type that it is handed unless the configuration says
 * otherwise. Free with g_strfreev(). */
char **approvals_terms_of(const Manifest *manifest);

/* Of what this manifest asks for these are approved from now on, and the rest of it of no manifest; what it does not
 * ask for stays as it was. */
void approvals_approve(Approvals *approvals, const Manifest *manifest, const char *const *permissions);

/* Takes back all for which keep() is FALSE. What that was; empty: nothing. Free with g_strfreev(). */
char **approvals_narrow(Approvals *approvals, gboolean (*keep)(const char *permission, void *userdata),
                        void *userdata);

gboolean approvals_include(const Approvals *approvals, const Manifest *manifest, const char *permission);

/* Why it is not, though it was approved of another manifest: "it was approved of a plugin.json without program:b,
 * contract:EventHandler". NULL: it is, or it never was. Caller frees. */
char *approvals_obstacle(const Approvals *approvals, const Manifest *manifest, const char *permission);

/* Those of the manifest's that are approved, and those that are not; in the manifest's order. Free with
 * g_strfreev(). */
char **approvals_granted(const Approvals *approvals, const Manifest *manifest);
char **approvals_missing(const Approvals *approvals, const Manifest *manifest);
