/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of a machine: by the Resource Manager, or, for this one where the identity may not read, by the
 * metadata service alone. */

#include "vm.h"

#include <string.h>

#include "document.h"
#include "info.h"
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

static void tell_of_metadata(CloudJob *job) {
        const Azure *azure = job->provider;

        info_tell_own(snooze_plugin_call_get_result(job->call), azure->identity);
        cloud_job_end(job, 0);
}

static void on_described(CloudJob *job, const CloudReply *reply) {
        if (document_object(reply->object, "properties")) {
                info_tell_vm(snooze_plugin_call_get_result(job->call), job->instance_id, reply->object);
                cloud_job_end(job, 0);
        } else if (api_is_denied(reply) && vm_is_own(job))
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
