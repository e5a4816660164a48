/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin whose answers its configuration chooses: what the library does with each is what test-sdk.py looks at. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <snooze/plugin.h>

#include "installed-version.h"

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
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "mode: impossible is impossible");
        strncpy(mode, value, sizeof(mode) - 1);
        return 0;
}

static int fill_details(SnoozePluginDictionary *details, const SnoozePluginDictionary *metrics) {
        SnoozePluginDictionary *vote;

        snooze_plugin_dictionary_set_uint(details, "last_activity", 1700000000000000);
        snooze_plugin_dictionary_set_double(details, "cpu",
                                            snooze_plugin_dictionary_get_double(metrics, "cpu_usage", -1));
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
        if (strcmp(mode, "at-once") == 0) {
                snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_BUSY, "sooner than it thought");
                snooze_plugin_call_finish(call, 0);
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
        if (strcmp(mode, "hung") == 0)
                return SNOOZE_PLUGIN_LATER;
        return snooze_plugin_call_set_state(call, 1, mode, strlen(mode));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        if (version != 1 || size >= sizeof(mode))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "not a state of this plugin");
        memcpy(mode, data, size);
        mode[size] = 0;
        return 0;
}

static int watch(SnoozePluginCall *call, void *userdata) {
        return 0;
}

static int acknowledge(SnoozePluginCall *call, const char *event_id, void *userdata) {
        snooze_plugin_log(LOG_NOTICE, "acknowledged %s", event_id);
        return 0;
}

/* Params: id, and type where it is announced. */
static int announce(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params) {
        const char *id = snooze_plugin_dictionary_get_string(params, "id", "");
        SnoozePluginDictionary *data = snooze_plugin_dictionary_new();
        int r;

        if (strcmp(method, "cancel") == 0) {
                snooze_plugin_dictionary_free(data);
                r = snooze_plugin_instance_cancel_event(instance, id);
        } else {
                snooze_plugin_dictionary_set_string(data, "action", "stop");
                r = snooze_plugin_instance_emit_event(instance, id,
                                                      snooze_plugin_dictionary_get_string(params, "type", NULL), 2,
                                                      1800000000000000, data);
        }
        return r < 0 ? r : snooze_plugin_call_set_answer(call, true);
}

static int get_settings(SnoozePluginCall *call) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);
        const char *const *names = snooze_plugin_instance_get_list(instance, "names");

        snooze_plugin_dictionary_set_string(result, "mode",
                                            snooze_plugin_instance_get_string(instance, "mode") ?: "none");
        snooze_plugin_dictionary_set_int(result, "percent", snooze_plugin_instance_get_integer(instance, "percent"));
        snooze_plugin_dictionary_set_double(result, "ratio", snooze_plugin_instance_get_number(instance, "ratio"));
        snooze_plugin_dictionary_set_bool(result, "quick", snooze_plugin_instance_get_boolean(instance, "quick"));
        snooze_plugin_dictionary_set_strv(result, "names", names);
        return snooze_plugin_call_set_answer(call, true);
}

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        if (strcmp(method, "begin-work") == 0)
                snooze_plugin_instance_begin_work(instance);
        else if (strcmp(method, "end-work") == 0)
                snooze_plugin_instance_end_work(instance);
        else if (strcmp(method, "settings") == 0)
                return get_settings(call);
        else
                return announce(call, method, params);
        return snooze_plugin_call_set_answer(call, true);
}

static int process_data(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        char reversed[256];

        if (size > sizeof(reversed))
                return snooze_plugin_call_set_data(call, data, size);
        for (size_t i = 0; i < size; i++)
                reversed[i] = ((const char *) data)[size - 1 - i];
        return snooze_plugin_call_set_data(call, reversed, size);
}

/* Each byte one more, and how many there were. */
static uint64_t counted;

static int add_one(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        char block[65536];

        if (size == 0)
                return snooze_plugin_dictionary_set_uint(snooze_plugin_call_get_result(call), "bytes", counted);
        counted += size;
        for (size_t i = 0; i < size; i++)
                block[i] = (char) (((const char *) data)[i] + 1);
        return snooze_plugin_call_write(call, block, size);
}

static int refuse_stream(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_REFUSED, "not this stream");
}

static int copy_in_thread(SnoozePluginCall *call, void *userdata) {
        int input = snooze_plugin_call_get_input(call), output = snooze_plugin_call_get_output(call);
        uint64_t bytes = 0;
        char block[65536];
        ssize_t n;

        while ((n = read(input, block, sizeof(block))) > 0)
                for (ssize_t done = 0, m; done < n; done += m, bytes += (uint64_t) m) {
                        m = write(output, block + done, (size_t) (n - done));
                        if (m < 0)
                                return -errno;
                }
        return n < 0 ? -errno : snooze_plugin_dictionary_set_uint(snooze_plugin_call_get_result(call), "bytes", bytes);
}

/* A stream that uses its pipes itself, by a source of its own. */
typedef struct OwnStream {
        SnoozePluginCall *call;
        sd_event_source *source;
} OwnStream;

static void own_stream_end(OwnStream *stream, int result) {
        sd_event_source_disable_unref(stream->source);
        snooze_plugin_call_finish(stream->call, result);
        free(stream);
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        OwnStream *stream = userdata;
        char block[4096];
        ssize_t n = read(fd, block, sizeof(block));

        if (n > 0 && write(snooze_plugin_call_get_output(stream->call), block, (size_t) n) == n)
                return 0;
        own_stream_end(stream, n < 0 ? -errno : 0);
        return 0;
}

static void on_abandoned(SnoozePluginCall *call, void *userdata) {
        own_stream_end(userdata, -ECANCELED);
}

static int stream_by_itself(SnoozePluginCall *call, bool told) {
        OwnStream *stream = calloc(1, sizeof(OwnStream));
        int r = stream ? 0 : -ENOMEM;

        if (r >= 0)
                r = sd_event_add_io(snooze_plugin_instance_get_event(instance), &stream->source,
                                    snooze_plugin_call_get_input(call), EPOLLIN, on_readable, stream);
        if (r >= 0 && told)
                r = snooze_plugin_call_on_abandoned(call, on_abandoned, stream);
        if (r < 0) {
                free(stream);
                return r;
        }
        stream->call = call;
        return SNOOZE_PLUGIN_LATER;
}

static int process_stream(SnoozePluginCall *call, int input, int output, const SnoozePluginDictionary *options,
                          void *userdata) {
        const char *how = snooze_plugin_dictionary_get_string(options, "how", ""),
                   *refusal = getenv("EXAMPLE_REFUSES_STREAMS");

        if (refusal)
                return snooze_plugin_call_fail(call, refusal, "not this stream");
        if (strcmp(how, "thread") == 0)
                return snooze_plugin_call_run_in_thread(call, copy_in_thread, NULL);
        if (strcmp(how, "itself") == 0 || strcmp(how, "untold") == 0)
                return stream_by_itself(call, strcmp(how, "itself") == 0);
        if (strcmp(how, "copy") == 0)
                return snooze_plugin_call_filter(call, NULL, NULL);
        if (strcmp(how, "refuse") == 0)
                return snooze_plugin_call_filter(call, refuse_stream, NULL);
        counted = 0;
        return snooze_plugin_call_filter(call, add_one, NULL);
}

int main(int argc, char *argv[]) {
        static char version[32] = "1.2.0";
        static const SnoozePluginSetting settings[] = {
                { "mode", SNOOZE_PLUGIN_STRING },
                { "percent", SNOOZE_PLUGIN_INTEGER, 0, 100 },
                { .name = "ratio", .type = SNOOZE_PLUGIN_NUMBER, .default_value = "0.5" },
                { .name = "names",
                  .type = SNOOZE_PLUGIN_LIST,
                  .constraints = "/^[a-z]+$/",
                  .default_value = "one,two" },
                { .name = "quick", .type = SNOOZE_PLUGIN_BOOLEAN, .default_value = "true" },
                { .name = "colour", .type = SNOOZE_PLUGIN_STRING, .constraints = "red|green" },
                { NULL },
        };
        static const char *const events[] = { "snooze.stop.pending", "custom.*", NULL };
        static const char *const methods[] = { "begin-work", "end-work", "settings", "announce", "cancel", NULL };
        SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "example",
                .version = version,
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
                .watch = watch,
                .acknowledge = acknowledge,
                .process_data = process_data,
                .process_stream = process_stream,
        };

        if (getenv("EXAMPLE_WORKS_ON_BLOCKS"))
                plugin.process_stream = NULL;
        read_installed_version(version, sizeof(version));
        return snooze_plugin_main(&plugin, argc, argv);
}
