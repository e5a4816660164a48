/* SPDX-License-Identifier: Apache-2.0 */

/* The least that a plugin of the SDK can be, under the id that it is given (idle-plugin ID), or else under its own name. Its state has
 * $BENCH_STATE_SIZE bytes. */

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include <snooze/plugin.h>

static int process_data(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        return snooze_plugin_call_set_data(call, data, size);
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "nothing to do");
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        static const char state[1000000];
        const char *text = getenv("BENCH_STATE_SIZE");
        size_t size = text ? strtoul(text, NULL, 10) : 0;

        return size <= sizeof(state) ? snooze_plugin_call_set_state(call, 1, state, size) : -EFBIG;
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        return version == 1 ? 0 : -EINVAL;
}

int main(int argc, char **argv) {
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = argc == 2 ? argv[1] : program_invocation_short_name,
                .version = "1.0.0",
                .check_idle = check_idle,
                .process_data = process_data,
                .export_state = export_state,
                .import_state = import_state,
        };

        return snooze_plugin_main(&plugin, 1, argv);
}
