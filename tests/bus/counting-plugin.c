/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin whose state is how often it was called, in one of many versions: which one, and what goes wrong with it,
 * stands in files beside its program. version: what it calls itself. behaviour: words, see is(). Its id is the name
 * under which the program lies.
 *
 * Format 1 of its state is the count in decimal, format 2 (the word "format2") puts "count " before it; who writes 2
 * reads both. */

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <snooze/plugin.h>

static char version[32], behaviour[256];
static bool initialized, blocked;
static unsigned long count;
static void *ballast; /* "big": what makes the state a megabyte */
static size_t ballast_size;

static bool is(const char *word) {
        size_t n = strlen(word);

        for (const char *p = behaviour; (p = strstr(p, word)); p += n)
                if ((p == behaviour || p[-1] == ' ') && (p[n] == 0 || p[n] == ' '))
                        return true;
        return false;
}

static FILE *open_beside(const char *name, const char *mode) {
        char path[PATH_MAX] = "", *slash;

        if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
                abort();
        slash = strrchr(path, '/');
        snprintf(slash + 1, sizeof(path) - (size_t) (slash + 1 - path), "%s", name);
        return fopen(path, mode);
}

static void read_beside(const char *name, char *text, size_t size) {
        FILE *file = open_beside(name, "re");

        if (!file)
                return;
        if (!fgets(text, (int) size, file))
                text[0] = 0;
        text[strcspn(text, "\n")] = 0;
        fclose(file);
}

static int never(SnoozePluginCall *call) {
        return SNOOZE_PLUGIN_LATER;
}

/* Notes that it was asked, and goes on when somebody has opened the pipe "go" to write. */
static void note_and_wait(void) {
        FILE *file = open_beside("asked", "we");

        if (!file)
                abort();
        fclose(file);
        file = open_beside("go", "re");
        if (!file)
                abort();
        fclose(file);
}

static int initialize(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        if (is("refuses-configuration"))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT, "not with me");
        if (is("waits-at-initialize"))
                note_and_wait();
        if (is("hangs-at-initialize"))
                return never(call);
        if (is("dies-at-initialize"))
                abort();
        initialized = true;
        return 0;
}

static int note_and_hang(SnoozePluginCall *call) {
        FILE *file = open_beside("asked", "we");

        if (!file)
                abort();
        fclose(file);
        return never(call);
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        if (is("hangs-at-check"))
                return note_and_hang(call);
        snooze_plugin_call_set_verdict(call, initialized ? SNOOZE_PLUGIN_IDLE : SNOOZE_PLUGIN_BUSY, "%s", version);
        return 0;
}

static char early[64]; /* what it knew when it was asked first */

static int export_late(SnoozePluginCall *call, void *userdata) {
        note_and_wait();
        return snooze_plugin_call_set_state(call, 1, early, strlen(early) + 1);
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        char text[64];

        if (is("exports-late") && !*early) {
                snprintf(early, sizeof(early), "%lu", count);
                return snooze_plugin_call_run_in_thread(call, export_late, NULL);
        }
        if (is("hangs-at-export"))
                return note_and_hang(call);
        if (is("refuses-export"))
                return -EIO;
        if (is("dies-at-export"))
                abort();
        snprintf(text, sizeof(text), is("format2") ? "count %lu" : "%lu", count);
        if (!is("big"))
                return snooze_plugin_call_set_state(call, is("format2") ? 2 : 1, text, strlen(text) + 1);
        if (!ballast) {
                ballast_size = 1000000;
                ballast = calloc(1, ballast_size);
        }
        if (!ballast)
                return -ENOMEM;
        memcpy(ballast, text, strlen(text) + 1);
        return snooze_plugin_call_set_state(call, is("format2") ? 2 : 1, ballast, ballast_size);
}

static int import_state(SnoozePluginCall *call, uint32_t format, const void *data, size_t size, void *userdata) {
        const char *text = data;

        if (is("hangs-at-import"))
                return never(call);
        if (is("dies-at-import"))
                abort();
        if (is("refuses-import") || format > (is("format2") ? 2U : 1U) || size == 0 || !memchr(text, 0, size))
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "format %u is nothing for %s", format, version);
        count = strtoul(format == 2 ? text + strlen("count ") : text, NULL, 10);
        return 0;
}

static const char *const methods[] = { "count", "look", "die", "hang", "wait", NULL };

static int handle_request(SnoozePluginCall *call, const char *method, const SnoozePluginDictionary *params,
                          void *userdata) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        if (!initialized || strcmp(method, "die") == 0 || is("dies-at-work"))
                abort();
        if (strcmp(method, "hang") == 0)
                return never(call);
        if (strcmp(method, "wait") == 0)
                note_and_wait();
        if (strcmp(method, "count") == 0)
                count++;
        snooze_plugin_dictionary_set_uint(result, "count", count);
        snooze_plugin_dictionary_set_uint(result, "pid", (uint64_t) getpid());
        snooze_plugin_dictionary_set_string(result, "version", version);
        return snooze_plugin_call_set_answer(call, true);
}

static const char *const events[] = { "custom.*", "cloud.*", NULL };

/* A line for each that any version is handed. */
static void note_event(const SnoozePluginDictionary *event) {
        FILE *file = open_beside("events", "ae");

        if (!file)
                abort();
        fprintf(file, "%s %s %llu%s%s\n", version, snooze_plugin_dictionary_get_string(event, "id", ""),
                (unsigned long long) snooze_plugin_dictionary_get_uint(event, "deadline", 0),
                snooze_plugin_dictionary_get_bool(event, "moved", false) ? " moved" : "",
                snooze_plugin_dictionary_get_bool(event, "cancelled", false) ? " cancelled" : "");
        fclose(file);
}

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(call);

        note_event(event);
        if (is("blocks-at-its-first-event") && !blocked) {
                blocked = true;
                note_and_wait();
        }
        snooze_plugin_dictionary_set_string(result, "version", version);
        snooze_plugin_dictionary_set_uint(result, "budget", snooze_plugin_dictionary_get_uint(event, "budget", 0));
        return snooze_plugin_call_set_answer(call, true);
}

static int process_data(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        return snooze_plugin_call_set_data(call, data, size);
}

static int process_stream(SnoozePluginCall *call, int input, int output, const SnoozePluginDictionary *options,
                          void *userdata) {
        return snooze_plugin_call_filter(call, NULL, NULL);
}

int main(int argc, char *argv[]) {
        static SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .version = version,
                .initialize = initialize,
                .check_idle = check_idle,
                .export_state = export_state,
                .import_state = import_state,
                .methods = methods,
                .handle_request = handle_request,
                .supported_events = events,
                .handle_event = handle_event,
                .process_data = process_data,
                .process_stream = process_stream,
        };

        plugin.id = program_invocation_short_name;
        read_beside("version", version, sizeof(version));
        read_beside("behaviour", behaviour, sizeof(behaviour));
        if (is("dies-at-start"))
                return 1;
        return snooze_plugin_main(&plugin, argc, argv);
}
