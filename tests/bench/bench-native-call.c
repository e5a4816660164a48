/* SPDX-License-Identifier: Apache-2.0 */

/* Row "native call": CheckIdle of a running native plugin as a round asks it (native_check()), beside a call of the
 * library's function by its pointer with the same bookkeeping: the answer is held against the same rules, made a vote,
 * counted, and told in the next turn of the loop, for whoever asks is not to be answered while he asks. */

#include <dlfcn.h>
#include <unistd.h>

#include <snooze/native.h>

#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bench.h"
#include "daemon/native/native.h"
#include "daemon/plugin/plugin.h"

#define ROUNDS 301U
#define CALLS 2000U
#define GOAL 2.0
#define ID "native-idle"

typedef struct Subject {
        BenchBus bus;
        sd_event *event;
        sd_event_source *told; /* the bare call's */
        sd_bus *connection;
        Config *config;
        Plugins *plugins;
        Plugin *plugin;
        unsigned answers;
} Subject;

static Subject subject;
static Statistics statistics;
static uint64_t begun;
static CheckAnswer bare_answer;

static void on_vote(Vote *vote, void *userdata) {
        vote_free(vote);
}

static void on_changed(Plugin *plugin, PluginState previous, const char *reason, void *userdata) {
}

static void on_problem(const char *source, const char *message, void *userdata) {
        g_error("%s: %s", source, message);
}

static void on_settled(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        if (error)
                g_error("the plugin does not start: %s", error->message);
        subject.answers++;
}

static char *beside_me(const char *name) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *directory = g_path_get_dirname(self);

        return g_build_filename(directory, name, NULL);
}

/* What came with CloudSnooze lies where packages put it; this one does not. */
static void make_official(Manifest *manifest) {
        g_free(manifest->directory);
        manifest->directory = g_strdup(PKGPLUGINDIR);
}

static void prepare(const char *object) {
        g_autofree char *manifest =
                g_strdup_printf("{\"name\": \"" ID "\", \"version\": \"1.0.0\", \"official\": true, "
                                "\"runtime\": \"native\", \"exec\": \"%s\", \"contracts\": [\"IdleCheck\"]}",
                                object);

        bench_bus_prepare(&subject.bus);
        bench_write(subject.bus.directory, "plugins/" ID "/plugin.json", manifest);
        bench_write(subject.bus.directory, "state/enabled/" ID, "");
        bench_bus_start(&subject.bus);
}

static void begin(const char *object) {
        g_autofree char *directory = NULL, *state = NULL;

        prepare(object);
        directory = g_build_filename(subject.bus.directory, "plugins", NULL);
        state = g_build_filename(subject.bus.directory, "state", NULL);
        bench_check(sd_event_new(&subject.event), "event loop");
        subject.connection = bench_bus_connect(subject.event);
        subject.config = config_new_default();
        subject.config->plugins_native_enabled = TRUE;
        bench_check(plugins_new(&(PluginsParameters){ .bus = subject.connection,
                                                      .event = subject.event,
                                                      .config = subject.config,
                                                      .directories = (const char *const[]){ directory, NULL },
                                                      .state_directory = state,
                                                      .config_directory = subject.bus.directory,
                                                      .vote = on_vote,
                                                      .changed = on_changed,
                                                      .problem = on_problem },
                                &subject.plugins),
                    "plugins");
        subject.plugin = plugins_find(subject.plugins, ID);
        if (!subject.plugin || !subject.plugin->manifest)
                g_error("%s", subject.plugin ? plugin_last_error(subject.plugin) : ID " was not found");
        make_official(subject.plugin->manifest);
        plugin_load(subject.plugin, on_settled, NULL);
        while (subject.answers < 1)
                bench_check(sd_event_run(subject.event, UINT64_MAX), "event loop");
}

static void end(void) {
        plugins_free(subject.plugins);
        config_unref(subject.config);
        sd_bus_flush_close_unref(subject.connection);
        sd_event_source_disable_unref(subject.told);
        sd_event_unref(subject.event);
        bench_bus_end(&subject.bus);
}

static void on_checked(Plugin *plugin, CheckAnswer *answer, const char *problem) {
        if (problem)
                g_error("%s", problem);
        subject.answers += answer->votes->len;
}

static double ask_by_layer(JsonObject *metrics) {
        double from = bench_now_usec();

        subject.answers = 0;
        for (unsigned i = 0; i < CALLS; i++) {
                subject.plugin->check.metrics = metrics;
                subject.plugin->check.begun = clock_monotonic();
                if (!native_check(subject.plugin, on_checked))
                        g_error("it cannot be asked");
                while (subject.answers == i)
                        bench_check(sd_event_run(subject.event, UINT64_MAX), "event loop");
        }
        subject.plugin->check.metrics = NULL;
        return (bench_now_usec() - from) * 1000 / CALLS;
}

static void on_answered(const SnoozePluginNativeVote *vote, void *userdata) {
        g_autoptr(JsonObject) details = json_object_new();
        g_autofree char *problem = NULL;
        uint64_t now = clock_monotonic();

        if (check_answer_make(ID, VERDICT_IDLE, vote->reason, details, begun, now, clock_realtime(), &bare_answer,
                              &problem) < 0)
                g_error("%s", problem);
        statistics_add_duration(&statistics, usec_sub(now, begun));
        bench_check(sd_event_source_set_enabled(subject.told, SD_EVENT_ONESHOT), "event loop");
}

static int on_told(sd_event_source *source, void *userdata) {
        subject.answers += bare_answer.votes->len;
        check_answer_clear(&bare_answer);
        return 0;
}

static double ask_by_pointer(__typeof__(snooze_plugin_native_check_idle) *check_idle, SnoozePluginNative *native) {
        double from = bench_now_usec();

        subject.answers = 0;
        for (unsigned i = 0; i < CALLS; i++) {
                begun = clock_monotonic();
                bench_check(check_idle(native, NULL, on_answered, NULL), "CheckIdle");
                while (subject.answers == i)
                        bench_check(sd_event_run(subject.event, UINT64_MAX), "event loop");
        }
        return (bench_now_usec() - from) * 1000 / CALLS;
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 3 : ROUNDS;
        g_autofree char *path = beside_me("native-idle.so");
        g_autoptr(JsonObject) metrics = json_object_new();
        static double layer[ROUNDS], pointer[ROUNDS];
        __typeof__(snooze_plugin_native_check_idle) *check_idle;
        void *object;

        bench_pin();
        bench_check(errors_register(), "errors");
        json_object_set_double_member(metrics, "cpu_usage", 1.5);
        begin(path);
        bench_check(sd_event_add_defer(subject.event, &subject.told, on_told, NULL), "event loop");
        bench_check(sd_event_source_set_enabled(subject.told, SD_EVENT_OFF), "event loop");
        object = dlopen(path, RTLD_NOW);
        *(void **) &check_idle = object ? dlsym(object, "snooze_plugin_native_check_idle") : NULL;
        if (!check_idle)
                g_error("%s", dlerror());
        for (unsigned i = 0; i < rounds; i++) {
                layer[i] = ask_by_layer(metrics);
                pointer[i] = ask_by_pointer(check_idle, native_instance(subject.plugin->process->native));
        }
        end();

        bench_print(&(BenchRow){ .name = "native call",
                                 .unit = "ns",
                                 .value = bench_median(layer, rounds),
                                 .beside = bench_median(pointer, rounds),
                                 .goal = GOAL },
                    1);
        return 0;
}
