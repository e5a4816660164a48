/* SPDX-License-Identifier: Apache-2.0 */

#include "info.h"

#include "cloud/info.h"
#include "cloud/text.h"
#include "document.h"

static void add_tags(SnoozePluginDictionary *strings, JsonObject *tags) {
        JsonObjectIter iter;
        const char *name;
        JsonNode *value;

        if (!tags)
                return;
        json_object_iter_init(&iter, tags);
        while (json_object_iter_next(&iter, &name, &value))
                cloud_info_add_tag(strings, name, document_text(tags, name));
}

static bool is_spot(const char *priority) {
        return g_ascii_strcasecmp(priority, "Spot") == 0 || g_ascii_strcasecmp(priority, "Low") == 0;
}

static const char *zone_of(JsonObject *vm) {
        JsonArray *zones = document_array(vm, "zones");
        JsonNode *zone = zones && json_array_get_length(zones) > 0 ? json_array_get_element(zones, 0) : NULL;

        return zone && json_node_get_value_type(zone) == G_TYPE_STRING ? json_node_get_string(zone) : "";
}

void info_tell_vm(SnoozePluginDictionary *result, const char *id, JsonObject *vm) {
        const char *size = document_text(vm, "properties/hardwareProfile/vmSize");
        g_autofree char *state = parse_power(vm);
        const CloudInfo info = {
                .id = id,
                .name = document_text(vm, "name"),
                /* One of a scale set has it a floor higher. */
                .type = *size ? size : document_text(vm, "sku/name"),
                .region = document_text(vm, "location"),
                .zone = zone_of(vm),
                .state = state,
                .spot = is_spot(document_text(vm, "properties/priority")),
                /* When it was made: Azure tells no time of the last start. */
                .launched = text_time(document_text(vm, "properties/timeCreated")),
        };

        add_tags(cloud_info_tell(result, &info), document_object(vm, "tags"));
}

/* It runs, for it asks. */
void info_tell_own(SnoozePluginDictionary *result, const Identity *identity) {
        const CloudInfo info = {
                .id = identity->resource_id,
                .name = identity->name,
                .type = identity->size,
                .region = identity->location,
                .zone = identity->zone,
                .state = "running",
                .spot = is_spot(identity->priority),
        };

        add_tags(cloud_info_tell(result, &info), identity->tags);
}
