/* SPDX-License-Identifier: Apache-2.0 */

/* The native plugin of the row "native call". */

#include <snooze/plugin.h>

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "nothing to do");
}

static const SnoozePlugin plugin = {
        .size = sizeof(SnoozePlugin),
        .id = "native-idle",
        .version = "1.0.0",
        .check_idle = check_idle,
};

SNOOZE_PLUGIN_NATIVE(plugin)
