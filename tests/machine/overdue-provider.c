/* SPDX-License-Identifier: Apache-2.0 */

/* A provider that takes its time to stop the machine: asked first it is stuck as a whole, asked again it is well and
 * never answers, and the third time it says yes. It has one life for each: what was asked stands in
 * $STATE_DIRECTORY/asked, a line for each time, with the process and whether the one asked before was still there. */

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <snooze/plugin.h>

static unsigned times;
static int last;

static FILE *open_asked(const char *mode) {
        const char *directory = getenv("STATE_DIRECTORY");
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/asked", directory ? directory : "");
        return fopen(path, mode);
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        FILE *file = open_asked("re");

        while (file && fscanf(file, "%d %*s\n", &last) == 1)
                times++;
        if (file)
                fclose(file);
        return 0;
}

static int note(void) {
        FILE *file = open_asked("ae");

        if (!file)
                return -errno;
        fprintf(file, "%d %s\n", (int) getpid(), last > 0 && kill(last, 0) == 0 ? "beside" : "alone");
        fclose(file);
        times++;
        last = getpid();
        return 0;
}

static const char *stop_effect(void *userdata) {
        return "stops-billing";
}

static int detect(SnoozePluginCall *call, void *userdata) {
        return snooze_plugin_call_set_answer(call, true);
}

static int get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        snooze_plugin_dictionary_set_string(result, "id", "i-overdue");
        snooze_plugin_dictionary_set_string(result, "state", times < 3 ? "running" : "stopping");
        return 0;
}

static int stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata) {
        int r = note();

        if (r < 0)
                return r;
        while (times == 1)
                pause();
        return times == 2 ? SNOOZE_PLUGIN_LATER : 0;
}

int main(int argc, char *argv[]) {
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "overdue",
                .version = "1.0.0",
                .start = start,
                .provider_name = "Overdue",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = get_instance_info,
                .stop_instance = stop_instance,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
