/* SPDX-License-Identifier: Apache-2.0 */

/* Row "native call": CheckIdle of a native plugin as the daemon asks it, beside a call of the library's function
 * pointer by hand. Both read the clock, count the duration and make a vote of the answer; what is measured is what the
 * daemon's layer adds to that. */

#include <dlfcn.h>
#include <unistd.h>

#include <snooze/native.h>

#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bench.h"
#include "daemon/native/native.h"
#include "daemon/plugin/channel.h"
#include "daemon/plugin/statistics.h"
#include "daemon/decision/decision.h"

#define ROUNDS 301U
#define CALLS 2000U
#define GOAL 2.0

typedef struct Subject {
        sd_event *event;
        Channel *channel;
        Native *native;
        unsigned answers;
} Subject;

static Statistics statistics;
static unsigned votes;

static void take(const char *reason, Verdict verdict, uint64_t begun, JsonObject *details) {
        uint64_t now = clock_monotonic();
        Vote *vote = vote_new("native-idle", verdict, reason, begun, now);

        vote->details = json_object_ref(details);
        statistics_add_duration(&statistics, usec_sub(now, begun));
        vote_free(vote);
        votes++;
}

static void on_broken(const char *reason, void *userdata) {
        g_error("the channel %s", reason);
}

static void on_leaving(void *userdata) {
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Subject *subject = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                g_error("%s", sd_bus_message_get_error(m)->message);
        subject->answers++;
        return 0;
}

static void greet(Subject *subject) {
        sd_bus *bus = channel_bus(subject->channel);

        bench_check(sd_bus_call_method_async(bus, NULL, NULL, PLUGIN_PATH, PLUGIN_INTERFACE, "Handshake", on_answer,
                                             subject, "us", 1, "0"),
                    "Handshake");
        bench_check(sd_bus_call_method_async(bus, NULL, NULL, PLUGIN_PATH, PLUGIN_INTERFACE, "Initialize", on_answer,
                                             subject, "a{sv}", 0),
                    "Initialize");
        while (subject->answers < 2)
                bench_check(sd_event_run(subject->event, UINT64_MAX), "loop");
}

static char *beside_me(const char *name) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *directory = g_path_get_dirname(self);

        return g_build_filename(directory, name, NULL);
}

static void begin(Subject *subject, const char *path) {
        static const ChannelHooks hooks = { on_leaving, on_broken };
        g_autoptr(GError) error = NULL;
        char *problem = NULL;
        int fd;

        bench_check(sd_event_new(&subject->event), "loop");
        subject->native = native_load(path, geteuid(), &error);
        fd = subject->native ? native_start(subject->native, subject->event, &error) : -1;
        if (fd < 0)
                g_error("%s", error->message);
        bench_check(
                channel_new(subject->event, fd, 0, false, UINT64_MAX, &hooks, subject, &subject->channel, &problem),
                "channel");
        (void) close(fd);
        greet(subject);
}

static uint64_t begun;

static void on_vote(const NativeVote *vote, void *userdata) {
        take(vote->reason, vote->verdict, begun, vote->details);
}

static double ask_by_layer(const Subject *subject, JsonObject *metrics) {
        double from = bench_now_usec();

        for (unsigned i = 0; i < CALLS; i++) {
                begun = clock_monotonic();
                if (!native_check_idle(subject->native, channel_bus(subject->channel), metrics, on_vote, NULL))
                        g_error("it cannot be asked");
        }
        return (bench_now_usec() - from) * 1000 / CALLS;
}

static void on_answered(const SnoozePluginNativeVote *vote, void *userdata) {
        g_autoptr(JsonObject) details = json_object_new();

        take(vote->reason, VERDICT_IDLE, begun, details);
}

static double ask_by_pointer(__typeof__(snooze_plugin_native_check_idle) *check_idle, SnoozePluginNative *native) {
        double from = bench_now_usec();

        for (unsigned i = 0; i < CALLS; i++) {
                begun = clock_monotonic();
                bench_check(check_idle(native, NULL, on_answered, NULL), "CheckIdle");
        }
        return (bench_now_usec() - from) * 1000 / CALLS;
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 3 : ROUNDS;
        g_autofree char *path = beside_me("native-idle.so");
        g_autoptr(JsonObject) metrics = json_object_new();
        static double layer[ROUNDS], pointer[ROUNDS];
        __typeof__(snooze_plugin_native_check_idle) *check_idle;
        Subject subject = { .answers = 0 };
        void *object;

        bench_pin();
        bench_check(errors_register(), "errors");
        json_object_set_double_member(metrics, "cpu_usage", 1.5);
        begin(&subject, path);
        object = dlopen(path, RTLD_NOW);
        *(void **) &check_idle = object ? dlsym(object, "snooze_plugin_native_check_idle") : NULL;
        if (!check_idle)
                g_error("%s", dlerror());
        for (unsigned i = 0; i < rounds; i++) {
                layer[i] = ask_by_layer(&subject, metrics);
                pointer[i] = ask_by_pointer(check_idle, native_instance(subject.native));
        }
        if (votes != 2 * rounds * CALLS)
                g_error("%u votes of %u", votes, 2 * rounds * CALLS);
        channel_free(subject.channel);
        native_free(subject.native);
        sd_event_unref(subject.event);

        bench_print(&(BenchRow){ .name = "native call",
                                 .unit = "ns",
                                 .value = bench_median(layer, rounds),
                                 .beside = bench_median(pointer, rounds),
                                 .goal = GOAL },
                    1);
        return 0;
}
