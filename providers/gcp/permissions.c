/* SPDX-License-Identifier: Apache-2.0 */

/* CheckPermissions: what the account may do with this instance, without doing any of it. testIamPermissions answers
 * those of the asked ones that are granted. What only adds to a stop is listed where it is granted; its lack keeps no
 * stop from working. */

#include "instance.h"
#include "config.h"
#include "scopes.h"
#include "util/json.h"

static const struct {
        const char *name;
        bool required;
        const char *gives;
} rights[] = {
        { "compute.instances.stop", true, "stops this machine" },
        { "compute.instances.suspend", false, "suspends this machine" },
        { "compute.instances.get", false, "knows state, local SSDs and labels" },
        { "compute.instances.setLabels", false, "marks a stop with labels" },
        { "compute.instances.start", false, "starts instances" },
        { "compute.instances.resume", false, "resumes suspended instances" },
};

static bool is_granted(JsonArray *granted, const char *name) {
        for (guint i = 0; granted && i < json_array_get_length(granted); i++) {
                JsonNode *node = json_array_get_element(granted, i);

                if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                    g_str_equal(json_node_get_string(node), name))
                        return true;
        }
        return false;
}

static void on_tested(CloudJob *job, const CloudReply *reply) {
        JsonArray *granted = reply->object ? json_get_array(reply->object, "permissions") : NULL;

        if (!reply->object) {
                api_fail(job, reply, "testIamPermissions");
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(rights); i++) {
                bool has = is_granted(granted, rights[i].name);

                if (has || rights[i].required)
                        snooze_plugin_call_add_permission(
                                job->call, rights[i].name, has,
                                has ? rights[i].gives
                                    : "give the service account the role of " SNOOZE_COMMAND " provider policy gcp");
        }
        cloud_job_end(job, 0);
}

static void authenticated(CloudJob *job) {
        const Gcp *gcp = job->provider;
        g_autofree char *path = g_strconcat(gcp_extra(job)->target, "/testIamPermissions", NULL);
        g_autoptr(GString) body = g_string_new("{\"permissions\":[");

        snooze_plugin_call_add_permission(job->call, "scope compute", gcp->credentials->writes,
                                          gcp->credentials->writes ? "the access scopes leave the account its rights"
                                                                   : scopes_advice);
        if (!gcp->credentials->reads) {
                cloud_job_end(job, 0);
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
