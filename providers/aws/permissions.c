/* SPDX-License-Identifier: Apache-2.0 */

/* CheckPermissions: what the role may do, without doing any of it. EC2 answers a dry run with DryRunOperation where it
 * would have been allowed. What only adds to a stop (names of instances, tags, a start from elsewhere) is listed where
 * it is granted; its lack keeps no stop from working. What the machine cannot be made to do is listed under the name
 * of that action. What a lifecycle hook takes is listed in any case, and counts for no stop. */

#include <string.h>

#include "base/clock.h"
#include "base/names.h"
#include "instance.h"
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

/* Auto Scaling has no dry runs. A token that no lifecycle action has completes and prolongs none: who is allowed to is
 * told so, who is not that. */
#define NO_TOKEN "00000000-0000-0000-0000-000000000000"
#define NO_ACTION "No active Lifecycle Action"

static const Right hook_rights[] = {
        { "autoscaling:CompleteLifecycleAction" PERMISSION_OPTIONAL_SUFFIX, "autoscaling", "CompleteLifecycleAction",
          false, "ends the wait of the lifecycle hook when handlers are done" },
        { "autoscaling:RecordLifecycleActionHeartbeat" PERMISSION_OPTIONAL_SUFFIX, "autoscaling",
          "RecordLifecycleActionHeartbeat", false, "keeps the lifecycle hook waiting while handlers work" },
};

/* For each of the two questions about a hook: CheckPermissions has 60 s in all, and what they are for is not worth
 * that the rest, which is known by then, is lost. */
#define HOOK_PATIENCE (10 * USEC_PER_SEC)

static void ask_next(CloudJob *job);

static void tell_obstacle(CloudJob *job, StopAction action, const char *obstacle) {
        if (obstacle)
                snooze_plugin_call_add_permission(job->call, stop_action_names[action], false, obstacle);
}

static void ask_hook(CloudJob *job);

static unsigned hook_rights_needed(const CloudJob *job) {
        bool beats = snooze_plugin_instance_get_integer(job->cloud->instance, "heartbeat_seconds") > 0;

        return beats ? G_N_ELEMENTS(hook_rights) : 1;
}

static void on_hook(CloudJob *job, const CloudReply *reply) {
        bool granted = strstr(reply->message, NO_ACTION) != NULL, denied = api_is_denied(reply);
        g_autofree char *unknown =
                g_strdup_printf("unknown: %s", *reply->message ? reply->message : "Auto Scaling did not answer");

        /* Who cannot be reached is not waited for again. */
        do {
                const Right *right = &hook_rights[job->step++];

                snooze_plugin_call_add_permission(job->call, right->name, granted,
                                                  granted         ? right->gives
                                                          : denied ? reply->message
                                                                   : unknown);
        } while (reply->http->problem != HTTP_ANSWERED && job->step < hook_rights_needed(job));
        ask_hook(job);
}

static void ask_hook(CloudJob *job) {
        const Right *right;

        if (job->step >= hook_rights_needed(job)) {
                cloud_job_end(job, 0);
                return;
        }
        right = &hook_rights[job->step];
        api_call(job, right->service, right->action,
                 (const char *const[]) { "AutoScalingGroupName", cloud_setting(job->cloud, "autoscaling_group"),
                                         "LifecycleHookName", cloud_setting(job->cloud, "lifecycle_hook"),
                                         "LifecycleActionToken", NO_TOKEN,
                                         job->step == 0 ? "LifecycleActionResult" : NULL, "CONTINUE", NULL },
                 on_hook);
}

static void end(CloudJob *job) {
        cloud_actions_tell(job->call, job->cloud->kind->actions);
        if (!aws_has_hook(job->provider)) {
                cloud_job_end(job, 0);
                return;
        }
        job->step = 0;
        job->patience = clock_bound(HOOK_PATIENCE);
        ask_hook(job);
}

/* Where the role may not ask for the request, nothing of it is known: AWS itself says no to the stop. */
static void on_spot_request(CloudJob *job, const CloudReply *reply) {
        g_autofree char *obstacle = instance_no_stop(job, reply);

        if (!obstacle && !reply->root && !api_is_denied(reply)) {
                cloud_reply_fail(job, reply, "ec2:DescribeSpotInstanceRequests");
                return;
        }
        tell_obstacle(job, STOP_ACTION_STOP, obstacle);
        tell_obstacle(job, STOP_ACTION_HIBERNATE, obstacle);
        end(job);
}

/* Permitted is not all: what StopInstance would find wrong with the machine is told before anybody is warned of a
 * stop. */
static void on_described(CloudJob *job, const CloudReply *reply) {
        xmlNode *instance = parse_instance(reply->root);
        g_autofree char *obstacle = instance_no_hibernation(job, instance);

        if (!instance && !api_is_denied(reply)) {
                cloud_reply_fail(job, reply, "ec2:DescribeInstances");
                return;
        }
        tell_obstacle(job, STOP_ACTION_HIBERNATE, obstacle);
        if (instance_is_spot(job, instance))
                instance_ask_spot_request(job, on_spot_request);
        else
                end(job);
}

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
                instance_describe(job, on_described);
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
        power_check(job);
}

int aws_check_permissions(SnoozePluginCall *call, void *userdata) {
        cloud_job_identify(cloud_job_new(userdata, call, NULL), identified);
        return SNOOZE_PLUGIN_LATER;
}
