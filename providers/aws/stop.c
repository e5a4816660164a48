/* SPDX-License-Identifier: Apache-2.0 */

/* Stopping and starting. A stop looks first at what the instance is: AWS takes a hibernation that was not enabled at
 * the launch for a plain stop, without a word, and refuses to stop what a one-time Spot request brought. */

#include <syslog.h>

#include "instance.h"
#include "power.h"

static bool is_one_of(const char *state, const char *const *states) {
        return state && g_strv_contains(states, state);
}

/* A dry run is answered with a failure that says that it would have worked. */
static bool would_have_worked(const CloudReply *reply) {
        return g_str_equal(reply->code, "DryRunOperation");
}

static void conclude(CloudJob *job, const CloudReply *reply, const char *action, const char *const *expected) {
        xmlNode *instance = xml_child(xml_child(reply->root, "instancesSet"), "item");
        g_autofree char *state = parse_instance_state(instance, "currentState"),
                        *before = parse_instance_state(instance, "previousState");
        g_autofree char *what = g_strdup_printf("ec2:%s on %s", action, job->instance_id);

        if (job->options.dry_run && would_have_worked(reply)) {
                cloud_job_end(job, 0);
                return;
        }
        if (!reply->root) {
                cloud_reply_fail(job, reply, what);
                return;
        }
        /* Not what was asked for is no success, whatever the status. */
        if (!is_one_of(state, expected)) {
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_THROTTLED, "%s: AWS took it, and says that the instance is %s",
                               what, state ?: "in no state");
                return;
        }
        snooze_plugin_log(LOG_INFO, "%s: was %s, is %s", what, before ?: "unknown", state);
        cloud_job_end(job, 0);
}

static void on_stopped(CloudJob *job, const CloudReply *reply) {
        static const char *const leaving[] = { "stopping", "stopped", "shutting-down", "terminated", NULL };

        conclude(job, reply, "StopInstances", leaving);
}

static void stop_now(CloudJob *job) {
        const char *parameters[7] = { "InstanceId.1", job->instance_id };
        unsigned n = 2;

        if (job->options.action == STOP_ACTION_HIBERNATE) {
                parameters[n++] = "Hibernate";
                parameters[n++] = "true";
        }
        if (job->options.dry_run) {
                parameters[n++] = "DryRun";
                parameters[n++] = "true";
        }
        parameters[n] = NULL;
        api_call(job, "ec2", "StopInstances", parameters, on_stopped);
}

static void on_spot_request(CloudJob *job, const CloudReply *reply) {
        g_autofree char *obstacle = instance_no_stop(job, reply);

        if (obstacle)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_REFUSED, "%s", obstacle);
        else
                /* Where the role may not ask, AWS itself says no to the stop. */
                stop_now(job);
}

static void on_described(CloudJob *job, const CloudReply *reply) {
        xmlNode *instance = parse_instance(reply->root);
        bool hibernate = job->options.action == STOP_ACTION_HIBERNATE;
        g_autofree char *obstacle = hibernate ? instance_no_hibernation(job, instance) : NULL,
                        *what = g_strdup_printf("ec2:DescribeInstances on %s", job->instance_id);

        /* A stop works without knowing more; only a role that may not ask is no reason to give up. */
        if (!instance && !(api_is_denied(reply) && !hibernate))
                cloud_reply_fail(job, reply, what);
        else if (obstacle)
                cloud_job_fail(job, SNOOZE_PLUGIN_ERROR_NOT_SUPPORTED, "%s", obstacle);
        else if (instance_is_spot(job, instance))
                instance_ask_spot_request(job, on_spot_request);
        else
                stop_now(job);
}

static void authenticated(CloudJob *job) {
        instance_describe(job, on_described);
}

static void identified(CloudJob *job) {
        if (aws_powers_off(job->provider) && cloud_job_is_own(job))
                power_off(job);
        else
                cloud_job_authenticate(job, authenticated);
}

int aws_stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                      void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for_stop(userdata, call, instance_id, options, &job);

        if (r < 0)
                return r;
        cloud_job_identify(job, identified);
        return SNOOZE_PLUGIN_LATER;
}

static void on_started(CloudJob *job, const CloudReply *reply) {
        static const char *const coming[] = { "pending", "running", NULL };

        conclude(job, reply, "StartInstances", coming);
}

static void start_now(CloudJob *job) {
        const char *parameters[] = { "InstanceId.1", job->instance_id, job->options.dry_run ? "DryRun" : NULL, "true",
                                     NULL };

        api_call(job, "ec2", "StartInstances", parameters, on_started);
}

int aws_start_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                       void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for_start(userdata, call, instance_id, options, &job);

        if (r < 0)
                return r;
        cloud_job_authenticate(job, start_now);
        return SNOOZE_PLUGIN_LATER;
}
