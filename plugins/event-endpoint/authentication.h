/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Who may post: whoever says the token, or signs with the key as the plugin webhook does. Pure. */

#include <stdint.h>

#include <glib.h>

#define TOKEN_MIN 16U
/* A signature of another time is a replay. */
#define TIMESTAMP_SECONDS 300

typedef struct Authentication {
        char *token; /* NULL: none is taken */
        GBytes *key; /* NULL: no signature is */
} Authentication;

/* What a request says about it; NULL: nothing. */
typedef struct Claims {
        const char *authorization;
        const char *id, *timestamp, *signature;
} Claims;

/* The texts are empty where there is none. */
gboolean authentication_read(const char *token, const char *secret, Authentication *ret, GError **error);
void authentication_clear(Authentication *authentication);

/* Anybody who can connect may post. */
gboolean authentication_is_open(const Authentication *authentication);

/* NULL: fine, or, of a signature, to be seen when the body is there. Else what was wrong and expected, in words for
 * whoever posts. */
const char *authentication_head_problem(const Authentication *authentication, const Claims *claims);
/* now: wall clock µs. *ret_until: up to when the signature that counted does so, wall clock µs; 0: it was none. */
const char *authentication_problem(const Authentication *authentication, const Claims *claims, const char *body,
                                   gsize size, uint64_t now, uint64_t *ret_until);
