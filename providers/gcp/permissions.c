/* SPDX-License-Identifier: Apache-2.0 */

/* CheckPermissions: what the account may do with this instance, without doing any of it. testIamPermissions answers
 * those of the asked ones that are granted. What only adds to a stop is listed where it is granted; its lack keeps no
 * stop from working. What the machine cannot be made to do is listed under the name of that action. */

#include "instance.h"
#include "config.h"
#include "scopes.h"

#define POLICY_ADVICE "give the service account the role of " SNOOZE_COMMAND " provider policy gcp"

static const struct {
        const char *name;
        bool required;
        const char *gives;
        const char *action; /* that needs it, besides a stop; or NULL */
} rights[] = {
        { "compute.instances.stop", true, "stops this machine" },
        { "compute.instances.suspend", false, "suspends this machine", "suspend" },
        { "compute.instances.get", false, "knows state, local SSDs and labels" },
        { "compute.instances.setLabels", false, "marks a stop with labels" },
        { "compute.instances.start", false, "starts instances" },
        { "compute.instances.resume", false, "resumes suspended instances" },
};

static void tell_obstacles(CloudJob *job, JsonObject *instance) {
        static const StopAction actions[] = { STOP_ACTION_STOP, STOP_ACTION_SUSPEND };

        for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
                g_autofree char *other = instance ? instance_mistaken(job, instance) : NULL,
                                *obstacle = instance_obstacle(job, actions[i], instance, NULL);

                if (other || obstacle)
                        snooze_plugin_call_add_permission(job->call, stop_action_names[actions[i]], false,
                                                          other ?: obstacle);
        }
        cloud_actions_tell(job->call, job->cloud->kind->actions);
        cloud_job_end(job, 0);
}

/* Permitted is not all: what StopInstance would find wrong with the machine is told before anybody is warned of a
 * stop. */
static void on_got(CloudJob *job, const CloudReply *reply) {
        if (reply->object || api_is_denied(reply))
                tell_obstacles(job, reply->object);
        else
                api_fail(job, reply, "get");
}

static void on_tested(CloudJob *job, const CloudReply *reply) {
        if (!reply->object) {
                api_fail(job, reply, "testIamPermissions");
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
                bool has = parse_permits(reply->object, rights[i].name);

                /* The lack of the right to an action counts only where that is what a stop is to do. */
                if (has || rights[i].required || rights[i].action)
                        snooze_plugin_call_add_permission(
                                job->call, has || !rights[i].action ? rights[i].name : rights[i].action, has,
                                has ? rights[i].gives : POLICY_ADVICE);
        }
        instance_get(job, on_got);
}

static void authenticated(CloudJob *job) {
        const Gcp *gcp = job->provider;
        g_autofree char *path = g_strconcat(gcp_extra(job)->target, "/testIamPermissions", NULL);
        g_autoptr(GString) body = g_string_new("{\"permissions\":[");

        snooze_plugin_call_add_permission(job->call, "scope compute", gcp->credentials->writes,
                                          gcp->credentials->writes ? "the access scopes leave the account its rights"
                                                                   : scopes_advice);
        if (!gcp->credentials->reads) {
                tell_obstacles(job, NULL);
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(rights); i++)
                g_string_append_printf(body, "%s\"%s\"", i > 0 ? "," : "", rights[i].name);
        g_string_append(body, "]}");
        api_call(job, path, body->str, on_tested);
}

static void found(CloudJob *job) {
        cloud_job_authenticate(job, authenticated);
}

int gcp_check_permissions(SnoozePluginCall *call, void *userdata) {
        instance_find(cloud_job_new(userdata, call, NULL), found);
        return SNOOZE_PLUGIN_LATER;
}
