/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What an administrator approved of what a plugin asks for: APPROVALS/<id>.json, written by the helper alone, read
 * by the helper and the daemon. Somebody approves of what a certain manifest says, so its digest is kept with it:
 * the helper takes an approval only for the manifest that is there. What a later manifest asks for and was not
 * approved is not granted; what it no longer asks for is not granted either. */

#include "manifest/manifest.h"

#define APPROVALS_DIRECTORY "approvals" /* below the configuration's */

typedef struct Approvals {
        char *digest;       /* of the manifest that was looked at; "": nobody has approved anything */
        char **permissions; /* never NULL */
} Approvals;

/* A missing file means that nothing is approved. NULL with *error: there is one, and it cannot be trusted or
 * understood. */
Approvals *approvals_load(const char *directory, const char *id, uid_t also, GError **error);
void approvals_free(Approvals *approvals);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Approvals, approvals_free)

/* The file's content. */
char *approvals_text(const char *digest, const char *const *permissions);

gboolean approvals_include(const Approvals *approvals, const char *permission);

/* Those of the manifest's that are approved, and those that are not; in the manifest's order. Free with
 * g_strfreev(). */
char **approvals_granted(const Approvals *approvals, const Manifest *manifest);
char **approvals_missing(const Approvals *approvals, const Manifest *manifest);
