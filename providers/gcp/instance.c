/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of an instance: by instances.get, or, for this one where the account may not ask, by the metadata
 * service alone. */

#include "instance.h"

#include <string.h>

#include "base/clock.h"
#include "util/json.h"

#define LOWER_AND_DIGITS "abcdefghijklmnopqrstuvwxyz0123456789"
/* Not the metadata, which has start-up scripts in it. */
#define FIELDS                                                                                                        \
        "id,name,zone,machineType,status,labels,labelFingerprint,creationTimestamp,lastStartTimestamp,scheduling,"    \
        "disks,guestAccelerators"

const char *instance_status(JsonObject *instance) {
        return instance ? json_get_string(instance, "status", "") : "";
}

bool instance_has_local_ssd(JsonObject *instance) {
        JsonArray *disks = instance ? json_get_array(instance, "disks") : NULL;

        for (guint i = 0; disks && i < json_array_get_length(disks); i++) {
                JsonNode *disk = json_array_get_element(disks, i);

                if (JSON_NODE_HOLDS_OBJECT(disk) &&
                    g_str_equal(json_get_string(json_node_get_object(disk), "type", ""), "SCRATCH"))
                        return true;
        }
        return false;
}

/* A name (RFC 1035) or a number. */
static bool is_name(const char *text) {
        return text_consists_of(text, LOWER_AND_DIGITS "-", 63) && g_ascii_isalnum(text[0]);
}

static bool is_path(const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, "/", 8);

        return g_strv_length(parts) == 6 && g_str_equal(parts[0], "projects") &&
               text_consists_of(parts[1], LOWER_AND_DIGITS "-.:", 128) && g_str_equal(parts[2], "zones") &&
               is_name(parts[3]) && g_str_equal(parts[4], "instances") && is_name(parts[5]);
}

int gcp_check_instance_id(SnoozePluginCall *call, const char *instance_id) {
        if (!*instance_id || is_name(instance_id) || is_path(instance_id))
                return 0;
        return snooze_plugin_call_fail(
                call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                "instance_id: expected a name, a number, or projects/PROJECT/zones/ZONE/instances/NAME, not \"%s\"",
                instance_id);
}

static char *path_of(const Identity *identity, const char *name) {
        return g_strdup_printf("projects/%s/zones/%s/instances/%s", identity->project, identity->zone, name);
}

bool instance_is_own(const CloudJob *job) {
        const Gcp *gcp = job->provider;
        g_autofree char *own = gcp->identity ? path_of(gcp->identity, gcp->identity->name) : NULL;

        return g_strcmp0(gcp_extra(job)->target, own) == 0;
}

static void identified(CloudJob *job) {
        const Gcp *gcp = job->provider;
        const Identity *identity = gcp->identity;
        Extra *extra = gcp_extra(job);

        g_free(extra->target);
        if (g_str_equal(job->instance_id, identity->id))
                extra->target = path_of(identity, identity->name);
        else
                extra->target = strchr(job->instance_id, '/') ? g_strdup(job->instance_id)
                                                              : path_of(identity, job->instance_id);
        extra->found(job);
}

void instance_find(CloudJob *job, CloudJobStep next) {
        gcp_extra(job)->found = next;
        cloud_job_identify(job, identified);
}

void instance_get(CloudJob *job, ApiDone done) {
        g_autofree char *path = g_strdup_printf("%s?fields=" FIELDS, gcp_extra(job)->target);

        api_call(job, path, NULL, done);
}

static void set_text(SnoozePluginDictionary *info, const char *key, const char *text) {
        snooze_plugin_dictionary_set_string(info, key, text);
}

/* TERMINATED is what Google calls a stopped one, which elsewhere is gone for good. Its other states are told in lower
 * case. */
static void set_state(SnoozePluginDictionary *info, const char *status) {
        static const struct {
                const char *status, *state;
        } words[] = { { "TERMINATED", "stopped" }, { "PENDING_STOP", "stopping" }, { "DEPROVISIONING", "stopping" } };
        g_autofree char *lower = g_ascii_strdown(status, -1);

        for (size_t i = 0; i < G_N_ELEMENTS(words); i++)
                if (g_str_equal(status, words[i].status)) {
                        set_text(info, "state", words[i].state);
                        return;
                }
        set_text(info, "state", lower);
}

static void set_launch_time(SnoozePluginDictionary *info, JsonObject *instance) {
        const char *text =
                json_get_string(instance, "lastStartTimestamp", json_get_string(instance, "creationTimestamp", ""));
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, NULL);

        if (time && g_date_time_to_unix(time) > 0)
                snooze_plugin_dictionary_set_uint(info, "launch-time",
                                                  (uint64_t) g_date_time_to_unix(time) * USEC_PER_SEC);
}

static void set_labels(SnoozePluginDictionary *info, JsonObject *instance) {
        SnoozePluginDictionary *tags = snooze_plugin_dictionary_add_strings(info, "tags");
        JsonObject *labels = json_get_object(instance, "labels");
        g_autoptr(GList) names = labels ? json_object_get_members(labels) : NULL;

        for (GList *name = names; name; name = name->next)
                snooze_plugin_dictionary_set_string(tags, name->data, json_get_string(labels, name->data, ""));
}

static void fill(CloudJob *job, JsonObject *instance) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        JsonObject *scheduling = json_get_object(instance, "scheduling");
        bool spot = scheduling && (json_get_boolean(scheduling, "preemptible", FALSE) ||
                                   g_str_equal(json_get_string(scheduling, "provisioningModel", ""), "SPOT"));
        const char *zone = last_part(json_get_string(instance, "zone", ""));
        g_autofree char *region = zone_region(zone);

        set_text(info, "id", json_get_string(instance, "id", ""));
        set_text(info, "name", json_get_string(instance, "name", ""));
        set_text(info, "type", last_part(json_get_string(instance, "machineType", "")));
        set_text(info, "region", region);
        set_text(info, "zone", zone);
        set_state(info, instance_status(instance));
        set_text(info, "lifecycle", spot ? "spot" : "on-demand");
        set_launch_time(info, instance);
        set_labels(info, instance);
}

/* It runs, for it asks. */
static void fill_from_metadata(CloudJob *job) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        const Gcp *gcp = job->provider;
        const Identity *identity = gcp->identity;
        g_autofree char *region = zone_region(identity->zone);

        set_text(info, "id", identity->id);
        set_text(info, "name", identity->name);
        set_text(info, "type", identity->type);
        set_text(info, "region", region);
        set_text(info, "zone", identity->zone);
        set_text(info, "state", "running");
        set_text(info, "lifecycle", identity->spot ? "spot" : "on-demand");
        snooze_plugin_dictionary_add_strings(info, "tags");
        cloud_job_end(job, 0);
}

static void on_got(CloudJob *job, const ApiReply *reply) {
        if (reply->object && *instance_status(reply->object)) {
                fill(job, reply->object);
                cloud_job_end(job, 0);
        } else if (reply->object)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED,
                               "compute.instances.get on %s: an answer without a status",
                               last_part(gcp_extra(job)->target));
        else if (api_is_denied(reply) && instance_is_own(job))
                cloud_job_identify(job, fill_from_metadata);
        else
                api_fail(job, reply, "get");
}

static void found(CloudJob *job) {
        instance_get(job, on_got);
}

int gcp_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        int r = gcp_check_instance_id(call, instance_id);

        if (r < 0)
                return r;
        instance_find(gcp_job_new(userdata, call, instance_id), found);
        return SNOOZE_PLUGIN_LATER;
}
