/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Any bytes as what a cloud says: the first byte says which document, or the second, for a reply of an API, its
 * status. What the metadata service says is text by the time that a provider reads it; a reply is anything. */

#include <stdint.h>
#include <string.h>

#include <glib.h>

#include "cloud/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct CloudInput {
        char which;
        char *text;     /* behind the first byte, as the metadata service would have it; NULL: it is no text */
        HttpReply http; /* behind the second; its text is NUL-terminated, as a reply's is */
        char *body;
} CloudInput;

static inline void cloud_input_clear(CloudInput *input) {
        g_free(input->text);
        g_free(input->body);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CloudInput, cloud_input_clear)

static inline void cloud_input_read(const uint8_t *data, size_t size, CloudInput *ret) {
        static const long statuses[] = { 200, 202, 204, 400, 401, 403, 404, 409, 412, 429, 500, 503 };
        size_t skip = MIN(size, 2);

        *ret = (CloudInput) {
                .which = size > 0 ? (char) data[0] : '\0',
                .body = g_malloc(size - skip + 1),
        };
        if (size > skip)
                memcpy(ret->body, data + skip, size - skip);
        ret->body[size - skip] = '\0';
        ret->http = (HttpReply) {
                .status = statuses[(size > 1 ? data[1] : 0) % G_N_ELEMENTS(statuses)],
                .message = "",
                .body = ret->body,
                .size = size - skip,
                .attempts = 1,
        };
        if (size > 1 && !memchr(data + 1, '\0', size - 1) &&
            g_utf8_validate((const char *) data + 1, (gssize) size - 1, NULL))
                ret->text = g_strndup((const char *) data + 1, size - 1);
        else if (size <= 1)
                ret->text = g_strdup("");
}

/* A text of a length and of signs that can be seen, which ends nothing that it becomes a part of. */
static inline void assert_plain(const char *text, size_t most) {
        g_assert_cmpuint(strlen(text), >, 0);
        g_assert_cmpuint(strlen(text), <=, most);
        for (; *text; text++)
                g_assert_true(g_ascii_isgraph(*text));
}

static inline void assert_utf8(const char *text) {
        g_assert_true(!text || g_utf8_validate(text, -1, NULL));
}

/* What was wrong with a secret does not repeat it; a short one may be a word of the message. */
static inline void assert_discreet(const char *problem, const char *text) {
        g_assert_nonnull(problem);
        assert_utf8(problem);
        g_assert_true(strlen(text) < 16 || !strstr(problem, text));
}

static inline void check_reply(const CloudReply *reply) {
        g_assert_true(reply->ok == (reply->http->status < 300));
        g_assert_true(reply->ok || (!reply->object && !reply->root));
        assert_utf8(reply->code);
        assert_utf8(reply->message);
}
