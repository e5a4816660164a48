/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Any bytes as what a cloud says: the first byte says which document, or the second, for a reply of an API, its
 * status. What the metadata service says is text by the time that a provider reads it; a reply is anything. */

#include <stdint.h>
#include <string.h>

#include <glib.h>

#include <snooze/dictionary.h>

#include "cloud/call.h"
#include "cloud/provider.h"

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

/* Several documents in one text: those of the metadata service as they are asked for, and behind them a reply. An
 * empty one is not there; one that begins so could not be had. */
#define DOCUMENTS_SEPARATOR "\x1e"
#define DOCUMENT_FAILED '!'

/* Whether they say which machine this is, as questions has them asked; documents is then at the reply. */
static inline gboolean cloud_identify(const CloudQuestion *questions, char ***documents, void *identity) {
        for (; questions->path; questions++) {
                const char *text = **documents ? *(*documents)++ : "";
                MetadataOutcome outcome = !*text                    ? METADATA_ABSENT
                                          : *text == DOCUMENT_FAILED ? METADATA_FAILED
                                                                     : METADATA_FOUND;
                g_autofree char *problem = questions->take(outcome, text, NULL, identity);

                assert_utf8(problem);
                if (problem)
                        return FALSE;
        }
        return TRUE;
}

/* The reply of an API behind the documents. */
static inline HttpReply cloud_last(char **documents) {
        const char *text = *documents ?: "";

        return (HttpReply) {
                .status = 200, .message = "", .body = (char *) text, .size = strlen(text), .attempts = 1
        };
}

/* What GetInstanceInfo would answer has all that the contract names, unless the documents have more than fits. */
static inline void check_info(const SnoozePluginDictionary *info, size_t size) {
        static const char *const texts[] = { "id", "name", "type", "region", "zone", "state", "lifecycle" };
        const SnoozePluginDictionary *tags = snooze_plugin_dictionary_get_dictionary(info, "tags");
        const char *name;

        for (size_t i = 0; size < 8192 && i < G_N_ELEMENTS(texts); i++) {
                g_assert_cmpint(snooze_plugin_dictionary_get_type(info, texts[i]), ==, 's');
                assert_utf8(snooze_plugin_dictionary_get_string(info, texts[i], ""));
        }
        name = snooze_plugin_dictionary_get_string(info, "lifecycle", "spot");
        g_assert_true(g_str_equal(name, "spot") || g_str_equal(name, "on-demand"));
        g_assert_true(!snooze_plugin_dictionary_has(info, "launch-time") ||
                      snooze_plugin_dictionary_get_uint(info, "launch-time", 0) > 0);
        g_assert_true(tags || size >= 8192);
        for (unsigned i = 0; (name = snooze_plugin_dictionary_get_key(tags, i)); i++) {
                g_assert_cmpuint(strlen(name), >, 0);
                g_assert_cmpuint(strlen(name), <=, 128);
                assert_utf8(snooze_plugin_dictionary_get_string(tags, name, NULL));
        }
}

static inline void check_reply(const CloudReply *reply) {
        g_assert_true(reply->ok == (reply->http->status < 300));
        g_assert_true(reply->ok || (!reply->object && !reply->root));
        assert_utf8(reply->code);
        assert_utf8(reply->message);
}

/* The machine as the metadata service names it, and as the API describes it. identity: of the provider, an empty one.
 * tell: FALSE where the reply does not describe the machine, of which it has told nothing then. */
static inline void cloud_check_documents(const char *text, const CloudQuestion *questions, void *identity,
                                         void (*tell_own)(SnoozePluginDictionary *info, const void *identity),
                                         gboolean (*tell)(SnoozePluginDictionary *info, const void *identity,
                                                          const HttpReply *http, JsonNode *document)) {
        g_auto(GStrv) documents = g_strsplit(text, DOCUMENTS_SEPARATOR, 16);
        SnoozePluginDictionary *own = snooze_plugin_dictionary_new(), *info = snooze_plugin_dictionary_new();
        char **next = documents;

        if (cloud_identify(questions, &next, identity)) {
                HttpReply http = cloud_last(next);
                g_autoptr(JsonNode) document = cloud_reply_parse(&http);

                tell_own(own, identity);
                check_info(own, strlen(text));
                if (tell(info, identity, &http, document))
                        check_info(info, strlen(text));
        }
        snooze_plugin_dictionary_free(own);
        snooze_plugin_dictionary_free(info);
}
