/* SPDX-License-Identifier: Apache-2.0 */

#include "server.h"

#include <string.h>

#include "base/clock.h"
#include "util/json.h"

void server_ask(CloudJob *job, ApiDone done) {
        api_call(job, "", NULL, done);
}

/* nova/api/openstack/common.py makes the status of both states; where a cloud hides those, it has to do. */
static const struct {
        const char *status, *vm_state, *task;
} statuses[] = {
        { "ACTIVE", "active", "" },
        { "BUILD", "building", "" },
        { "DELETED", "deleted", "" },
        { "ERROR", "error", "" },
        { "HARD_REBOOT", "active", "rebooting_hard" },
        { "MIGRATING", "active", "migrating" },
        { "PASSWORD", "active", "updating_password" },
        { "PAUSED", "paused", "" },
        { "REBOOT", "active", "rebooting" },
        { "RESCUE", "rescued", "" },
        { "SHELVED", "shelved", "" },
        { "SHELVED_OFFLOADED", "shelved_offloaded", "" },
        { "SHUTOFF", "stopped", "" },
        { "SOFT_DELETED", "soft-delete", "" },
        { "SUSPENDED", "suspended", "" },
};

static void states_of_status(Server *server, const char *status) {
        for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
                if (g_str_equal(statuses[i].status, status)) {
                        server->vm_state = statuses[i].vm_state;
                        server->task = statuses[i].task;
                }
}

bool server_read(const CloudJob *job, const ApiReply *reply, Server *ret) {
        JsonObject *object = reply->object ? json_get_object(reply->object, "server") : NULL;

        if (!object || g_ascii_strcasecmp(json_get_string(object, "id", ""), job->instance_id) != 0)
                return false;
        *ret = (Server) { .object = object, .vm_state = "", .task = "" };
        states_of_status(ret, json_get_string(object, "status", ""));
        ret->vm_state = json_get_string(object, "OS-EXT-STS:vm_state", ret->vm_state);
        ret->task = json_get_string(object, "OS-EXT-STS:task_state", ret->task);
        return *ret->vm_state != '\0';
}

const char *server_state(const Server *server) {
        static const char *const running[] = { "active", "paused", "rescued", "resized", NULL };
        static const char *const stopped[] = { "stopped", "suspended", "shelved", "shelved_offloaded", NULL };
        static const char *const coming[] = { "powering-on", "resuming", "unshelving", "spawning", NULL };
        static const char *const deleted[] = { "deleted", "soft-delete", NULL };

        if (g_strv_contains(deleted, server->vm_state))
                return "terminated";
        if (g_strv_contains(stopped, server->vm_state))
                return g_strv_contains(coming, server->task) ? "pending" : "stopped";
        if (g_strv_contains(running, server->vm_state)) {
                bool going = g_str_equal(server->task, "powering-off") || g_str_equal(server->task, "suspending") ||
                        g_str_has_prefix(server->task, "shelving");

                return going ? "stopping" : "running";
        }
        return g_str_equal(server->vm_state, "building") ? "pending" : "unknown";
}

static void set_text(SnoozePluginDictionary *info, const char *key, const char *text) {
        snooze_plugin_dictionary_set_string(info, key, text ?: "");
}

/* "2013-09-23T13:53:12.774549", in UTC without saying so; where it is hidden, the time of its creation. */
static void set_launch_time(SnoozePluginDictionary *info, JsonObject *object) {
        const char *text = json_get_string(object, "OS-SRV-USG:launched_at", json_get_string(object, "created", ""));
        g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
        g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(text, utc);

        if (time && g_date_time_to_unix(time) > 0)
                snooze_plugin_dictionary_set_uint(info, "launch-time", (uint64_t) g_date_time_to_unix(time) * USEC_PER_SEC);
}

/* Since 2.47 a flavor has its name there; before, its id, which in many clouds is the name. */
static const char *flavor_of(JsonObject *object) {
        JsonObject *flavor = json_get_object(object, "flavor");

        return flavor ? json_get_string(flavor, "original_name", json_get_string(flavor, "id", "")) : "";
}

static void add_tags(SnoozePluginDictionary *info, JsonObject *metadata) {
        SnoozePluginDictionary *tags = snooze_plugin_dictionary_add_strings(info, "tags");
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (!metadata)
                return;
        json_object_iter_init_ordered(&iter, metadata);
        while (json_object_iter_next_ordered(&iter, &key, &value))
                if (*key && JSON_NODE_HOLDS_VALUE(value) && json_node_get_value_type(value) == G_TYPE_STRING)
                        snooze_plugin_dictionary_set_string(tags, key, json_node_get_string(value));
}

static void fill(CloudJob *job, const Server *server) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        const Openstack *openstack = job->provider;

        set_text(info, "id", job->instance_id);
        set_text(info, "name", json_get_string(server->object, "name", ""));
        set_text(info, "type", flavor_of(server->object));
        set_text(info, "region", openstack->token ? openstack->token->region : "");
        set_text(info, "zone", json_get_string(server->object, "OS-EXT-AZ:availability_zone", ""));
        set_text(info, "state", server_state(server));
        set_text(info, "lifecycle", "on-demand");
        set_launch_time(info, server->object);
        add_tags(info, json_get_object(server->object, "metadata"));
}

static void fill_from_metadata(CloudJob *job) {
        SnoozePluginDictionary *info = snooze_plugin_call_get_result(job->call);
        const Openstack *openstack = job->provider;

        set_text(info, "id", openstack->identity->server_id);
        set_text(info, "name", openstack->identity->name);
        set_text(info, "type", "");
        set_text(info, "region", openstack->token ? openstack->token->region : "");
        set_text(info, "zone", openstack->identity->zone);
        set_text(info, "state", "running");
        set_text(info, "lifecycle", "on-demand");
        snooze_plugin_dictionary_add_strings(info, "tags");
}

static void on_server(CloudJob *job, const ApiReply *reply) {
        g_autofree char *what = g_strdup_printf("server %s", job->instance_id);
        Server server;

        if (server_read(job, reply, &server)) {
                fill(job, &server);
                cloud_job_end(job, 0);
        } else if (api_is_denied(reply) && cloud_job_is_own(job)) {
                /* It runs, for it asks. */
                fill_from_metadata(job);
                cloud_job_end(job, 0);
        } else
                api_fail(job, reply, what);
}

static void authenticated(CloudJob *job) {
        server_ask(job, on_server);
}

int openstack_get_instance_info(SnoozePluginCall *call, const char *server_id, void *userdata) {
        int r = openstack_check_server_id(call, server_id);

        if (r < 0)
                return r;
        cloud_job_authenticate(openstack_job_new(userdata, call, server_id), authenticated);
        return SNOOZE_PLUGIN_LATER;
}
