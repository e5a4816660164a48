/* SPDX-License-Identifier: Apache-2.0 */

#include "info.h"

#include "cloud/info.h"
#include "cloud/text.h"
#include "util/json.h"

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

void info_tell_server(SnoozePluginDictionary *result, const char *id, const char *region, const Server *server) {
        const CloudInfo info = {
                .id = id,
                .name = json_get_string(server->object, "name", ""),
                .type = flavor_of(server->object),
                .region = region,
                .zone = json_get_string(server->object, "OS-EXT-AZ:availability_zone", ""),
                .state = server_state(server),
                .launched = launched_at(server->object),
        };

        add_tags(cloud_info_tell(result, &info), json_get_object(server->object, "metadata"));
}

/* It runs, for it asks. */
void info_tell_own(SnoozePluginDictionary *result, const char *region, const Identity *identity) {
        (void) cloud_info_tell(result, &(const CloudInfo) {
                .id = identity->server_id,
                .name = identity->name,
                .region = region,
                .zone = identity->zone,
                .state = "running",
        });
}
