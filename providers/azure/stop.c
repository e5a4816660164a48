/* SPDX-License-Identifier: Apache-2.0 */

/* Stopping and starting. To stop is to deallocate: a machine that switched itself off keeps its place and its price. A
 * stop looks first at what the machine is, for what Azure would not do is better told beforehand. */

#include "document.h"
#include "operation.h"
#include "permissions.h"
#include "vm.h"

static const char *const leaving[] = { "deallocating", "deallocated", "hibernating", "hibernated", NULL };
static const char *const coming[] = { "starting", "running", NULL };

static void on_stopped(CloudJob *job, const CloudReply *reply) {
        const char *action = job->options.action == STOP_ACTION_HIBERNATE ? "hibernate" : "deallocate";
        g_autofree char *what = g_strdup_printf("%s on %s", action, vm_name(job));

        if (reply->ok)
                operation_follow(job, reply, action, leaving);
        else
                cloud_reply_fail(job, reply, what);
}

/* Azure has no dry run of its own: whether it would have worked is a question of rights, and of what was looked at
 * before. */
static void try_right(CloudJob *job, const CloudReply *failure, Right right) {
        g_autofree char *name = right_name(job, right);

        if (failure)
                cloud_reply_fail(job, failure, "Microsoft.Authorization/permissions/read");
        else if (!right_is_granted(job, right))
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s on %s: no role of the managed identity grants it",
                               name, vm_name(job));
        else
                cloud_job_end(job, 0);
}

static void try_stop(CloudJob *job, const CloudReply *failure) {
        try_right(job, failure, RIGHT_DEALLOCATE);
}

static void stop_now(CloudJob *job) {
        g_autofree char *path = api_path(job, job->options.action == STOP_ACTION_HIBERNATE
                                                      ? "/deallocate?hibernate=true&api-version=" COMPUTE_VERSION
                                                      : "/deallocate?api-version=" COMPUTE_VERSION);

        if (job->options.dry_run)
                permissions_ask(job, try_stop);
        else
                cloud_call(job, "POST", path, "", on_stopped);
}

static void on_described(CloudJob *job, const CloudReply *reply) {
        bool hibernate = job->options.action == STOP_ACTION_HIBERNATE;
        JsonObject *machine = vm_of(reply);
        g_autofree char *what = g_strdup_printf("read %s", vm_name(job)),
                        *no_hibernation = hibernate ? vm_no_hibernation(job, machine) : NULL,
                        *no_deallocation = vm_no_deallocation(job, machine);

        /* A stop works without knowing more; only an identity that may not read is no reason to give up. */
        if (!machine && !(api_is_denied(reply) && !hibernate))
                cloud_reply_fail(job, reply, what);
        else if (no_hibernation)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, "%s", no_hibernation);
        else if (no_deallocation)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s", no_deallocation);
        else
                stop_now(job);
}

static void look_first(CloudJob *job) {
        vm_describe(job, on_described);
}

int azure_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                        void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for_stop(userdata, call, instance_id, options, &job);

        if (r < 0)
                return r;
        cloud_job_authenticate(job, look_first);
        return SNOOZE_PLUGIN_LATER;
}

static void on_started(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("start on %s", vm_name(job));

        if (reply->ok)
                operation_follow(job, reply, "start", coming);
        else
                cloud_reply_fail(job, reply, what);
}

static void try_start(CloudJob *job, const CloudReply *failure) {
        try_right(job, failure, RIGHT_START);
}

static void start_now(CloudJob *job) {
        g_autofree char *path = api_path(job, "/start?api-version=" COMPUTE_VERSION);

        if (job->options.dry_run)
                permissions_ask(job, try_start);
        else
                cloud_call(job, "POST", path, "", on_started);
}

int azure_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for_start(userdata, call, instance_id, options, &job);

        if (r < 0)
                return r;
        cloud_job_authenticate(job, start_now);
        return SNOOZE_PLUGIN_LATER;
}
