/* SPDX-License-Identifier: Apache-2.0 */

/* Documents of EC2's metadata service, and answers of its API. Nothing that becomes a part of a host's name, a path or
 * a signature leads elsewhere. */

#include "cloud.h"
#include "providers/aws/info.h"

static void check_identity(const char *text) {
        Identity *identity = g_new0(Identity, 1);
        g_autofree char *problem = parse_identity_document(text, NULL, identity);

        if (!problem) {
                assert_plain(identity->instance_id, 34);
                assert_plain(identity->region, 64);
                g_assert_null(strpbrk(identity->region, "/:@?#"));
                g_assert_true(g_str_has_prefix(identity->instance_id, "i-"));
        } else
                assert_utf8(problem);
        identity_free(identity);
}

static void check_credentials(const char *text) {
        g_autofree char *problem = NULL;
        Credentials *credentials = parse_credentials(text, &problem);

        if (!credentials) {
                assert_discreet(problem, text);
                return;
        }
        g_assert_null(problem);
        assert_plain(credentials->key, SIZE_MAX);
        assert_plain(credentials->secret, SIZE_MAX);
        g_assert_null(strchr(credentials->key, ':'));
        if (credentials->token)
                assert_plain(credentials->token, SIZE_MAX);
        g_assert_cmpuint(credentials->until, >, 0);
        credentials_free(credentials);
}

static void check_interruption(const char *text) {
        g_auto(Interruption) interruption = {};
        g_autofree char *problem = NULL;

        if (parse_interruption(text, &interruption, &problem)) {
                assert_plain(interruption.action, 32);
                assert_plain(interruption.time, 64);
        } else {
                g_assert_nonnull(problem);
                assert_utf8(problem);
        }
}

static void check_rebalance(const char *text) {
        g_autofree char *problem = NULL, *time = parse_rebalance(text, &problem);

        g_assert_true(!time == !!problem);
        if (time)
                assert_plain(time, 64);
}

static void check_maintenance(const char *text) {
        g_autofree char *problem = NULL;
        g_autoptr(GPtrArray) all = parse_maintenance(text, &problem);

        g_assert_true(!all == !!problem);
        for (guint i = 0; all && i < all->len; i++) {
                const Maintenance *maintenance = g_ptr_array_index(all, i);

                assert_plain(maintenance->id, 64);
                assert_plain(maintenance->code, 64);
                assert_utf8(maintenance->description);
                g_assert_true(!maintenance->description || g_utf8_strlen(maintenance->description, -1) <= 512);
        }
}

static void check_lines(const char *text) {
        if (parse_is_role(text))
                g_assert_null(strpbrk(text, "/?#% \r\n"));
        if (parse_is_host_part(text))
                g_assert_null(strpbrk(text, "/:@?#% \r\n"));
        if (parse_is_lifecycle_state(text))
                assert_plain(text, 64);
}

static void check_instance(xmlNode *root) {
        xmlNode *instance = parse_instance(root), *stopped = xml_child(xml_child(root, "instancesSet"), "item");
        g_autofree char *state = parse_instance_state(instance, "instanceState"),
                        *current = parse_instance_state(stopped, "currentState"),
                        *id = xml_text(instance, "instanceId"),
                        *zone = xml_text(xml_child(instance, "placement"), "availabilityZone"),
                        *region = parse_region(zone, "us-east-1");

        for (xmlNode *item = xml_child(xml_child(instance, "tagSet"), "item"); item; item = xml_next(item)) {
                g_autofree char *key = xml_text(item, "key"), *value = xml_text(item, "value");

                assert_utf8(key);
                assert_utf8(value);
        }
        assert_utf8(state);
        assert_utf8(current);
        assert_utf8(id);
        g_assert_nonnull(region);
        assert_utf8(region);
}

/* No answer makes a file of this machine a part of what is told. */
static void check_answer(const HttpReply *http) {
        xmlDoc *document = parse_answer(http);
        xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
        g_auto(Failure) failure = {};

        if (root) {
                parse_failure(root, &failure);
                assert_utf8(failure.code);
                assert_utf8(failure.message);
                g_assert_true(!failure.message || !strstr(failure.message, "root:x:0") ||
                              strstr(http->body, "root:x:0"));
                check_instance(root);
        }
        xmlFreeDoc(document);
}

/* The identity document, whether it is a Spot instance, and DescribeInstances. */
static void check_documents(const char *text) {
        g_auto(GStrv) documents = g_strsplit(text, DOCUMENTS_SEPARATOR, 3);
        Identity *identity = g_new0(Identity, 1);
        SnoozePluginDictionary *own = snooze_plugin_dictionary_new(), *info = snooze_plugin_dictionary_new();
        g_autofree char *problem = parse_identity_document(documents[0] ?: "", NULL, identity);

        if (!problem && g_strv_length(documents) == 3) {
                HttpReply http = cloud_last(documents + 2);
                xmlDoc *document = parse_answer(&http);
                xmlNode *instance = document ? parse_instance(xmlDocGetRootElement(document)) : NULL;

                identity->lifecycle = g_strdup(documents[1]);
                info_tell_own(own, identity);
                check_info(own, strlen(text));
                if (instance) {
                        info_tell_instance(info, identity, instance);
                        check_info(info, strlen(text));
                }
                xmlFreeDoc(document);
        }
        snooze_plugin_dictionary_free(own);
        snooze_plugin_dictionary_free(info);
        identity_free(identity);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        g_auto(CloudInput) input = {};

        cloud_input_read(data, size, &input);
        if (input.which == 'x') {
                check_answer(&input.http);
                return 0;
        }
        if (!input.text)
                return 0;
        switch (input.which) {
        case 'I':
                check_documents(input.text);
                break;
        case 'i':
                check_identity(input.text);
                break;
        case 'c':
                check_credentials(input.text);
                break;
        case 's':
                check_interruption(input.text);
                break;
        case 'r':
                check_rebalance(input.text);
                break;
        case 'm':
                check_maintenance(input.text);
                break;
        default:
                check_lines(input.text);
        }
        return 0;
}
