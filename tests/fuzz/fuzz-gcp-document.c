/* SPDX-License-Identifier: Apache-2.0 */

/* Documents of Google's metadata service, and answers of the Compute Engine API. Nothing that becomes a part of a
 * path, a query or a header leads elsewhere. */

#include "cloud.h"
#include "cloud/text.h"
#include "providers/gcp/gcp.h"
#include "providers/gcp/info.h"
#include "util/json.h"

static void check_lines(const char *text) {
        g_autofree char *name = parse_name(text, TEXT_LOWER TEXT_DIGITS "-.:"), *notice = parse_notice(text);

        if (name) {
                assert_plain(name, 255);
                g_assert_null(strpbrk(name, "/?#%&"));
        }
        if (notice)
                assert_plain(notice, 64);
        if (parse_is_etag(text))
                g_assert_null(strpbrk(text, "&=?#%/ \r\n"));
        if (parse_is_name(text))
                g_assert_null(strpbrk(text, "/?#% \r\n"));
        if (parse_is_path(text))
                g_assert_true(g_str_has_prefix(text, "projects/") && !strpbrk(text, "?#% \r\n"));
}

static void check_token(const char *text) {
        AccessToken token = {};

        if (!parse_token(text, &token))
                return;
        assert_plain(token.text, 8192);
        g_assert_cmpuint(token.lifetime, >, 0);
        text_erase(token.text);
}

static void check_operation(JsonObject *object) {
        Operation operation;

        parse_operation(object, &operation);
        if (operation.name)
                g_assert_null(strpbrk(operation.name, "/?#% \r\n"));
        g_assert_false(operation.done && operation.failed);
        g_assert_false(operation.passing && !operation.failed);
        assert_utf8(operation.code);
        assert_utf8(operation.message);
}

static void check_instance(JsonObject *object) {
        g_autofree char *state = parse_state(instance_status(object)), *region = parse_region(last_part(state));

        assert_utf8(state);
        assert_utf8(region);
        (void) instance_has_local_ssd(object);
}

/* What is there stays, what is wanted is there, and the second time there is nothing to change. */
static void check_labels(JsonObject *object) {
        g_autoptr(GHashTable) wanted = g_hash_table_new(g_str_hash, g_str_equal);
        JsonObject *labels = json_get_object(object, "labels");
        unsigned before = labels ? json_object_get_size(labels) : 0, after;
        bool changed;

        if (!labels)
                return;
        g_hash_table_insert(wanted, (char *) "a", (char *) "b");
        g_hash_table_insert(wanted, (char *) "cloudsnooze_status", (char *) "stopped");
        after = labels_merge(wanted, labels, &changed);
        g_assert_cmpuint(after, >=, MAX(before, 2));
        g_assert_cmpuint(after, <=, before + 2);
        g_assert_cmpstr(json_get_string(labels, "a", ""), ==, "b");
        g_assert_cmpuint(labels_merge(wanted, labels, &changed), ==, after);
        g_assert_false(changed);
}

static void check_permissions(JsonObject *object) {
        JsonArray *granted = json_get_array(object, "permissions");

        if (parse_permits(object, "compute.instances.stop"))
                g_assert_cmpuint(json_array_get_length(granted), >, 0);
}

static void check_scopes(const char *text) {
        bool reads, writes;

        parse_scopes(text, &reads, &writes);
        g_assert_true(reads || !writes);
        g_assert_true(!reads || strstr(text, "https://www.googleapis.com/auth/"));
}

static void check_label(const char *tag) {
        g_autofree char *label = label_text(tag);

        g_assert_cmpuint(strlen(label), <=, LABEL_MAX);
        g_assert_cmpuint(strlen(label), ==, MIN((size_t) g_utf8_strlen(tag, -1), LABEL_MAX));
        g_assert_cmpuint(strspn(label, "abcdefghijklmnopqrstuvwxyz0123456789_-"), ==, strlen(label));
}

static void check_answer(const HttpReply *http) {
        g_autoptr(JsonNode) document = cloud_reply_parse(http);
        CloudReply reply;

        parse_reply(http, document, &reply);
        check_reply(&reply);
        (void) parse_reason_is_passing(reply.code);
        if (!reply.object)
                return;
        check_operation(reply.object);
        check_instance(reply.object);
        check_permissions(reply.object);
        check_labels(reply.object);
}

static void tell_own(SnoozePluginDictionary *info, const void *identity) {
        info_tell_own(info, identity);
}

static gboolean tell(SnoozePluginDictionary *info, const void *identity, const HttpReply *http, JsonNode *document) {
        CloudReply reply;

        parse_reply(http, document, &reply);
        if (!reply.object || !*instance_status(reply.object))
                return FALSE;
        info_tell_instance(info, reply.object);
        return TRUE;
}

/* Eight small documents say which instance this is; and the answer of instances.get. */
static void check_documents(const char *text) {
        Identity *identity = g_new0(Identity, 1);

        cloud_check_documents(text, identity_questions, identity, tell_own, tell);
        identity_free(identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_auto(CloudInput) input = {};

        cloud_input_read(data, size, &input);
        if (input.which == 'a')
                check_answer(&input.http);
        else if (input.which == 'I' && input.text)
                check_documents(input.text);
        else if (input.which == 't' && input.text)
                check_token(input.text);
        else if (input.which == 's' && input.text)
                check_scopes(input.text);
        else if (input.which == 'l' && input.text)
                check_label(input.text);
        else if (input.which == 'd' && input.text)
                (void) parse_has_local_ssd(input.text);
        else if (input.text)
                check_lines(input.text);
        return 0;
}
