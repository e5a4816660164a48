/* SPDX-License-Identifier: Apache-2.0 */

/* CheckPermissions: what can be known without doing anything. Nova has no dry run: whether a stop is allowed is read
 * from what Keystone says of the token, its roles and the access rules that it is bound to, and a cloud whose policy
 * is its own may see it otherwise. */

#include "move.h"
#include "server.h"

/* The endpoint's own path is a part of what a rule is held against. */
static bool rules_allow(const Openstack *openstack, const CloudJob *job, const char *method, const char *path) {
        const Token *token = openstack->token;
        g_autoptr(GUri) uri = g_uri_parse(token->endpoint, G_URI_FLAGS_NONE, NULL);
        g_autofree char *whole =
                g_strdup_printf("%s/servers/%s%s", uri ? g_uri_get_path(uri) : "", job->instance_id, path);

        if (!token->access_rules)
                return true;
        for (char **rule = token->access_rules; *rule; rule++)
                if (parse_rule_allows(*rule, method, whole))
                        return true;
        return false;
}

/* By Nova's own defaults (docs.openstack.org/nova/latest/configuration/policy.html) a reader only looks. */
static bool only_reads(const Token *token) {
        return g_strv_length(token->roles) == 1 && g_ascii_strcasecmp(token->roles[0], "reader") == 0;
}

static void add_row(CloudJob *job, const char *name, bool required, const char *path, const char *gives) {
        const Openstack *openstack = job->provider;
        bool ruled = rules_allow(openstack, job, "POST", path), reads = only_reads(openstack->token),
             granted = ruled && !reads;
        g_autofree char *text = NULL;

        if (!granted && !required)
                return;
        if (reads)
                text = g_strdup("the credential has only the role reader");
        else if (!ruled)
                text = g_strdup_printf("no access rule of the credential allows POST …/servers/%s%s", job->instance_id,
                                       path);
        else
                text = g_strdup_printf("%s, as far as roles and access rules tell: Nova has no dry run", gives);
        snooze_plugin_call_add_permission(job->call, name, granted, text);
}

static void on_server(CloudJob *job, const CloudReply *reply) {
        const char *method = cloud_setting(job->cloud, "stop_method");
        const Move *move = move_of_method(method);
        g_autofree char *what = g_strdup_printf("server %s", job->instance_id),
                        *obstacle = move_obstacle(STOP_ACTION_SUSPEND, method);
        Server server;

        if (parse_server(reply, job->instance_id, &server))
                snooze_plugin_call_add_permission(job->call, "os_compute_api:servers:show", true,
                                                  "sees that a stop happens");
        else if (!api_is_denied(reply)) {
                cloud_reply_fail(job, reply, what);
                return;
        }
        add_row(job, move->policy, true, "/action", move->gives);
        add_row(job, "os_compute_api:server-metadata:create", false, "/metadata",
                "marks a stop in the server's metadata");
        if (obstacle)
                snooze_plugin_call_add_permission(job->call, stop_action_names[STOP_ACTION_SUSPEND], false, obstacle);
        cloud_actions_tell(job->call, job->cloud->kind->actions);
        cloud_job_end(job, 0);
}

static void authenticated(CloudJob *job) {
        server_ask(job, on_server);
}

int openstack_check_permissions(SnoozePluginCall *call, void *userdata) {
        cloud_job_authenticate(cloud_job_new(userdata, call, NULL), authenticated);
        return SNOOZE_PLUGIN_LATER;
}
