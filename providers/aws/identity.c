/* SPDX-License-Identifier: Apache-2.0 */

/* Which instance this is. The identity document names it; whether it is a Spot instance and the domain of the APIs stand beside. */

#include <string.h>

#include "aws.h"
#include "util/json.h"

struct Inquiry {
        Aws *aws;
        unsigned open;
        Identity *identity;
        char *failure;
};

void identity_free(Identity *identity) {
        g_free(identity->instance_id);
        g_free(identity->region);
        g_free(identity->domain);
        g_free(identity->zone);
        g_free(identity->type);
        g_free(identity->lifecycle);
        g_free(identity->account);
        g_free(identity);
}

static bool consists_of(const char *text, const char *characters, size_t most) {
        size_t length = text ? strlen(text) : 0;

        return length > 0 && length <= most && strspn(text, characters) == length;
}

bool aws_is_instance_id(const char *text) {
        return strncmp(text, "i-", 2) == 0 && consists_of(text + 2, "0123456789abcdef", 32);
}

/* Region and domain become a host's name: nothing in them may end it. */
static bool is_name(const char *text) {
        return consists_of(text, "abcdefghijklmnopqrstuvwxyz0123456789-.", 64);
}

static void fail(Inquiry *inquiry, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void fail(Inquiry *inquiry, const char *format, ...) {
        va_list ap;

        if (inquiry->failure)
                return;
        va_start(ap, format);
        inquiry->failure = g_strdup_vprintf(format, ap);
        va_end(ap);
}

Inquiry *inquiry_free(Inquiry *inquiry) {
        if (!inquiry)
                return NULL;
        g_clear_pointer(&inquiry->identity, identity_free);
        g_free(inquiry->failure);
        g_free(inquiry);
        return NULL;
}

static void conclude(Inquiry *inquiry) {
        Aws *aws = inquiry->aws;

        if (--inquiry->open > 0)
                return;
        aws->inquiry = NULL;
        if (inquiry->failure)
                cloud_jobs_answered(aws->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, inquiry->failure);
        else {
                g_clear_pointer(&aws->identity, identity_free);
                aws->identity = g_steal_pointer(&inquiry->identity);
                cloud_jobs_answered(aws->jobs, NULL, NULL);
        }
        inquiry_free(inquiry);
}

static void on_document(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;
        Identity *identity = inquiry->identity;
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = NULL;
        JsonObject *object;

        if (outcome != METADATA_FOUND)
                fail(inquiry, "The metadata service has no identity document%s%s", *text ? ": " : "", text);
        else if (!(node = json_text_parse("identity document", text, -1, &error)))
                fail(inquiry, "%s", error->message);
        else if (!JSON_NODE_HOLDS_OBJECT(node))
                fail(inquiry, "The identity document is no object");
        else {
                object = json_node_get_object(node);
                identity->instance_id = g_strdup(json_get_string(object, "instanceId", ""));
                identity->region = g_strdup(aws_setting(inquiry->aws, "region") ?: json_get_string(object, "region", ""));
                identity->zone = g_strdup(json_get_string(object, "availabilityZone", ""));
                identity->type = g_strdup(json_get_string(object, "instanceType", ""));
                identity->account = g_strdup(json_get_string(object, "accountId", ""));
                if (!aws_is_instance_id(identity->instance_id))
                        fail(inquiry, "The identity document names no instance (instanceId)");
                else if (!is_name(identity->region))
                        fail(inquiry, "The identity document names no region");
        }
        conclude(inquiry);
}

static void on_lifecycle(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        /* scheduled instances, capacity blocks and what comes next are no Spot instances. */
        if (outcome == METADATA_FAILED)
                fail(inquiry, "%s", text);
        else
                inquiry->identity->lifecycle = g_strdup(g_str_equal(text, "spot") ? "spot" : "on-demand");
        conclude(inquiry);
}

static void on_domain(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Inquiry *inquiry = userdata;

        if (outcome == METADATA_FAILED)
                fail(inquiry, "%s", text);
        else if (outcome == METADATA_FOUND && !is_name(text))
                fail(inquiry, "The metadata service names no domain (services/domain)");
        else
                inquiry->identity->domain = g_strdup(outcome == METADATA_FOUND ? text : "amazonaws.com");
        conclude(inquiry);
}

static void ask(Inquiry *inquiry, const char *path, MetadataDone done) {
        int r = metadata_ask(inquiry->aws->metadata, &(const MetadataQuestion) { .path = path }, done, inquiry);

        inquiry->open++;
        if (r < 0)
                done(METADATA_FAILED, g_strerror(-r), NULL, inquiry);
}

void identity_ask(void *userdata) {
        Inquiry *inquiry = g_new0(Inquiry, 1);
        Aws *aws = userdata;

        aws->inquiry = inquiry;
        inquiry->aws = aws;
        inquiry->identity = g_new0(Identity, 1);
        inquiry->open = 1;
        ask(inquiry, "/latest/dynamic/instance-identity/document", on_document);
        ask(inquiry, "/latest/meta-data/instance-life-cycle", on_lifecycle);
        ask(inquiry, "/latest/meta-data/services/domain", on_domain);
        conclude(inquiry);
}
