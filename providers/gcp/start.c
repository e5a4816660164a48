/* SPDX-License-Identifier: Apache-2.0 */

/* Starting a stopped instance, or resuming a suspended one: two methods of the API, of which each refuses the other's.
 */

#include "instance.h"
#include "operation.h"

static const char *const coming[] = { "PENDING", "PROVISIONING", "STAGING", "RUNNING", NULL };
static const char *const stopped[] = { "TERMINATED", "STOPPED", NULL };

static const Deed starting = { "start", coming, false };
static const Deed resuming = { "resume", coming, false };

static void on_started(CloudJob *job, const CloudReply *reply) {
        operation_follow(job, reply, &starting);
}

static void on_resumed(CloudJob *job, const CloudReply *reply) {
        operation_follow(job, reply, &resuming);
}

static void on_got(CloudJob *job, const CloudReply *reply) {
        const char *status = instance_status(reply->object), *name = last_part(gcp_extra(job)->target);

        if (!reply->object && !api_is_denied(reply))
                api_fail(job, reply, "get");
        else if (g_strv_contains(coming, status))
                cloud_job_end(job, 0);
        else if (g_str_equal(status, "SUSPENDED"))
                api_act(job, "resume", "", "", on_resumed);
        else if (!reply->object || g_strv_contains(stopped, status))
                api_act(job, "start", "", "", on_started);
        else
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s is %s: it can be started when that is over",
                               name, *status ? status : "in no state");
}

int gcp_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                       void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for_start(userdata, call, instance_id, options, &job);

        if (r < 0)
                return r;
        if (job->options.dry_run)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, "dry-run: Google knows none of a start");
        else
                instance_begin(job, on_got);
        return SNOOZE_PLUGIN_LATER;
}
