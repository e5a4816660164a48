/* SPDX-License-Identifier: Apache-2.0 */

#include "info.h"

#include "cloud/info.h"
#include "cloud/text.h"
#include "util/json.h"

static void add_labels(SnoozePluginDictionary *tags, JsonObject *instance) {
        JsonObject *labels = json_get_object(instance, "labels");
        g_autoptr(GList) names = labels ? json_object_get_members(labels) : NULL;

        for (GList *name = names; name; name = name->next)
                cloud_info_add_tag(tags, name->data, json_get_string(labels, name->data, ""));
}

void info_tell_instance(SnoozePluginDictionary *result, JsonObject *instance) {
        JsonObject *scheduling = json_get_object(instance, "scheduling");
        const char *zone = last_part(json_get_string(instance, "zone", ""));
        g_autofree char *region = parse_region(zone), *state = parse_state(instance_status(instance));
        const CloudInfo info = {
                .id = json_get_string(instance, "id", ""),
                .name = json_get_string(instance, "name", ""),
                .type = last_part(json_get_string(instance, "machineType", "")),
                .region = region,
                .zone = zone,
                .state = state,
                .spot = scheduling && (json_get_boolean(scheduling, "preemptible", FALSE) ||
                                       g_str_equal(json_get_string(scheduling, "provisioningModel", ""), "SPOT")),
                .launched = text_time(json_get_string(instance, "lastStartTimestamp",
                                                      json_get_string(instance, "creationTimestamp", ""))),
        };

        add_labels(cloud_info_tell(result, &info), instance);
}

/* It runs, for it asks. */
void info_tell_own(SnoozePluginDictionary *result, const Identity *identity) {
        g_autofree char *region = parse_region(identity->zone);

        (void) cloud_info_tell(result, &(const CloudInfo) {
                .id = identity->id,
                .name = identity->name,
                .type = identity->type,
                .region = region,
                .zone = identity->zone,
                .state = "running",
                .spot = identity->spot,
        });
}
