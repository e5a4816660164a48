/* SPDX-License-Identifier: Apache-2.0 */

#include "info.h"

#include "cloud/info.h"
#include "cloud/text.h"

/* A tag may have any of these characters, and so may what the contract takes; libxml2 made sure of UTF-8. */
static void add_tags(SnoozePluginDictionary *tags, xmlNode *instance) {
        for (xmlNode *item = xml_child(xml_child(instance, "tagSet"), "item"); item; item = xml_next(item)) {
                g_autofree char *key = xml_text(item, "key"), *value = xml_text(item, "value");

                if (key)
                        cloud_info_add_tag(tags, key, value ?: "");
        }
}

/* One of the tags is its name. */
static char *name_of(xmlNode *instance) {
        for (xmlNode *item = xml_child(xml_child(instance, "tagSet"), "item"); item; item = xml_next(item)) {
                g_autofree char *key = xml_text(item, "key");

                if (g_strcmp0(key, "Name") == 0)
                        return xml_text(item, "value");
        }
        return NULL;
}

void info_tell_instance(SnoozePluginDictionary *result, const Identity *own, xmlNode *instance) {
        g_autofree char *id = xml_text(instance, "instanceId"), *name = name_of(instance),
                        *type = xml_text(instance, "instanceType"),
                        *zone = xml_text(xml_child(instance, "placement"), "availabilityZone"),
                        *state = parse_instance_state(instance, "instanceState"),
                        *lifecycle = xml_text(instance, "instanceLifecycle"),
                        *launched = xml_text(instance, "launchTime"),
                        *region = parse_region(zone, own->region);

        add_tags(cloud_info_tell(result, &(const CloudInfo) {
                                                    .id = id,
                                                    .name = name,
                                                    .type = type,
                                                    .region = region,
                                                    .zone = zone,
                                                    .state = state,
                                                    .spot = g_strcmp0(lifecycle, "spot") == 0,
                                                    .launched = launched ? text_time(launched) : 0,
                                            }),
                 instance);
}

/* It runs, for it asks. */
void info_tell_own(SnoozePluginDictionary *result, const Identity *identity) {
        (void) cloud_info_tell(result, &(const CloudInfo) {
                .id = identity->instance_id,
                .type = identity->type,
                .region = identity->region,
                .zone = identity->zone,
                .state = "running",
                .spot = g_str_equal(identity->lifecycle, "spot"),
        });
}
