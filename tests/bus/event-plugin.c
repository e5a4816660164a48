/* SPDX-License-Identifier: Apache-2.0 */

/* A source and a handler of events, for eventful.py: the id is the name under which the program lies, and what
 * happens to it is told by a signal on the bus, test.Event.Noted, with the moment, because a bus need not carry
 * signals of two senders in their order. Methods of RequestHandler make it announce and answer. */

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include <snooze/plugin.h>

#include "base/clock.h"

#define WAITING_MAX 256U

static SnoozePluginInstance *instance;
static SnoozePluginCall *waiting[WAITING_MAX];
static unsigned n_waiting;
static unsigned burst_next, burst_end;
static char begun[64]; /* id of the event that it was asked last about */

static void note(const char *what, const char *id) {
        char line[256];

        (void) snprintf(line, sizeof(line), "%s %s %s", program_invocation_short_name, what, id);
        (void) sd_bus_emit_signal(snooze_plugin_instance_get_bus(instance), "/io/cloudsnooze/Plugin1", "test.Event",
                                  "Noted", "st", line, clock_monotonic());
        /* Whoever ends right after this has said it. */
        (void) sd_bus_flush(snooze_plugin_instance_get_bus(instance));
}

static int start(SnoozePluginInstance *i, void *userdata) {
        instance = i;
        return 0;
}

static bool is(const char *mode) {
        return strcmp(snooze_plugin_instance_get_string(instance, "mode"), mode) == 0;
}

/* To be asked before the word of what it does, at which a test may let it survive the next time. */
static bool dies_in(const char *mode) {
        return is(mode) && access(getenv("SURVIVE") ?: "", F_OK) < 0;
}

/* What programs wrote, one of them deeper. */
static int answer_with_output(SnoozePluginCall *call) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        SnoozePluginDictionary *part = snooze_plugin_dictionary_append_dictionary(result, "parts");

        snooze_plugin_dictionary_set_string(part, "other_output", "hunter2");
        snooze_plugin_dictionary_set_string(part, "kept", "yes");
        snooze_plugin_dictionary_set_string(result, "script_output", "+ KEY=hunter2");
        snooze_plugin_dictionary_set_string(result, "kept", "yes");
        return snooze_plugin_call_set_answer(call, true);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const char *id = snooze_plugin_dictionary_get_string(event, "id", "");
        bool cancelled = snooze_plugin_dictionary_get_bool(event, "cancelled", false), dies = dies_in("die");
        bool moved = snooze_plugin_dictionary_get_bool(event, "moved", false);

        if (is("output"))
                return answer_with_output(call);
        if (!is("quiet"))
                note(cancelled ? "cancelled" : moved ? "moves" : "handles", id);
        snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "source",
                                            snooze_plugin_dictionary_get_string(event, "source", ""));
        snooze_plugin_dictionary_set_uint(snooze_plugin_call_get_result(call), "entered", clock_monotonic());
        snooze_plugin_dictionary_set_uint(snooze_plugin_call_get_result(call), "budget",
                                          snooze_plugin_dictionary_get_uint(event, "budget", 0));
        snooze_plugin_dictionary_set_uint(snooze_plugin_call_get_result(call), "left",
                                          snooze_plugin_call_get_time_left(call));
        if (cancelled)
                return snooze_plugin_call_set_answer(call, false);
        (void) snprintf(begun, sizeof(begun), "%s", id);
        if (dies)
                _exit(1);
        if (is("block"))
                while (access(getenv("SURVIVE") ?: "/", F_OK) < 0)
                        (void) poll(NULL, 0, 10);
        if (is("wait") && n_waiting < WAITING_MAX) {
                waiting[n_waiting++] = call;
                return SNOOZE_PLUGIN_LATER;
        }
        return snooze_plugin_call_set_answer(call, !is("decline"));
}

static int go_on(void) {
        char id[32];
        int r = 0;

        while (burst_next < burst_end && r >= 0) {
                (void) snprintf(id, sizeof(id), "%06u", burst_next);
                r = snooze_plugin_instance_emit_event(instance, id, "custom.burst", burst_next % 4, 0, NULL);
                if (r >= 0)
                        burst_next++;
        }
        return r == -ENOBUFS ? 0 : r;
}

static int watch(SnoozePluginCall *call, void *userdata) {
        note("is watched", "");
        return 0;
}

static int acknowledge(SnoozePluginCall *call, const char *event_id, void *userdata) {
        bool dies = dies_in("die at acknowledge");

        if (burst_end > 0)
                return go_on();
        note("acknowledges", event_id);
        if (dies)
                _exit(1);
        return 0;
}

/* The cloud's voice, where the manifest says so; of a cloud in which this machine is not. */
static const char *stop_effect(void *userdata) {
        return "unknown";
}

static int detect(SnoozePluginCall *call, void *userdata) {
        return snooze_plugin_call_set_answer(call, false);
}

static int get_instance_info(SnoozePluginCall *call, const char *instance_id, void *userdata) {
        return -ENODEV;
}

static int stop_instance(SnoozePluginCall *call, const char *instance_id, const SnoozePluginDictionary *options,
                         void *userdata) {
        return -ENODEV;
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        return snooze_plugin_call_set_state(call, 1, begun, strlen(begun));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        (void) snprintf(begun, sizeof(begun), "%.*s", (int) size, (const char *) data);
        note("knows", begun);
        return 0;
}

static void release(void) {
        for (unsigned i = 0; i < n_waiting; i++) {
                (void) snooze_plugin_call_set_answer(waiting[i], true);
                snooze_plugin_call_finish(waiting[i], 0);
        }
        n_waiting = 0;
}

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        const char *id = snooze_plugin_dictionary_get_string(params, "id", "");
        int r = 0;

        if (strcmp(method, "announce") == 0)
                r = snooze_plugin_instance_emit_event(
                        instance, id, snooze_plugin_dictionary_get_string(params, "type", "custom.test"),
                        (unsigned) snooze_plugin_dictionary_get_int(params, "severity", 0),
                        snooze_plugin_dictionary_get_uint(params, "deadline", 0), NULL);
        else if (strcmp(method, "cancel") == 0)
                r = snooze_plugin_instance_cancel_event(instance, id);
        else if (strcmp(method, "burst") == 0) {
                burst_end = (unsigned) snooze_plugin_dictionary_get_int(params, "count", 0);
                r = go_on();
        } else
                release();
        return r < 0 ? r : snooze_plugin_call_set_answer(call, true);
}

int main(int argc, char *argv[]) {
        static const char *const events[] = { "custom.*", "cloud.*", "snooze.stop.pending", NULL };
        static const char *const methods[] = { "announce", "cancel", "burst", "release", NULL };
        static const SnoozePluginSetting settings[] = {
                { .name = "mode", .type = SNOOZE_PLUGIN_STRING, .default_value = "answer" }, {}
        };
        const SnoozePlugin plugin = {
                .size = sizeof(plugin),
                .id = program_invocation_short_name,
                .version = "1.0.0",
                .settings = settings,
                .start = start,
                .supported_events = events,
                .handle_event = handle_event,
                .provider_name = "Test",
                .stop_effect = stop_effect,
                .detect = detect,
                .get_instance_info = get_instance_info,
                .stop_instance = stop_instance,
                .watch = watch,
                .acknowledge = acknowledge,
                .methods = methods,
                .handle_request = handle_request,
                .export_state = export_state,
                .import_state = import_state,
        };

        return snooze_plugin_main(&plugin, argc, argv);
}
