/* SPDX-License-Identifier: Apache-2.0 */

/* Stopping and suspending. A look at the instance comes first: what is stopped is not stopped again, local SSDs lose
 * their content unless somebody decided otherwise, and not every machine can be suspended. Suspending is an action of
 * its own; no stop stands in for it. Limits: docs.cloud.google.com/compute/docs/instances/suspend-resume-instance and
 * …/disks/local-ssd#stop_instance */

#include "instance.h"
#include "operation.h"

static const char *const leaving_by_stop[] = { "STOPPING", "PENDING_STOP", "DEPROVISIONING",
                                               "STOPPED",  "TERMINATED",   NULL };
static const char *const leaving_by_suspend[] = { "SUSPENDING", "SUSPENDED", NULL };

static const Deed deeds[STOP_ACTION_COUNT] = {
        [STOP_ACTION_STOP] = { "stop", leaving_by_stop, true },
        [STOP_ACTION_SUSPEND] = { "suspend", leaving_by_suspend, true },
};

static const Deed *deed_of(const CloudJob *job) {
        return &deeds[job->options.action];
}

static void on_taken(CloudJob *job, const CloudReply *reply) {
        operation_follow(job, reply, deed_of(job));
}

static char *permission_of(const CloudJob *job) {
        return g_strconcat("compute.instances.", deed_of(job)->method, NULL);
}

static void on_allowed(CloudJob *job, const CloudReply *reply) {
        g_autofree char *permission = permission_of(job);

        if (!reply->object)
                api_fail(job, reply, "testIamPermissions");
        else if (!parse_permits(reply->object, permission))
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED,
                               "%s on %s: the service account has no such permission", permission,
                               last_part(gcp_extra(job)->target));
        else
                cloud_job_end(job, 0);
}

/* The API knows no dry runs; it tells what is permitted. */
static void ask_whether_allowed(CloudJob *job) {
        g_autofree char *path = g_strconcat(gcp_extra(job)->target, "/testIamPermissions", NULL),
                        *permission = permission_of(job),
                        *body = g_strdup_printf("{\"permissions\":[\"%s\"]}", permission);

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

static void go_on_by_metadata(CloudJob *job) {
        g_autofree char *obstacle = instance_obstacle(job, job->options.action, NULL, NULL);

        if (obstacle)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s", obstacle);
        else
                act(job); /* Of another instance nothing is known: a stop that does not say what is to become of local
                             SSDs is refused there. */
}

static void go_on_with(CloudJob *job, JsonObject *instance) {
        const char *status = instance_status(instance), *name = last_part(gcp_extra(job)->target);
        const char *error_name = NULL;
        g_autofree char *other = instance_mistaken(job, instance),
                        *obstacle = instance_obstacle(job, job->options.action, instance, &error_name);

        if (other)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s", other);
        else if (g_strv_contains(deed_of(job)->expected, status))
                cloud_job_end(job, 0);
        else if (job->options.action == STOP_ACTION_SUSPEND && !g_str_equal(status, "RUNNING"))
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s is %s: only what runs can be suspended", name,
                               *status ? status : "in no state");
        else if (obstacle)
                cloud_job_fail(job, error_name, "%s", obstacle);
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
