/* SPDX-License-Identifier: Apache-2.0 */

/* CheckPermissions: what the role may do, without doing any of it. EC2 answers a dry run with DryRunOperation where it
 * would have been allowed. What only adds to a stop (names of instances, tags, a start from elsewhere) is listed where
 * it is granted; its lack keeps no stop from working. */

#include "api.h"
#include "power.h"

typedef struct Right {
        const char *name;
        const char *service, *action;
        bool required;
        const char *gives;
} Right;

static const Right rights[] = {
        { "ec2:StopInstances", "ec2", "StopInstances", true, "stops this machine" },
        { "ec2:DescribeInstances", "ec2", "DescribeInstances", false, "knows hibernation, Spot, state and tags" },
        { "ec2:CreateTags", "ec2", "CreateTags", false, "marks a stop with tags" },
        { "ec2:StartInstances", "ec2", "StartInstances", false, "starts instances" },
};

static void ask_next(CloudJob *job);

static void on_answer(CloudJob *job, const CloudReply *reply) {
        const Right *right = &rights[job->step];
        bool granted = g_str_equal(reply->code, "DryRunOperation") ||
                /* Allowed, but not in this state: a machine that runs cannot be started. */
                g_str_equal(reply->code, "IncorrectInstanceState");

        if (!granted && !api_is_denied(reply)) {
                cloud_reply_fail(job, reply, right->name);
                return;
        }
        if (granted || right->required)
                snooze_plugin_call_add_permission(job->call, right->name, granted,
                                                  granted ? right->gives : reply->message);
        job->step++;
        ask_next(job);
}

static void ask_next(CloudJob *job) {
        const Right *right = &rights[job->step];
        bool tags;

        if (job->step == G_N_ELEMENTS(rights)) {
                cloud_job_end(job, 0);
                return;
        }
        tags = g_str_equal(right->action, "CreateTags");
        api_call(job, right->service, right->action,
                 (const char *const[]) { tags ? "ResourceId.1" : "InstanceId.1", job->instance_id, "DryRun", "true",
                                         tags ? "Tag.1.Key" : NULL, "CloudSnooze:Status", "Tag.1.Value", "", NULL },
                 on_answer);
}

static void identified(CloudJob *job) {
        const char *behavior = cloud_setting(job->cloud, "shutdown_behavior");

        if (!aws_powers_off(job->provider)) {
                cloud_job_authenticate(job, ask_next);
                return;
        }
        snooze_plugin_call_add_permission(
                job->call, "shutdown_behavior", behavior != NULL,
                behavior ? "the administrator confirmed what a power-off does"
                         : "confirm what a power-off does to this instance: shutdown_behavior stop");
        cloud_job_end(job, 0);
}

int aws_check_permissions(SnoozePluginCall *call, void *userdata) {
        cloud_job_identify(cloud_job_new(userdata, call, NULL), identified);
        return SNOOZE_PLUGIN_LATER;
}
