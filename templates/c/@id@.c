/* SPDX-License-Identifier: Apache-2.0 */

/* @title@: holds the machine awake while a file is there. Replace this by what your plugin knows. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <snooze/plugin.h>

static SnoozePluginInstance *instance;

static int start(SnoozePluginInstance *i, void *userdata) {
        (void) userdata;
        instance = i;
        return 0;
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        const char *path = snooze_plugin_instance_get_string(instance, "path");
        struct stat st;

        (void) metrics;
        (void) userdata;
        if (stat(path, &st) >= 0)
                return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_BUSY, "%s is there", path);
        if (errno != ENOENT)
                return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_UNKNOWN, "%s: %s", path, strerror(errno));
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "%s is not there", path);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { .name = "path",
                  .type = SNOOZE_PLUGIN_STRING,
                  .constraints = "/^\\//",
                  .default_value = "/run/@id@.lock" },
                { .name = NULL },
        };
        static const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "@id@",
                .version = "0.1.0",
                .description = "Holds the machine awake while a file is there",
                .settings = settings,
                .start = start,
                .check_idle = check_idle,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
