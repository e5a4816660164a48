/* SPDX-License-Identifier: Apache-2.0 */

/* A native plugin whose answers its configuration chooses. */

#include <errno.h>
#include <string.h>
#include <syslog.h>

#include <snooze/plugin.h>

static SnoozePluginInstance *instance;
static SnoozePluginCall *waiting;
static unsigned checks;

static int start(SnoozePluginInstance *i, void *userdata) {
        instance = i;
        return snooze_plugin_instance_get_bus(i) ? -EINVAL : 0;
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        const char *mode = snooze_plugin_instance_get_string(instance, "mode");

        checks++;
        if (strcmp(mode, "later") == 0) {
                waiting = call;
                return SNOOZE_PLUGIN_LATER;
        }
        if (strcmp(mode, "failing") == 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_FAILED, "nobody knows");
        if (strcmp(mode, "silent") == 0)
                return 0;
        if (strcmp(mode, "wrong") == 0)
                snooze_plugin_dictionary_set_uint(snooze_plugin_call_get_result(call), "valid_seconds", 301);
        if (strcmp(mode, "detailed") == 0)
                snooze_plugin_call_add_metric(call, "gpu_usage", 1.5);
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "cpu %g",
                                              snooze_plugin_dictionary_get_double(metrics, "cpu_usage", -1));
}

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        if (waiting) {
                SnoozePluginCall *late = waiting;

                waiting = NULL;
                snooze_plugin_call_set_verdict(late, SNOOZE_PLUGIN_BUSY, "late");
                snooze_plugin_call_finish(late, 0);
        }
        snooze_plugin_dictionary_set_uint(snooze_plugin_call_get_result(call), "checks", checks);
        snooze_plugin_log(LOG_NOTICE, "was asked");
        return snooze_plugin_call_set_answer(call, true);
}

/* Its last statement, which the compiler makes a jump of: it returns to no code of this object. */
static void stop(void *userdata) {
        snooze_plugin_log(LOG_NOTICE, "shuts down");
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        return snooze_plugin_call_set_state(call, 1, &checks, sizeof(checks));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        if (version != 1 || size != sizeof(checks))
                return -EINVAL;
        memcpy(&checks, data, size);
        return 0;
}

static const SnoozePluginSetting settings[] = {
        { .name = "mode", .type = SNOOZE_PLUGIN_STRING, .default_value = "idle" },
        { .name = NULL },
};
static const char *const methods[] = { "finish", NULL };
static const SnoozePlugin plugin = {
        .size = sizeof(SnoozePlugin),
        .id = "one",
        .version = "1.0.0",
        .settings = settings,
        .start = start,
        .shutdown = stop,
        .check_idle = check_idle,
        .export_state = export_state,
        .import_state = import_state,
        .methods = methods,
        .handle_request = handle_request,
};

SNOOZE_PLUGIN_NATIVE(plugin)
