/* SPDX-License-Identifier: Apache-2.0 */

/* The least that a plugin of the SDK can be, under the id that it is given (idle-plugin ID), or else under its own
 * name. Its state has $BENCH_STATE_SIZE bytes. */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <snooze/plugin.h>

static volatile double *entered;

static int process_data(SnoozePluginCall *call, const void *data, size_t size, void *userdata) {
        return snooze_plugin_call_set_data(call, data, size);
}

static int check_idle(SnoozePluginCall *call, const SnoozePluginDictionary *metrics, void *userdata) {
        return snooze_plugin_call_set_verdict(call, SNOOZE_PLUGIN_IDLE, "nothing to do");
}

/* Into the memory that $BENCH_ENTERED shares: when it was entered, in µs. */
static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        if (entered)
                *entered = (double) now.tv_sec * 1e6 + (double) now.tv_nsec / 1e3;
        return snooze_plugin_call_set_answer(call, true);
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        const char *path = getenv("BENCH_ENTERED");
        int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;

        if (fd < 0)
                return 0;
        entered = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        return entered == MAP_FAILED ? -ENOMEM : 0;
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
        static const char *const events[] = { "custom", NULL };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = argc == 2 ? argv[1] : program_invocation_short_name,
                .version = "1.0.0",
                .start = start,
                .check_idle = check_idle,
                .supported_events = events,
                .handle_event = handle_event,
                .process_data = process_data,
                .export_state = export_state,
                .import_state = import_state,
        };

        return snooze_plugin_main(&plugin, 1, argv);
}
