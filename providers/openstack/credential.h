/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the unit was given to ask with: the systemd credential "openstack"
 * (LoadCredential=openstack:/etc/credstore/openstack), a JSON object with the names of clouds.yaml: auth_url, and
 * application_credential_id and application_credential_secret, or username, password and a project; region_name
 * besides. They may stand in an object "auth" as they do there. It is read anew for each token, so that a secret that
 * was replaced needs no restart, and lies in memory no longer than the question. */

#include <glib.h>

typedef struct Credential {
        char *auth_url; /* of Keystone, with /v3, without a slash at its end */
        char *region;   /* NULL: none is named */
        char *body;     /* of a POST to /auth/tokens; holds the secret */
        char *secret;
} Credential;

/* FALSE: there is none, or ret_problem says (without a piece of it) what is wrong. */
gboolean credential_read(Credential *ret, char **ret_problem);
void credential_clear(Credential *credential);
