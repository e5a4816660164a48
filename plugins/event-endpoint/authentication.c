/* SPDX-License-Identifier: Apache-2.0 */

#include "authentication.h"

#include <string.h>

#include "base/clock.h"
#include "plugins/webhook/signature.h"

#define BEARER "Bearer "

static gboolean token_valid(const char *token) {
        for (const char *c = token; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return FALSE;
        return strlen(token) >= TOKEN_MIN;
}

gboolean authentication_read(const char *token, const char *secret, Authentication *ret, GError **error) {
        Authentication authentication = { .token = NULL };

        if (*token && !token_valid(token)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                            "token: expected %u or more characters of ASCII without blanks", TOKEN_MIN);
                return FALSE;
        }
        if (*secret) {
                authentication.key = signature_key(secret, error);
                if (!authentication.key) {
                        g_prefix_error(error, "secret: ");
                        return FALSE;
                }
        }
        authentication.token = *token ? g_strdup(token) : NULL;
        *ret = authentication;
        return TRUE;
}

void authentication_clear(Authentication *authentication) {
        if (authentication->token)
                explicit_bzero(authentication->token, strlen(authentication->token));
        g_free(authentication->token);
        g_clear_pointer(&authentication->key, g_bytes_unref);
        *authentication = (Authentication){ .token = NULL };
}

gboolean authentication_is_open(const Authentication *authentication) {
        return !authentication->token && !authentication->key;
}

static gboolean says_token(const Authentication *authentication, const Claims *claims) {
        const char *said = claims->authorization;

        return authentication->token && said && g_ascii_strncasecmp(said, BEARER, strlen(BEARER)) == 0 &&
               secret_equal(authentication->token, said + strlen(BEARER));
}

static gboolean is_signed(const Claims *claims) {
        return claims->id && claims->timestamp && claims->signature;
}

const char *authentication_head_problem(const Authentication *authentication, const Claims *claims) {
        if (authentication_is_open(authentication) || says_token(authentication, claims) ||
            (authentication->key && is_signed(claims)))
                return NULL;
        if (!authentication->key)
                return "expected Authorization: Bearer and the token";
        return authentication->token ? "expected Authorization: Bearer and the token, or webhook-id, "
                                       "webhook-timestamp and webhook-signature"
                                     : "expected webhook-id, webhook-timestamp and webhook-signature";
}

static gboolean is_recent(const char *timestamp, uint64_t now, uint64_t *ret_until) {
        gint64 seconds = (gint64) (now / USEC_PER_SEC), said;

        if (!g_ascii_string_to_signed(timestamp, 10, 0, G_MAXINT64, &said, NULL) ||
            said < seconds - TIMESTAMP_SECONDS || said > seconds + TIMESTAMP_SECONDS)
                return FALSE;
        /* To the end of that second. */
        *ret_until = (uint64_t) (said + TIMESTAMP_SECONDS + 1) * USEC_PER_SEC;
        return TRUE;
}

const char *authentication_problem(const Authentication *authentication, const Claims *claims, const char *body,
                                   gsize size, uint64_t now, uint64_t *ret_until) {
        const char *problem = authentication_head_problem(authentication, claims);
        g_autofree char *signature = NULL;

        *ret_until = 0;
        if (problem || authentication_is_open(authentication) || says_token(authentication, claims))
                return problem;
        signature = signature_make(authentication->key, claims->id, claims->timestamp, body, size);
        if (!signature_matches(signature, claims->signature))
                return "webhook-signature is not that of this body";
        return is_recent(claims->timestamp, now, ret_until)
                       ? NULL
                       : "webhook-timestamp: expected seconds since the epoch, at most 300 from now";
}
