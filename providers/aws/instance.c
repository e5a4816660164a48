/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of an instance: by DescribeInstances, or, for this one where the role may not ask, by the metadata service alone. */

#include <string.h>

#include "api.h"
#include "base/clock.h"
#include "instance.h"

xmlNode *instance_find(xmlNode *root) {
        return xml_child(xml_child(xml_child(xml_child(root, "reservationSet"), "item"), "instancesSet"), "item");
}

char *instance_state(xmlNode *instance, const char *member) {
        return xml_text(xml_child(instance, member), "name");
}

/* A tag may have any of these characters, and so may what the contract takes; libxml2 made sure of UTF-8. */
static void add_tags(SnoozePluginDictionary *info, xmlNode *instance, char **ret_name) {
        SnoozePluginDictionary *tags = snooze_plugin_dictionary_add_strings(info, "tags");

        for (xmlNode *item = xml_child(xml_child(instance, "tagSet"), "item"); item; item = xml_next(item)) {
                g_autofree char *key = xml_text(item, "key"), *value = xml_text(item, "value");

                if (!key || !*key)
                        continue;
                snooze_plugin_dictionary_set_string(tags, key, value ?: "");
                if (g_str_equal(key, "Name") && !*ret_name)
                        *ret_name = g_strdup(value ?: "");
        }
}

static void set_text(SnoozePluginDictionary *info, const char *key, const char *text) {
        snooze_plugin_dictionary_set_string(info, key, text ?: "");
}

static void set_launch_time(SnoozePluginDictionary *info, const char *text) {
        g_autoptr(GDateTime) time = text ? g_date_time_new_from_iso8601(text, NULL) : NULL;

        if (time && g_date_time_to_unix(time) > 0)
                snooze_plugin_dictionary_set_uint(info, "launch-time", (uint64_t) g_date_time_to_unix(time) * USEC_PER_SEC);
}

/* The zone without its last letter, also where that is of another region than this machine's ("us-west-2-lax-1a" is a local zone). */
static char *region_of(const CloudJob *job, const char *zone) {
        const Aws *aws = job->provider;
        const char *own = aws->identity->region;

        if (!zone || g_str_has_prefix(zone, own))
                return g_strdup(own);
        return g_strndup(zone, strlen(zone) > 0 ? strlen(zone) - 1 : 0);
}

static void fill(CloudJob *job, xmlNode *instance) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        g_autofree char *id = xml_text(instance, "instanceId"), *type = xml_text(instance, "instanceType"),
                        *zone = xml_text(xml_child(instance, "placement"), "availabilityZone"),
                        *state = instance_state(instance, "instanceState"), *lifecycle = xml_text(instance, "instanceLifecycle"),
                        *launched = xml_text(instance, "launchTime"), *region = region_of(job, zone), *name = NULL;

        set_text(info, "id", id);
        set_text(info, "type", type);
        set_text(info, "region", region);
        set_text(info, "zone", zone);
        set_text(info, "state", state);
        set_text(info, "lifecycle", lifecycle && g_str_equal(lifecycle, "spot") ? "spot" : "on-demand");
        set_launch_time(info, launched);
        add_tags(info, instance, &name);
        set_text(info, "name", name);
}

static void fill_from_metadata(CloudJob *job) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        const Aws *aws = job->provider;
        const Identity *identity = aws->identity;

        set_text(info, "id", identity->instance_id);
        set_text(info, "name", "");
        set_text(info, "type", identity->type);
        set_text(info, "region", identity->region);
        set_text(info, "zone", identity->zone);
        set_text(info, "state", "running");
        set_text(info, "lifecycle", identity->lifecycle);
        snooze_plugin_dictionary_add_strings(info, "tags");
}

static void on_described(CloudJob *job, const ApiReply *reply) {
        xmlNode *instance = instance_find(reply->root);

        if (instance) {
                fill(job, instance);
                cloud_job_end(job, 0);
        } else if (api_is_denied(reply) && cloud_job_is_own(job)) {
                /* It runs, for it asks. */
                fill_from_metadata(job);
                cloud_job_end(job, 0);
        } else {
                g_autofree char *what = g_strdup_printf("ec2:DescribeInstances on %s", job->instance_id);

                api_fail(job, reply, what);
        }
}

void instance_describe(CloudJob *job, ApiDone done) {
        const char *parameters[] = { "InstanceId.1", job->instance_id, NULL };

        api_call(job, "ec2", "DescribeInstances", parameters, done);
}

static void authenticated(CloudJob *job) {
        instance_describe(job, on_described);
}

/* Before credentials are asked for: with stop_method=poweroff there need not be any. */
static void identified(CloudJob *job) {
        if (aws_powers_off(job->provider) && cloud_job_is_own(job)) {
                fill_from_metadata(job);
                cloud_job_end(job, 0);
                return;
        }
        cloud_job_authenticate(job, authenticated);
}

int aws_check_instance_id(SnoozePluginCall *call, const char *instance_id) {
        if (!*instance_id || aws_is_instance_id(instance_id))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                       "instance_id: expected i- and hexadecimal digits, not \"%s\"", instance_id);
}

int aws_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        int r = aws_check_instance_id(call, instance_id);

        if (r < 0)
                return r;
        cloud_job_identify(aws_job_new(userdata, call, instance_id), identified);
        return SNOOZE_PLUGIN_LATER;
}
