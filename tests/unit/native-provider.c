/* SPDX-License-Identifier: Apache-2.0 */

/* A native provider whose stop effect changes more often than anybody would take unasked: each time that it is asked
 * to detect itself. */

#include <snooze/plugin.h>

#define CHANGES 200

static SnoozePluginInstance *instance;

static int start(SnoozePluginInstance *i, void *userdata) {
        instance = i;
        return 0;
}

static const char *stop_effect(void *userdata) {
        return "unknown";
}

static int detect(SnoozePluginCall *call, void *userdata) {
        for (unsigned i = 0; i < CHANGES; i++)
                snooze_plugin_instance_stop_effect_changed(instance);
        return snooze_plugin_call_set_answer(call, true);
}

static int get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        return 0;
}

static int stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata) {
        return 0;
}

static const SnoozePlugin plugin = {
        .size = sizeof(SnoozePlugin),
        .id = "one",
        .version = "1.0.0",
        .start = start,
        .provider_name = "One",
        .stop_effect = stop_effect,
        .detect = detect,
        .get_instance_info = get_instance_info,
        .stop_instance = stop_instance,
};

SNOOZE_PLUGIN_NATIVE(plugin)
