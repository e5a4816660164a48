/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin whose answers its configuration chooses: what the library does with each is what test-sdk.py looks at. */

#include <errno.h>
#include <string.h>

#include <snooze/plugin.h>

static char mode[32];
static SnoozePluginInstance *instance;
static SnoozePluginCall *waiting;

static int start(SnoozePluginInstance *i, void *userdata) {
        instance = i;
        return 0;
}

static int initialize(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *value = snooze_plugin_dictionary_get_string(config, "mode", "idle");

        if (strcmp(value, "impossible") == 0)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "mode: impossible is impossible");
        strncpy(mode, value, sizeof(mode) - 1);
        return 0;
}

static int fill_details(SnoozePluginDictionary *details, const SnoozePluginDictionary *metrics) {
        SnoozePluginDictionary *vote;

        snooze_plugin_dictionary_set_uint(details, "last_activity", 1700000000000000);
        snooze_plugin_dictionary_set_double(details, "cpu", snooze_plugin_dictionary_get_double(metrics, "cpu_usage", -1));
        for (unsigned i = 0; i < 2; i++) {
                vote = snooze_plugin_dictionary_append_dictionary(details, "votes");
                snooze_plugin_dictionary_set_string(vote, "name", i == 0 ? "first" : "second");
                snooze_plugin_dictionary_set_string(vote, "verdict", "idle");
                snooze_plugin_dictionary_set_string(vote, "reason", "nothing there");
        }
        return 0;
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        if (strcmp(mode, "silent") == 0)
                return 0;
        if (strcmp(mode, "failing") == 0)
                return -ENOENT;
        if (strcmp(mode, "later") == 0) {
                waiting = call;
                return SNOOZE_PLUGIN_LATER;
        }
        if (strcmp(mode, "foul") == 0) {
                snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "na\xffme", "\xc3(\xa0");
                snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_BUSY, "%s", "two\nlines \x1b[2J\xff");
                return 0;
        }
        if (strcmp(mode, "infinite") == 0)
                snooze_plugin_dictionary_set_double(snooze_plugin_call_get_result(call), "x", 1.0 / 0.0);
        snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "nothing to do");
        snooze_plugin_call_add_metric(call, "gpu_usage", 1.5);
        return fill_details(snooze_plugin_call_get_result(call), metrics);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");

        if (waiting) {
                snooze_plugin_call_set_verdict(waiting, SNOOZE_PLUGIN_BUSY, "an event came");
                snooze_plugin_call_finish(waiting, 0);
                waiting = NULL;
        }
        snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "reason",
                                            snooze_plugin_dictionary_get_string(data, "reason", ""));
        return snooze_plugin_call_set_answer(call, true);
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        return snooze_plugin_call_set_state(call, 1, mode, strlen(mode));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        if (version != 1 || size >= sizeof(mode))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "not a state of this plugin");
        memcpy(mode, data, size);
        mode[size] = 0;
        return 0;
}

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params, void *userdata) {
        if (strcmp(method, "begin-work") == 0)
                snooze_plugin_instance_begin_work(instance);
        else if (strcmp(method, "end-work") == 0)
                snooze_plugin_instance_end_work(instance);
        return snooze_plugin_call_set_answer(call, true);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "mode", SNOOZE_PLUGIN_STRING },
                { "percent", SNOOZE_PLUGIN_INTEGER, 0, 100 },
                { "ratio", SNOOZE_PLUGIN_NUMBER },
                { "names", SNOOZE_PLUGIN_LIST },
                { "quick", SNOOZE_PLUGIN_BOOLEAN },
                { NULL },
        };
        static const char *const events[] = { "snooze.stop.pending", "custom.*", NULL };
        static const char *const methods[] = { "begin-work", "end-work", NULL };
        static const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "example",
                .version = "1.2",
                .settings = settings,
                .start = start,
                .initialize = initialize,
                .check_idle = check_idle,
                .supported_events = events,
                .handle_event = handle_event,
                .export_state = export_state,
                .import_state = import_state,
                .methods = methods,
                .handle_request = handle_request,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
