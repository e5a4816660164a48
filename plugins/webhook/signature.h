/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Signatures of webhooks as https://www.standardwebhooks.com has them (symmetric, v1): three headers, webhook-id,
 * webhook-timestamp (seconds since the epoch) and webhook-signature, "v1," and the base64 of the HMAC-SHA256 of
 * "ID.TIMESTAMP.BODY". Whoever receives one refuses old timestamps and ids that it has seen. */

#include <glib.h>

#define SIGNATURE_ID_HEADER "webhook-id"
#define SIGNATURE_TIMESTAMP_HEADER "webhook-timestamp"
#define SIGNATURE_HEADER "webhook-signature"

/* Keys of less are guessed. */
#define SIGNATURE_KEY_MIN 16U

/* A key of the bytes of a text: those behind "whsec_" are base64, any other text is what it is. Its memory is cleared
 * when it is freed. NULL with an error that does not repeat the text. */
GBytes *signature_key(const char *secret, GError **error);

/* "v1,BASE64". */
char *signature_make(GBytes *key, const char *id, const char *timestamp, const char *body, gsize size);

/* header: signatures, separated by blanks, of which one must be that of signature_make(). Takes the same time wherever
 * they differ. */
gboolean signature_matches(const char *signature, const char *header);

/* Are two texts the same? Takes the same time wherever they differ, though not for every length. */
gboolean secret_equal(const char *a, const char *b);
