/* SPDX-License-Identifier: Apache-2.0 */

/* Which server this is: meta_data.json names it (docs.openstack.org/nova/latest/user/metadata.html). */

#include <string.h>

#include "openstack.h"
#include "util/json.h"

#define DOCUMENT "/openstack/latest/meta_data.json"

void identity_free(Identity *identity) {
        g_free(identity->server_id);
        g_free(identity->name);
        g_free(identity->zone);
        g_free(identity);
}

bool openstack_is_server_id(const char *text) {
        return g_uuid_string_is_valid(text);
}

int openstack_check_server_id(SnoozePluginCall *call, const char *server_id) {
        if (!*server_id || openstack_is_server_id(server_id))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "instance_id: expected a UUID, not \"%s\"", server_id);
}

static void on_document(MetadataOutcome outcome, const char *text, const HttpReply *reply, void *userdata) {
        g_autofree char *problem = NULL;
        g_autoptr(JsonNode) node = NULL;
        g_autoptr(GError) error = NULL;
        Openstack *openstack = userdata;
        JsonObject *object = NULL;
        Identity *identity;

        if (outcome != METADATA_FOUND)
                problem = g_strdup_printf("The metadata service has no " DOCUMENT "%s%s", *text ? ": " : "", text);
        else if (!(node = json_text_parse("meta_data.json", text, -1, &error)))
                problem = g_strdup(error->message);
        else if (!JSON_NODE_HOLDS_OBJECT(node) || !openstack_is_server_id(json_get_string(json_node_get_object(node), "uuid", "")))
                problem = g_strdup("meta_data.json names no server (uuid)");
        if (problem) {
                cloud_jobs_answered(openstack->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, problem);
                return;
        }
        object = json_node_get_object(node);
        identity = g_new0(Identity, 1);
        identity->server_id = g_ascii_strdown(json_get_string(object, "uuid", ""), -1);
        identity->name = g_strdup(json_get_string(object, "name", ""));
        identity->zone = g_strdup(json_get_string(object, "availability_zone", ""));
        g_clear_pointer(&openstack->identity, identity_free);
        openstack->identity = identity;
        cloud_jobs_answered(openstack->jobs, NULL, NULL);
}

void identity_ask(void *userdata) {
        Openstack *openstack = userdata;
        int r = metadata_ask(openstack->metadata, &(const MetadataQuestion) { .path = DOCUMENT }, on_document, openstack);

        if (r < 0)
                cloud_jobs_answered(openstack->jobs, SNOOZE_PLUGIN_ERROR_THROTTLED, g_strerror(-r));
}
