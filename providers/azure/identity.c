/* SPDX-License-Identifier: Apache-2.0 */

/* Which machine this is: one document of the metadata service names it, its cloud and its scale set
 * (learn.microsoft.com/azure/virtual-machines/instance-metadata-service). */

#include <string.h>

#include "azure.h"
#include "document.h"
#include "resource.h"
#include "util/json.h"

#define PATH_OF_COMPUTE "/metadata/instance/compute?api-version=2021-02-01"
#define NAME_MAX_LENGTH 128U
#define TAGS_MAX 64U

/* azEnvironment, whose case differs from place to place, and the address of that cloud's Resource Manager
 * (learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure, docs.azure.cn). */
static const struct {
        const char *environment, *endpoint;
} clouds[] = {
        { "AzurePublicCloud", "https://management.azure.com" },
        { "AzureUSGovernmentCloud", "https://management.usgovcloudapi.net" },
        { "AzureChinaCloud", "https://management.chinacloudapi.cn" },
};

void identity_free(Identity *identity) {
        g_free(identity->resource_id);
        g_free(identity->vm_id);
        g_free(identity->name);
        g_free(identity->location);
        g_free(identity->size);
        g_free(identity->zone);
        g_free(identity->priority);
        g_free(identity->scale_set);
        g_free(identity->endpoint);
        json_object_unref(identity->tags);
        g_free(identity);
}

static const char *endpoint_of(const char *environment) {
        for (size_t i = 0; i < G_N_ELEMENTS(clouds); i++)
                if (g_ascii_strcasecmp(environment, clouds[i].environment) == 0)
                        return clouds[i].endpoint;
        return NULL;
}

static bool is_plain_name(const char *text) {
        for (const char *c = text; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return false;
        return *text && strlen(text) <= NAME_MAX_LENGTH;
}

static JsonObject *read_tags(JsonArray *list) {
        JsonObject *tags = json_object_new(), *tag;

        for (guint i = 0; i < TAGS_MAX && (tag = document_element(list, i)); i++)
                if (*document_text(tag, "name"))
                        json_object_set_string_member(tags, document_text(tag, "name"), document_text(tag, "value"));
        return tags;
}

static Identity *read_compute(JsonObject *compute) {
        Identity *identity = g_new0(Identity, 1);

        identity->resource_id = g_strdup(document_text(compute, "resourceId"));
        identity->vm_id = g_strdup(document_text(compute, "vmId"));
        identity->name = g_strdup(document_text(compute, "name"));
        identity->location = g_strdup(document_text(compute, "location"));
        identity->size = g_strdup(document_text(compute, "vmSize"));
        identity->zone = g_strdup(document_text(compute, "zone"));
        identity->priority = g_strdup(document_text(compute, "priority"));
        identity->scale_set = g_strdup(document_text(compute, "vmScaleSetName"));
        identity->endpoint = g_strdup(endpoint_of(document_text(compute, "azEnvironment")));
        identity->ephemeral =
                g_str_equal(document_text(compute, "storageProfile/osDisk/diffDiskSettings/option"), "Local");
        identity->tags = read_tags(document_array(compute, "tagsList"));
        return identity;
}

static const char *problem_of(const Identity *identity) {
        /* Another service of the same form: Azure Arc's, for machines that are none of Azure's. */
        if (!resource_is_machine(identity->resource_id))
                return "names no virtual machine (resourceId)";
        if (!g_uuid_string_is_valid(identity->vm_id))
                return "names no machine's id (vmId)";
        if (!is_plain_name(identity->name))
                return "gives the machine no name";
        return NULL;
}

static void fail(Azure *azure, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void fail(Azure *azure, const char *format, ...) {
        g_autofree char *text = NULL;
        va_list ap;

        va_start(ap, format);
        text = g_strdup_vprintf(format, ap);
        va_end(ap);
        cloud_jobs_answered(azure->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, text);
}

static void on_compute(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        Azure *azure = userdata;
        g_autoptr(GError) error = NULL;
        g_autoptr(JsonNode) node = NULL;
        Identity *identity;
        const char *problem;

        if (outcome != METADATA_FOUND) {
                fail(azure, "The metadata service does not say which machine this is%s%s", *text ? ": " : "", text);
                return;
        }
        node = json_text_parse("instance/compute", text, -1, &error);
        if (!node || !JSON_NODE_HOLDS_OBJECT(node)) {
                fail(azure, "%s", error ? error->message : "instance/compute is no object");
                return;
        }
        identity = read_compute(json_node_get_object(node));
        problem = problem_of(identity);
        if (problem) {
                fail(azure, "instance/compute %s", problem);
                identity_free(identity);
                return;
        }
        g_clear_pointer(&azure->identity, identity_free);
        azure->identity = identity;
        cloud_jobs_answered(azure->jobs, NULL, NULL);
}

void identity_ask(void *userdata) {
        Azure *azure = userdata;
        int r = metadata_ask(azure->metadata, &(const MetadataQuestion){ .path = PATH_OF_COMPUTE }, on_compute, azure);

        if (r < 0)
                fail(azure, "The metadata service cannot be asked: %s", g_strerror(-r));
}
