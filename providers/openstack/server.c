/* SPDX-License-Identifier: Apache-2.0 */

#include "server.h"

#include "cloud/info.h"
#include "cloud/text.h"
#include "util/json.h"

void server_ask(CloudJob *job, CloudCallDone done) {
        cloud_call(job, NULL, "", NULL, done);
}

/* "2013-09-23T13:53:12.774549"; where it is hidden, the time of its creation. */
static uint64_t launched_at(JsonObject *object) {
        return text_time(json_get_string(object, "OS-SRV-USG:launched_at", json_get_string(object, "created", "")));
}

/* Since 2.47 a flavor has its name there; before, its id, which in many clouds is the name. */
static const char *flavor_of(JsonObject *object) {
        JsonObject *flavor = json_get_object(object, "flavor");

        return flavor ? json_get_string(flavor, "original_name", json_get_string(flavor, "id", "")) : "";
}

static void add_tags(SnoozePluginDictionary *tags, JsonObject *metadata) {
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (!metadata)
                return;
        json_object_iter_init_ordered(&iter, metadata);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                if (JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING)
                        cloud_info_add_tag(tags, key, json_node_get_string(value));
}

static void tell(CloudJob *job, const Server *server) {
        const Openstack *openstack = job->provider;
        const CloudInfo info = {
                .id = job->instance_id,
                .name = json_get_string(server->object, "name", ""),
                .type = flavor_of(server->object),
                .region = openstack->token ? openstack->token->region : "",
                .zone = json_get_string(server->object, "OS-EXT-AZ:availability_zone", ""),
                .state = server_state(server),
                .launched = launched_at(server->object),
        };

        add_tags(cloud_info_tell(job->call, &info), json_get_object(server->object, "metadata"));
        cloud_job_end(job, 0);
}

/* It runs, for it asks. */
static void tell_of_metadata(CloudJob *job) {
        const Openstack *openstack = job->provider;

        (void) cloud_info_tell(job->call, &(const CloudInfo) {
                .id = openstack->identity->server_id,
                .name = openstack->identity->name,
                .region = openstack->token ? openstack->token->region : "",
                .zone = openstack->identity->zone,
                .state = "running",
        });
        cloud_job_end(job, 0);
}

static void on_server(CloudJob *job, const CloudReply *reply) {
        g_autofree char *what = g_strdup_printf("server %s", job->instance_id);
        Server server;

        if (parse_server(reply, job->instance_id, &server))
                tell(job, &server);
        else if (api_is_denied(reply) && cloud_job_is_own(job))
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
        cloud_job_authenticate(job, authenticated);
        return SNOOZE_PLUGIN_LATER;
}
