/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an administrator approved of what a plugin asks for: APPROVALS/<id>.json, written by the helper alone, read
 * by the helper and the daemon. Somebody approves of what a certain manifest says: the helper takes an approval only
 * for the manifest that is there, by its digest, and keeps with it the terms on which it was given. A later manifest
 * is granted what was approved as long as it says nothing beyond these terms, so that a new version of the same
 * program does not ask again, and another program, or one that is to be more to the daemon, does. What it asks for
 * and was not approved is not granted; what it no longer asks for is not granted either. */

#include "manifest/manifest.h"

#define APPROVALS_DIRECTORY "approvals" /* below the configuration's */

typedef struct Approvals {
        char *digest;       /* of the manifest that was looked at; "": nobody has approved anything */
        char **permissions; /* never NULL */
        char **terms;       /* of every manifest that was approved and is there; never NULL */
} Approvals;

/* What a manifest says of the plugin that decides what its permissions are good for: "program:" and its `exec` as it
 * is written, "contract:" and "event:" with each of those. Free with g_strfreev(). */
char **approvals_terms_of(const Manifest *manifest);

/* A missing file means that nothing is approved. NULL with *error: there is one, and it cannot be trusted or
 * understood. */
Approvals *approvals_load(const char *directory, const char *id, uid_t also, GError **error);
void approvals_free(Approvals *approvals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Approvals, approvals_free)

/* The file's content. */
char *approvals_text(const char *digest, const char *const *permissions, const char *const *terms);

/* Whether it was approved, on whichever terms. */
gboolean approvals_named(const Approvals *approvals, const char *permission);
/* The same, on terms that the manifest keeps. */
gboolean approvals_include(const Approvals *approvals, const Manifest *manifest, const char *permission);

/* "program:b, contract:EventHandler": what the manifest says beyond the terms on which something was approved that it
 * asks for. NULL: it keeps them, or nothing of it was approved on any. Caller frees. */
char *approvals_new_terms(const Approvals *approvals, const Manifest *manifest);

/* Those of the manifest's that are approved, and those that are not; in the manifest's order. Free with
 * g_strfreev(). */
char **approvals_granted(const Approvals *approvals, const Manifest *manifest);
char **approvals_missing(const Approvals *approvals, const Manifest *manifest);
