/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of a machine: by the Resource Manager, or, for this one where the identity may not read, by the
 * metadata service alone. */

#include "vm.h"

#include <string.h>

#include "cloud/info.h"
#include "cloud/text.h"
#include "document.h"
#include "resource.h"

void vm_describe(CloudJob *job, CloudCallDone done) {
        g_autofree char *path = api_path(job, "?$expand=instanceView&api-version=" COMPUTE_VERSION);

        cloud_call(job, "GET", path, NULL, done);
}

const char *vm_name(const CloudJob *job) {
        const char *slash = strrchr(job->instance_id, '/');

        return slash ? slash + 1 : job->instance_id;
}

bool vm_is_own(const CloudJob *job) {
        const Azure *azure = job->provider;

        return azure->identity && resource_equal(job->instance_id, azure->identity->resource_id);
}

JsonObject *vm_of(const CloudReply *reply) {
        return document_object(reply->object, "properties") ? reply->object : NULL;
}

char *vm_no_hibernation(const CloudJob *job, JsonObject *machine) {
        if (!machine)
                return g_strdup_printf("Whether hibernation is enabled on %s is not known without the right to read "
                                       "it",
                                       vm_name(job));
        if (document_is_true(machine, "properties/additionalCapabilities/hibernationEnabled"))
                return NULL;
        return g_strdup_printf("Hibernation is not enabled on %s (additionalCapabilities.hibernationEnabled)",
                               vm_name(job));
}

/* learn.microsoft.com/azure/virtual-machines/ephemeral-os-disks: no stop-deallocate, as the disk would be lost. */
static bool is_ephemeral(const CloudJob *job, JsonObject *machine) {
        const Azure *azure = job->provider;

        if (!machine)
                return vm_is_own(job) && azure->identity->ephemeral;
        return g_str_equal(document_text(machine, "properties/storageProfile/osDisk/diffDiskSettings/option"),
                           "Local");
}

char *vm_no_deallocation(const CloudJob *job, JsonObject *machine) {
        if (!is_ephemeral(job, machine))
                return NULL;
        return g_strdup_printf("%s has an ephemeral system disk: Azure deallocates no such machine, it could only be "
                               "deleted",
                               vm_name(job));
}

static void add_tags(SnoozePluginDictionary *strings, JsonObject *tags) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *value;

        if (!tags)
                return;
        json_object_iter_init(&iter, tags);
        while (json_object_iter_next(&iter, &name, &value))
                cloud_info_add_tag(strings, name, document_text(tags, name));
}

static bool is_spot(const char *priority) {
        return g_ascii_strcasecmp(priority, "Spot") == 0 || g_ascii_strcasecmp(priority, "Low") == 0;
}

static const char *zone_of(JsonObject *vm) {
        JsonArray *zones = document_array(vm, "zones");
        JsonNode *zone = zones && json_array_get_length(zones) > 0 ? json_array_get_element(zones, 0) : NULL;

        return zone && json_node_get_value_type(zone) == G_TYPE_STRING ? json_node_get_string(zone) : "";
}

static void tell(CloudJob *job, JsonObject *vm) {
        const char *size = document_text(vm, "properties/hardwareProfile/vmSize");
        g_autofree char *state = parse_power(vm);
        const CloudInfo info = {
                .id = job->instance_id,
                .name = document_text(vm, "name"),
                /* One of a scale set has it a floor higher. */
                .type = *size ? size : document_text(vm, "sku/name"),
                .region = document_text(vm, "location"),
                .zone = zone_of(vm),
                .state = state,
                .spot = is_spot(document_text(vm, "properties/priority")),
                /* When it was made: Azure tells no time of the last start. */
                .launched = text_time(document_text(vm, "properties/timeCreated")),
        };

        add_tags(cloud_info_tell(job->call, &info), document_object(vm, "tags"));
        cloud_job_end(job, 0);
}

/* It runs, for it asks. */
static void tell_of_metadata(CloudJob *job) {
        const Azure *azure = job->provider;
        const Identity *identity = azure->identity;
        const CloudInfo info = {
                .id = identity->resource_id,
                .name = identity->name,
                .type = identity->size,
                .region = identity->location,
                .zone = identity->zone,
                .state = "running",
                .spot = is_spot(identity->priority),
        };

        add_tags(cloud_info_tell(job->call, &info), identity->tags);
        cloud_job_end(job, 0);
}

static void on_described(CloudJob *job, const CloudReply *reply) {
        if (document_object(reply->object, "properties"))
                tell(job, reply->object);
        else if (api_is_denied(reply) && vm_is_own(job))
                tell_of_metadata(job);
        else {
                g_autofree char *what = g_strdup_printf("read %s", vm_name(job));

                cloud_reply_fail(job, reply, what);
        }
}

static void authenticated(CloudJob *job) {
        vm_describe(job, on_described);
}

int vm_check_id(SnoozePluginCall *call, const char *instance_id) {
        if (resource_is_machine(instance_id))
                return 0;
        return snooze_plugin_call_fail(
                call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                "instance_id: expected "
                "/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachines/…, not "
                "\"%.200s\"",
                instance_id);
}

int azure_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for(userdata, call, instance_id, &job);

        if (r < 0)
                return r;
        /* Before there is any right, the machine's id is what the policy needs. */
        if (!*instance_id)
                job->without_credentials = tell_of_metadata;
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
