/* SPDX-License-Identifier: Apache-2.0 */

/* The least that a plugin of the SDK can be, under the id that it is given: idle-plugin ID. */

#include <stddef.h>

#include <snooze/plugin.h>

static int process_data(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        return snooze_plugin_call_set_data(call, data, size);
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "nothing to do");
}

int main(int argc, char **argv) {
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = argc == 2 ? argv[1] : NULL,
                .version = "1.0.0",
                .check_idle = check_idle,
                .process_data = process_data,
        };

        return plugin.id ? snooze_plugin_main(&plugin, 1, argv) : 2;
}
