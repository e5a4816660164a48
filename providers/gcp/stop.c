/* SPDX-License-Identifier: Apache-2.0 */

/* Stopping and suspending. A look at the instance comes first: what is stopped is not stopped again, local SSDs lose
 * their content unless somebody decided otherwise, and not every machine can be suspended. Suspending is an action of
 * its own; no stop stands in for it. Limits: docs.cloud.google.com/compute/docs/instances/suspend-resume-instance and
 * …/disks/local-ssd#stop_instance */

#include "instance.h"
#include "operation.h"
#include "util/json.h"

static const char *const leaving_by_stop[] = { "STOPPING", "PENDING_STOP", "DEPROVISIONING",
                                               "STOPPED",  "TERMINATED",   NULL };
static const char *const leaving_by_suspend[] = { "SUSPENDING", "SUSPENDED", NULL };

static const Deed deeds[CLOUD_ACTION_COUNT] = {
        [CLOUD_STOP] = { "stop", leaving_by_stop, true },
        [CLOUD_SUSPEND] = { "suspend", leaving_by_suspend, true },
};

static const Deed *deed_of(const CloudJob *job) {
        return &deeds[job->options.action];
}

static void on_taken(CloudJob *job, const CloudReply *reply) {
        operation_follow(job, reply, deed_of(job));
}

static void on_allowed(CloudJob *job, const CloudReply *reply) {
        JsonArray *granted = reply->object ? json_get_array(reply->object, "permissions") : NULL;

        if (!reply->object)
                api_fail(job, reply, "testIamPermissions");
        else if (!granted || json_array_get_length(granted) == 0)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED,
                               "compute.instances.%s on %s: the service account has no such permission",
                               deed_of(job)->method, last_part(gcp_extra(job)->target));
        else
                cloud_job_end(job, 0);
}

/* The API knows no dry runs; it tells what is permitted. */
static void ask_whether_allowed(CloudJob *job) {
        g_autofree char *path = g_strconcat(gcp_extra(job)->target, "/testIamPermissions", NULL),
                        *body = g_strdup_printf("{\"permissions\":[\"compute.instances.%s\"]}", deed_of(job)->method);

        api_call(job, path, body, on_allowed);
}

static void act(CloudJob *job) {
        const char *choice = cloud_setting(job->cloud, "local_ssd");
        const char *query = "";

        if (job->options.dry_run) {
                ask_whether_allowed(job);
                return;
        }
        if (g_str_equal(choice, "discard"))
                query = "&discardLocalSsd=true";
        else if (g_str_equal(choice, "preserve"))
                query = "&discardLocalSsd=false";
        api_act(job, deed_of(job)->method, query, "", on_taken);
}

static void refuse_local_ssd(CloudJob *job) {
        cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED,
                       "%s has local SSDs, whose content a %s loses: allow that with local_ssd \"discard\", or have "
                       "it kept, and paid for, with "
                       "\"preserve\" (providers.gcp)",
                       last_part(gcp_extra(job)->target), deed_of(job)->method);
}

static bool has_accelerators(JsonObject *instance) {
        JsonArray *accelerators = json_get_array(instance, "guestAccelerators");

        return accelerators && json_array_get_length(accelerators) > 0;
}

static bool decides_local_ssd(const CloudJob *job) {
        return !g_str_equal(cloud_setting(job->cloud, "local_ssd"), "refuse");
}

static void go_on_by_metadata(CloudJob *job) {
        const Gcp *gcp = job->provider;

        if (instance_is_own(job) && gcp->identity->local_ssd && !decides_local_ssd(job))
                refuse_local_ssd(job);
        else
                act(job); /* Of another instance nothing is known: a stop that does not say what is to become of local
                             SSDs is refused there. */
}

static bool is_another(const CloudJob *job, JsonObject *instance) {
        const Gcp *gcp = job->provider;

        return gcp->identity && instance_is_own(job) &&
               !g_str_equal(json_get_string(instance, "id", ""), gcp->identity->id);
}

static void go_on_with(CloudJob *job, JsonObject *instance) {
        const char *status = instance_status(instance), *name = last_part(gcp_extra(job)->target);
        bool suspend = job->options.action == CLOUD_SUSPEND;

        if (is_another(job, instance))
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "The API knows another instance by the name %s (%s)",
                               name, json_get_string(instance, "id", "without an id"));
        else if (g_strv_contains(deed_of(job)->expected, status))
                cloud_job_end(job, 0);
        else if (suspend && !g_str_equal(status, "RUNNING"))
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s is %s: only what runs can be suspended", name,
                               *status ? status : "in no state");
        else if (suspend && has_accelerators(instance))
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, "%s has GPUs: Google suspends no such instance",
                               name);
        else if (instance_has_local_ssd(instance) && !decides_local_ssd(job))
                refuse_local_ssd(job);
        else
                act(job);
}

static void on_got(CloudJob *job, const CloudReply *reply) {
        if (reply->object)
                go_on_with(job, reply->object);
        else if (api_is_denied(reply))
                /* A stop works without knowing more. */
                cloud_job_identify(job, go_on_by_metadata);
        else
                api_fail(job, reply, "get");
}

int gcp_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                      void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for_stop(userdata, call, instance_id, options, &job);

        if (r < 0)
                return r;
        instance_begin(job, on_got);
        return SNOOZE_PLUGIN_LATER;
}
