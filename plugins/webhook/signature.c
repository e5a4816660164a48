/* SPDX-License-Identifier: Apache-2.0 */

#include "signature.h"

#include <string.h>

#define PREFIX "whsec_"

typedef struct Key {
        guchar *data;
        gsize size;
} Key;

static void key_free(void *userdata) {
        Key *key = userdata;

        explicit_bzero(key->data, key->size);
        g_free(key->data);
        g_free(key);
}

/* g_base64_decode() skips what is no base64. */
static gboolean is_base64(const char *text) {
        size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");

        return strlen(text) % 4 == 0 && strspn(text + length, "=") == strlen(text + length) &&
               strlen(text + length) <= 2;
}

GBytes *signature_key(const char *secret, GError **error) {
        gboolean encoded = g_str_has_prefix(secret, PREFIX);
        Key *key;

        if (encoded && !is_base64(secret + strlen(PREFIX))) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "expected base64 behind " PREFIX);
                return NULL;
        }
        key = g_new0(Key, 1);
        if (encoded)
                key->data = g_base64_decode(secret + strlen(PREFIX), &key->size);
        else {
                key->data = (guchar *) g_strdup(secret);
                key->size = strlen(secret);
        }
        if (key->size < SIGNATURE_KEY_MIN) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "expected at least %u bytes", SIGNATURE_KEY_MIN);
                key_free(key);
                return NULL;
        }
        return g_bytes_new_with_free_func(key->data, key->size, key_free, key);
}

char *signature_make(GBytes *key, const char *id, const char *timestamp, const char *body, gsize size) {
        gsize key_size, digest_size = 32;
        const guchar *data = g_bytes_get_data(key, &key_size);
        GHmac *hmac = g_hmac_new(G_CHECKSUM_SHA256, data, key_size);
        g_autofree char *text = NULL;
        guint8 digest[32];

        g_hmac_update(hmac, (const guchar *) id, (gssize) strlen(id));
        g_hmac_update(hmac, (const guchar *) ".", 1);
        g_hmac_update(hmac, (const guchar *) timestamp, (gssize) strlen(timestamp));
        g_hmac_update(hmac, (const guchar *) ".", 1);
        g_hmac_update(hmac, (const guchar *) body, (gssize) size);
        g_hmac_get_digest(hmac, digest, &digest_size);
        g_hmac_unref(hmac);
        text = g_base64_encode(digest, digest_size);
        return g_strconcat("v1,", text, NULL);
}

gboolean secret_equal(const char *a, const char *b) {
        size_t length = strlen(a);
        volatile unsigned char difference = 0;

        if (strlen(b) != length)
                return FALSE;
        for (size_t i = 0; i < length; i++)
                difference |= (unsigned char) (a[i] ^ b[i]);
        return difference == 0;
}

gboolean signature_matches(const char *signature, const char *header) {
        g_auto(GStrv) given = g_strsplit(header, " ", 16);
        gboolean found = FALSE;

        for (char **one = given; *one; one++)
                found = secret_equal(signature, *one) || found;
        return found;
}
