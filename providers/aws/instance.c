/* SPDX-License-Identifier: Apache-2.0 */

/* What is known of an instance: by DescribeInstances, or, for this one where the role may not ask, by the metadata
 * service alone. */

#include "instance.h"

#include "info.h"

static void tell_of_metadata(CloudJob *job) {
        const Aws *aws = job->provider;

        info_tell_own(snooze_plugin_call_get_result(job->call), aws->identity);
        cloud_job_end(job, 0);
}

static void on_described(CloudJob *job, const CloudReply *reply) {
        xmlNode *instance = parse_instance(reply->root);
        const Aws *aws = job->provider;

        if (instance) {
                info_tell_instance(snooze_plugin_call_get_result(job->call), aws->identity, instance);
                cloud_job_end(job, 0);
        } else if (api_is_denied(reply) && cloud_job_is_own(job))
                tell_of_metadata(job);
        else {
                g_autofree char *what = g_strdup_printf("ec2:DescribeInstances on %s", job->instance_id);

                cloud_reply_fail(job, reply, what);
        }
}

void instance_describe(CloudJob *job, CloudCallDone done) {
        const char *parameters[] = { "InstanceId.1", job->instance_id, NULL };

        api_call(job, "ec2", "DescribeInstances", parameters, done);
}

char *instance_no_hibernation(const CloudJob *job, xmlNode *instance) {
        g_autofree char *configured = xml_text(xml_child(instance, "hibernationOptions"), "configured");

        if (!instance)
                return g_strdup_printf("Whether hibernation was enabled when %s was launched is not known without "
                                       "ec2:DescribeInstances",
                                       job->instance_id);
        if (g_strcmp0(configured, "true") == 0)
                return NULL;
        return g_strdup_printf("Hibernation was not enabled when %s was launched: AWS would stop it instead, and what "
                               "is in memory would be lost",
                               job->instance_id);
}

bool instance_is_spot(const CloudJob *job, xmlNode *instance) {
        const Aws *aws = job->provider;
        g_autofree char *lifecycle = xml_text(instance, "instanceLifecycle");

        if (lifecycle)
                return g_str_equal(lifecycle, "spot");
        return !instance && cloud_job_is_own(job) && g_str_equal(aws->identity->lifecycle, "spot");
}

void instance_ask_spot_request(CloudJob *job, CloudCallDone done) {
        const char *parameters[] = { "Filter.1.Name", "instance-id", "Filter.1.Value.1", job->instance_id, NULL };

        api_call(job, "ec2", "DescribeSpotInstanceRequests", parameters, done);
}

char *instance_no_stop(const CloudJob *job, const CloudReply *reply) {
        xmlNode *request = xml_child(xml_child(reply->root, "spotInstanceRequestSet"), "item");
        g_autofree char *type = xml_text(request, "type"), *id = xml_text(request, "spotInstanceRequestId");

        if (g_strcmp0(type, "one-time") != 0)
                return NULL;
        return g_strdup_printf("%s belongs to the one-time Spot request %s: AWS stops only instances of persistent "
                               "requests, this one could only be terminated",
                               job->instance_id, id ?: "");
}

static void authenticated(CloudJob *job) {
        instance_describe(job, on_described);
}

/* Before credentials are asked for: with stop_method=poweroff there need not be any. */
static void identified(CloudJob *job) {
        if (aws_powers_off(job->provider) && cloud_job_is_own(job))
                tell_of_metadata(job);
        else
                cloud_job_authenticate(job, authenticated);
}

int aws_get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for(userdata, call, instance_id, &job);

        if (r < 0)
                return r;
        /* Before there is any right, the machine's id is what the policy needs. */
        if (!*instance_id)
                job->without_credentials = tell_of_metadata;
        cloud_job_identify(job, identified);
        return SNOOZE_PLUGIN_LATER;
}
