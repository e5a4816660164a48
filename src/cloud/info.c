/* SPDX-License-Identifier: Apache-2.0 */

#include "cloud/info.h"

#include <string.h>
#include <unistd.h>

#include "base/clock.h"

#define TAG_NAME_MAX 128U

static void set_text(SnoozePluginDictionary *info, const char *key, const char *text) {
        snooze_plugin_dictionary_set_string(info, key, text ?: "");
}

SnoozePluginDictionary *cloud_info_tell(SnoozePluginDictionary *result, const CloudInfo *info) {
        set_text(result, "id", info->id);
        set_text(result, "name", info->name);
        set_text(result, "type", info->type);
        set_text(result, "region", info->region);
        set_text(result, "zone", info->zone);
        set_text(result, "state", info->state);
        set_text(result, "lifecycle", info->spot ? "spot" : "on-demand");
        if (info->launched > 0)
                snooze_plugin_dictionary_set_uint(result, "launch-time", info->launched);
        return snooze_plugin_dictionary_add_strings(result, "tags");
}

void cloud_info_add_tag(SnoozePluginDictionary *tags, const char *name, const char *value) {
        if (*name && strlen(name) <= TAG_NAME_MAX)
                snooze_plugin_dictionary_set_string(tags, name, value);
}

void cloud_info_tell_own(SnoozePluginCall *call, const char *id, const char *type, bool stopping) {
        char name[256] = "";

        (void) gethostname(name, sizeof(name) - 1);
        (void) cloud_info_tell(snooze_plugin_call_get_result(call), &(const CloudInfo) {
                .id = id,
                .name = name,
                .type = type,
                .state = stopping ? "stopping" : "running",
                .launched = usec_sub(clock_realtime(), clock_boottime()),
        });
}
