/* SPDX-License-Identifier: Apache-2.0 */

#include "server.h"

#include "info.h"

void server_ask(CloudJob *job, CloudCallDone done) {
        cloud_call(job, NULL, "", NULL, done);
}

static const char *region_of(const CloudJob *job) {
        const Openstack *openstack = job->provider;

        return openstack->token ? openstack->token->region : NULL;
}

static void tell_of_metadata(CloudJob *job) {
        const Openstack *openstack = job->provider;

        info_tell_own(snooze_plugin_call_get_result(job->call), region_of(job), openstack->identity);
        cloud_job_end(job, 0);
}

static void on_server(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("server %s", job->instance_id);
        Server server;

        if (parse_server(reply, job->instance_id, &server)) {
                info_tell_server(snooze_plugin_call_get_result(job->call), job->instance_id, region_of(job), &server);
                cloud_job_end(job, 0);
        } else if (api_is_denied(reply) && cloud_job_is_own(job))
                tell_of_metadata(job);
        else
                cloud_reply_fail(job, reply, what);
}

static void authenticated(CloudJob *job) {
        server_ask(job, on_server);
}

int openstack_get_instance_info(SnoozePluginCall *call, const char *server_id, void *userdata) {
        CloudJob *job;
        int r = cloud_job_new_for(userdata, call, server_id, &job);

        if (r < 0)
                return r;
        /* Before there is any right, the machine's id is what the access rules need. */
        if (!*server_id)
                job->without_credentials = tell_of_metadata;
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
