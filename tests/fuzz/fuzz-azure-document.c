/* SPDX-License-Identifier: Apache-2.0 */

/* Documents of Azure's metadata service, and answers of the Resource Manager. Nothing that becomes a part of a path or
 * a header leads elsewhere, and no event that names another machine is this one's. */

#include "cloud.h"
#include "cloud/text.h"
#include "providers/azure/document.h"
#include "providers/azure/azure.h"
#include "providers/azure/info.h"
#include "providers/azure/resource.h"

#define MACHINE "vm-1"

static void check_compute(const char *text) {
        Identity *identity = g_new0(Identity, 1);
        g_autofree char *problem = parse_compute(text, identity);

        if (!problem) {
                g_autofree char *path = resource_path(identity->resource_id);

                g_assert_true(resource_is_machine(identity->resource_id));
                assert_plain(path, SIZE_MAX);
                g_assert_null(strpbrk(path, "?#"));
                g_assert_null(strstr(path, "/../"));
                assert_plain(identity->name, 128);
        } else
                assert_utf8(problem);
        identity_free(identity);
}

static void check_token(const char *text) {
        g_autofree char *said = parse_token_refusal(text);
        AccessToken token = {};
        const char *problem = parse_token(text, &token);

        assert_utf8(said);
        if (problem) {
                assert_discreet(problem, text);
                g_assert_null(token.text);
                return;
        }
        assert_plain(token.text, 16384);
        g_assert_cmpuint(token.lifetime, >, 0);
        text_erase(token.text);
}

static void check_events(const char *text) {
        g_autoptr(ScheduledEvents) events = parse_events(text, MACHINE);

        for (guint i = 0; events && i < events->events->len; i++) {
                const ScheduledEvent *event = g_ptr_array_index(events->events, i);

                assert_plain(event->id, 64);
                g_assert_null(strpbrk(event->id, "\"\\"));
                g_assert_nonnull(event_kind_name(event->kind));
                g_assert_cmpint(event->duration, >=, -1);
                assert_utf8(event->description);
                /* It has to be named somewhere. */
                g_assert_true(strcasestr(text, MACHINE) || strchr(text, '\\'));
        }
}

static void check_resource(const char *text) {
        if (resource_is_machine(text)) {
                g_autofree char *path = resource_path(text);

                g_assert_true(path[0] == '/');
                assert_plain(path, SIZE_MAX);
                g_assert_null(strpbrk(path, "?#"));
                g_assert_true(resource_equal(text, text));
        }
        (void) action_matches(text, "Microsoft.Compute/virtualMachines/deallocate/action");
}

/* What no action is listed for is not granted. */
static void check_permissions(JsonObject *page) {
        static const char stop[] = "Microsoft.Compute/virtualMachines/deallocate/action";
        const char *next;

        if (!parse_is_permissions(page, &next))
                g_assert_false(parse_grants(page, stop));
        assert_utf8(next);
        if (parse_grants(page, stop))
                g_assert_true(document_element(document_array(page, "value"), 0) ||
                              json_array_get_length(document_array(page, "value")) > 1);
        g_assert_false(parse_grants(NULL, stop));
}

static void check_answer(const HttpReply *http) {
        g_autoptr(JsonNode) document = cloud_reply_parse(http);
        OperationStatus status;
        CloudReply reply;
        g_autofree char *power = NULL;

        parse_reply(http, document, &reply);
        check_reply(&reply);
        parse_operation(&reply, &status);
        g_assert_false(status.succeeded && status.failed);
        assert_utf8(status.code);
        assert_utf8(status.message);
        check_permissions(reply.object);
        power = parse_power(reply.object);
        assert_utf8(power);
        (void) document_is_true(reply.object, "properties/additionalCapabilities/hibernationEnabled");
}

static void tell_own(SnoozePluginDictionary *info, const void *identity) {
        info_tell_own(info, identity);
}

static gboolean tell(SnoozePluginDictionary *info, const void *identity, const HttpReply *http, JsonNode *document) {
        const Identity *own = identity;
        CloudReply reply;

        parse_reply(http, document, &reply);
        if (!document_object(reply.object, "properties"))
                return FALSE;
        info_tell_vm(info, own->resource_id, reply.object);
        return TRUE;
}

/* The machine as the metadata service names it, and as the Resource Manager describes it. */
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
        else if (!input.text)
                return 0;
        else if (input.which == 'I')
                check_documents(input.text);
        else if (input.which == 'c')
                check_compute(input.text);
        else if (input.which == 't')
                check_token(input.text);
        else if (input.which == 'e')
                check_events(input.text);
        else
                check_resource(input.text);
        return 0;
}
