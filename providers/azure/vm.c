/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of a machine: by the Resource Manager, or, for this one where the identity may not read, by the
 * metadata service alone. */

#include "vm.h"

#include <string.h>

#include "base/clock.h"
#include "document.h"
#include "resource.h"

#define POWER_STATE "PowerState/"
#define STATUSES_MAX 32U

void vm_describe(CloudJob *job, ApiDone done) {
        g_autofree char *path = api_path(job, "?$expand=instanceView&api-version=" COMPUTE_VERSION);

        api_call(job, "GET", path, NULL, done);
}

char *vm_power(JsonObject *vm) {
        JsonArray *statuses = document_array(vm, "properties/instanceView/statuses");
        JsonObject *status;

        for (guint i = 0; i < STATUSES_MAX && (status = document_element(statuses, i)); i++)
                if (g_str_has_prefix(document_text(status, "code"), POWER_STATE))
                        return g_strdup(document_text(status, "code") + strlen(POWER_STATE));
        return NULL;
}

const char *vm_name(const CloudJob *job) {
        const char *slash = strrchr(job->instance_id, '/');

        return slash ? slash + 1 : job->instance_id;
}

bool vm_is_own(const CloudJob *job) {
        const Azure *azure = job->provider;

        return azure->identity && resource_equal(job->instance_id, azure->identity->resource_id);
}

static void set_text(SnoozePluginDictionary *info, const char *key, const char *text) {
        snooze_plugin_dictionary_set_string(info, key, text ?: "");
}

static void add_tags(SnoozePluginDictionary *info, JsonObject *tags) {
        SnoozePluginDictionary *strings = snooze_plugin_dictionary_add_strings(info, "tags");
        JsonObjectIter iter;
        const char *name;
        JsonNode *value;

        if (!tags)
                return;
        json_object_iter_init(&iter, tags);
        while (json_object_iter_next(&iter, &name, &value))
                if (*name)
                        snooze_plugin_dictionary_set_string(strings, name, document_text(tags, name));
}

static const char *lifecycle_of(const char *priority) {
        return g_ascii_strcasecmp(priority, "Spot") == 0 || g_ascii_strcasecmp(priority, "Low") == 0 ? "spot"
                                                                                                     : "on-demand";
}

/* When it was made: Azure tells no time of the last start. */
static void set_launch_time(SnoozePluginDictionary *info, const char *text) {
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);

        if (time && g_date_time_to_unix(time) > 0)
                snooze_plugin_dictionary_set_uint(info, "launch-time",
                                                  (uint64_t) g_date_time_to_unix(time) * USEC_PER_SEC);
}

static const char *zone_of(JsonObject *vm) {
        JsonArray *zones = document_array(vm, "zones");
        JsonNode *zone = zones && json_array_get_length(zones) > 0 ? json_array_get_element(zones, 0) : NULL;

        return zone && json_node_get_value_type(zone) == G_TYPE_STRING ? json_node_get_string(zone) : "";
}

static void fill(CloudJob *job, JsonObject *vm) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        const char *size = document_text(vm, "properties/hardwareProfile/vmSize");
        g_autofree char *state = vm_power(vm);

        set_text(info, "id", job->instance_id);
        set_text(info, "name", document_text(vm, "name"));
        /* One of a scale set has it a floor higher. */
        set_text(info, "type", *size ? size : document_text(vm, "sku/name"));
        set_text(info, "region", document_text(vm, "location"));
        set_text(info, "zone", zone_of(vm));
        set_text(info, "state", state);
        set_text(info, "lifecycle", lifecycle_of(document_text(vm, "properties/priority")));
        set_launch_time(info, document_text(vm, "properties/timeCreated"));
        add_tags(info, document_object(vm, "tags"));
}

static void fill_from_metadata(CloudJob *job) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        const Azure *azure = job->provider;
        const Identity *identity = azure->identity;

        set_text(info, "id", identity->resource_id);
        set_text(info, "name", identity->name);
        set_text(info, "type", identity->size);
        set_text(info, "region", identity->location);
        set_text(info, "zone", identity->zone);
        set_text(info, "state", "running");
        set_text(info, "lifecycle", lifecycle_of(identity->priority));
        add_tags(info, identity->tags);
}

/* It runs, for it asks. */
static void tell_of_metadata(CloudJob *job) {
        fill_from_metadata(job);
        cloud_job_end(job, 0);
}

static void on_described(CloudJob *job, const ApiReply *reply) {
        if (document_object(reply->root, "properties")) {
                fill(job, reply->root);
                cloud_job_end(job, 0);
        } else if (api_is_denied(reply) && vm_is_own(job))
                tell_of_metadata(job);
        else {
                g_autofree char *what = g_strdup_printf("read %s", vm_name(job));

                api_fail(job, reply, what);
        }
}

static void authenticated(CloudJob *job) {
        vm_describe(job, on_described);
}

int vm_check_id(SnoozePluginCall *call, const char *instance_id) {
        if (!*instance_id || resource_is_machine(instance_id))
                return 0;
        return snooze_plugin_call_fail(
                call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                "instance_id: expected "
                "/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachines/…, not "
                "\"%.200s\"",
                instance_id);
}

int azure_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        int r = vm_check_id(call, instance_id);
        CloudJob *job;

        if (r < 0)
                return r;
        job = azure_job_new(userdata, call, instance_id);
        /* Before there is any right, the machine's id is what the policy needs. */
        if (!*instance_id)
                job->without_credentials = tell_of_metadata;
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
