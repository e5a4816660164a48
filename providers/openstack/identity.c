/* SPDX-License-Identifier: Apache-2.0 */

/* Which server this is: meta_data.json names it (docs.openstack.org/nova/latest/user/metadata.html). */

#include "openstack.h"

#define DOCUMENT "/openstack/latest/meta_data.json"

static char *take_meta_data(MetadataOutcome outcome, const char *text, const void *provider, void *identity) {
        if (outcome != METADATA_FOUND)
                return g_strdup_printf("The metadata service has no " DOCUMENT "%s%s", *text ? ": " : "", text);
        return parse_meta_data(text, identity);
}

const CloudQuestion identity_questions[] = { { DOCUMENT, take_meta_data }, {} };

void identity_know(void *userdata, void *identity) {
        Openstack *openstack = userdata;

        g_clear_pointer(&openstack->identity, identity_free);
        openstack->identity = identity;
}

const char *identity_id(const void *userdata) {
        const Openstack *openstack = userdata;

        return openstack->identity ? openstack->identity->server_id : NULL;
}

int identity_check_id(SnoozePluginCall *call, const char *server_id) {
        if (parse_is_server_id(server_id))
                return 0;
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                       "instance_id: expected a UUID, not \"%s\"", server_id);
}
