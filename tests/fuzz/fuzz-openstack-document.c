/* SPDX-License-Identifier: Apache-2.0 */

/* meta_data.json, what Keystone gives or refuses, and answers of Nova. Nothing that becomes a part of a path or a
 * header leads elsewhere, no token goes to what is not https, and no refusal repeats the secret. */

#include "cloud.h"
#include "providers/openstack/catalog.h"
#include "providers/openstack/info.h"
#include "providers/openstack/openstack.h"

#define SERVER "9d8f5a0e-7c33-4d4a-8f3e-2b1c0d9e8f70"
#define SECRET "s3cret"

static void check_meta_data(const char *text) {
        Identity *identity = g_new0(Identity, 1);
        g_autofree char *problem = parse_meta_data(text, identity);

        if (!problem) {
                g_assert_cmpuint(strlen(identity->server_id), ==, 36);
                g_assert_null(strpbrk(identity->server_id, "/?#%"));
        } else
                assert_utf8(problem);
        identity_free(identity);
}

/* The first line is the header's value. */
static void check_token(const char *body, size_t size, const char *region) {
        const char *newline = memchr(body, '\n', size);
        g_autofree char *value = g_strndup(body, newline ? (gsize) (newline - body) : size), *problem = NULL;
        const Whereabouts whereabouts = { .interface = "public", .region = region };
        bool lasting;
        Token *token =
                parse_token(value, newline ? newline + 1 : "", newline ? size - (size_t) (newline + 1 - body) : 0,
                            &whereabouts, &lasting, &problem);

        g_assert_true(!token == !!problem);
        if (!token) {
                assert_utf8(problem);
                return;
        }
        assert_plain(token->value, 16384);
        g_assert_true(catalog_is_safe_url(token->endpoint));
        g_assert_false(g_str_has_suffix(token->endpoint, "/"));
        g_assert_nonnull(token->roles);
        g_assert_nonnull(token->region);
        token_free(token);
}

static void check_refusal(const char *body, size_t size) {
        g_autofree char *said = parse_refusal(body, size, SECRET);

        assert_utf8(said);
        g_assert_null(strstr(said, SECRET));
}

static void check_answer(const HttpReply *http) {
        static const char *const states[] = { "running",    "pending", "stopping", "stopped",
                                              "terminated", "unknown", NULL };
        g_autoptr(JsonNode) document = cloud_reply_parse(http);
        CloudReply reply;
        Server server;

        parse_reply(http, document, &reply);
        check_reply(&reply);
        if (parse_server(&reply, SERVER, &server)) {
                g_assert_true(reply.ok);
                assert_utf8(server.task);
                g_assert_true(g_strv_contains(states, server_state(&server)));
        }
}

static void tell_own(SnoozePluginDictionary *info, const void *identity) {
        info_tell_own(info, NULL, identity);
}

static gboolean tell(SnoozePluginDictionary *info, const void *identity, const HttpReply *http, JsonNode *document) {
        const Identity *own = identity;
        CloudReply reply;
        Server server;

        parse_reply(http, document, &reply);
        if (!parse_server(&reply, own->server_id, &server))
                return FALSE;
        info_tell_server(info, own->server_id, "RegionOne", &server);
        return TRUE;
}

/* meta_data.json, and what Nova says of the same server. */
static void check_documents(const char *text) {
        Identity *identity = g_new0(Identity, 1);

        cloud_check_documents(text, identity_questions, identity, tell_own, tell);
        identity_free(identity);
}

/* No rule for another method, or without a path, allows a stop. */
static void check_rule(const char *rule) {
        static const char path[] = "/v2.1/servers/" SERVER "/action";

        if (parse_rule_allows(rule, "POST", path))
                g_assert_true(g_str_has_prefix(rule, "POST ") && strlen(rule) > strlen("POST "));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_auto(CloudInput) input = {};

        cloud_input_read(data, size, &input);
        switch (input.which) {
        case 'a':
                check_answer(&input.http);
                break;
        case 't':
                check_token(input.http.body, input.http.size, NULL);
                check_token(input.http.body, input.http.size, "one");
                break;
        case 'u':
                if (input.text)
                        check_rule(input.text);
                break;
        case 'r':
                check_refusal(input.http.body, input.http.size);
                break;
        case 'I':
                if (input.text)
                        check_documents(input.text);
                break;
        default:
                if (input.text)
                        check_meta_data(input.text);
        }
        return 0;
}
