/* SPDX-License-Identifier: Apache-2.0 */

/* Row "daemon at rest": what snoozed costs that watches a machine with five plugins, and that nobody asks anything.
 * Beside it, in the same seconds and on the same CPU, a process that does nothing but take samples at the same
 * interval; what those cost beside their files is the row "sample". CPU time as the scheduler counts it, per sample;
 * wake-ups of all its threads, per sample; and what of its memory is private and written to. The intervals have the
 * proportion of the defaults (a round of checks every twelfth sample), but all is twenty times as fast, so that 24
 * seconds are worth eight minutes. */

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "base/clock.h"
#include "bench.h"
#include "daemon/metrics/metrics.h"

#define PLUGINS 5U
#define SAMPLE_SECONDS 0.25
#define CHECK_SECONDS 3
#define LONG_SECONDS 30
#define SECONDS 24U
#define MEMORY_GOAL 1.5
#define WAKEUPS_GOAL 1.0
#define CPU_GOAL 1.5
#define STARTED_WITHIN_USEC (20 * UINT64_C(1000000))

/* Thresholds out of reach: a machine at rest, whatever else this one does, changes no verdict. A CPU can reach every
 * threshold, so that its verdict, which is found all the same, does not decide. */
static void configure(BenchBus *bus) {
        g_autofree char *text =
                g_strdup_printf("{\"dry_run\": true, \"naptime_minutes\": 600, \"sample_interval_seconds\": %g, "
                                "\"check_interval_seconds\": %d, \"window_seconds\": %d, \"burst_seconds\": %d, "
                                "\"long_window_seconds\": %d, "
                                "\"cpu_threshold_percent\": 100, \"cpu_threshold_cores\": 0, "
                                "\"memory_threshold_percent\": 100, \"network_threshold_kbps\": 1000000, "
                                "\"disk_io_threshold_kbps\": 1000000, \"memory_pressure_percent\": 100, "
                                "\"cpu_pressure_percent\": 100, "
                                "\"sources\": {\"cpu\": {\"policy\": \"advisory\"}}}",
                                SAMPLE_SECONDS, CHECK_SECONDS, LONG_SECONDS, LONG_SECONDS, LONG_SECONDS);

        bench_write(bus->directory, "etc/snooze.json", text);
}

/* As on a machine, where it is below /run: in memory. */
static char *make_runtime_directory(void) {
        char *directory = g_strdup("/dev/shm/snooze-bench-XXXXXX");

        if (!g_mkdtemp(directory))
                g_error("%s: %m", directory);
        return directory;
}

static void add_plugins(BenchBus *bus, const char *folder) {
        g_autofree char *program = g_build_filename(folder, "idle-plugin", NULL);

        for (unsigned i = 0; i < PLUGINS; i++) {
                g_autofree char *id = g_strdup_printf("trivial-%u", i);

                bench_bus_add_plugin(bus, id, program, "IdleCheck");
        }
}

static GPid start_daemon(BenchBus *bus, const char *folder, const char *run) {
        g_autofree char *program = g_build_filename(folder, "..", "..", "src", "daemon", "snoozed", NULL);
        g_autofree char *state = g_build_filename(bus->directory, "state", NULL);
        g_autofree char *etc = g_build_filename(bus->directory, "etc", NULL);
        g_autofree char *plugins = g_build_filename(bus->directory, "plugins", NULL);
        const char *const arguments[] = { program, "--state-directory",
                                          state,   "--runtime-directory",
                                          run,     "--config-directory",
                                          etc,     "--plugin-directory",
                                          plugins, NULL };

        return bench_spawn(bus, arguments, -1);
}

static bool is_running(sd_bus *bus, unsigned i) {
        g_autofree char *id = g_strdup_printf("trivial-%u", i);
        _cleanup_free_ char *path = NULL, *state = NULL;

        bench_check(sd_bus_path_encode(SNOOZE_PLUGIN_PATH, id, &path), id);
        return sd_bus_get_property_string(bus, SNOOZE_NAME, path, SNOOZE_PLUGIN_INTERFACE, "State", NULL, &state) >=
                       0 &&
               strcmp(state, "running") == 0;
}

static bool all_run(sd_bus *bus) {
        for (unsigned i = 0; i < PLUGINS; i++)
                if (!is_running(bus, i))
                        return false;
        return true;
}

/* Any signal may be the last that was missing. */
static void wait_for_plugins(void) {
        _cleanup_bus_ sd_bus *bus = NULL;
        double deadline;
        int r = 0;

        bench_check(sd_bus_open_system(&bus), "the private bus");
        bench_check(sd_bus_add_match(bus, NULL, "type='signal'", NULL, NULL), "signals");
        deadline = bench_now_usec() + STARTED_WITHIN_USEC;
        while (!all_run(bus)) {
                if (bench_now_usec() > deadline)
                        g_error("the plugins do not run");
                while ((r = sd_bus_process(bus, NULL)) > 0)
                        ;
                bench_check(r, "the private bus");
                bench_check(sd_bus_wait(bus, STARTED_WITHIN_USEC / 20), "the private bus");
        }
}

static void sleep_until(double usec) {
        const struct timespec ts = { .tv_sec = (time_t) (usec / 1e6),
                                     .tv_nsec = (long) ((usec - (double) (time_t) (usec / 1e6) * 1e6) * 1e3) };

        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) != 0)
                ;
}

static void bare_loop(void) {
        g_autoptr(Metrics) metrics = metrics_new("");
        Sample ignored;

        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        for (double next = bench_now_usec();; next += SAMPLE_SECONDS * 1e6) {
                sleep_until(next);
                metrics_sample(metrics, clock_monotonic(), clock_realtime(), &ignored);
        }
}

static GPid start_bare_loop(void) {
        GPid pid = fork();

        if (pid < 0)
                g_error("fork: %m");
        if (pid == 0)
                bare_loop();
        return pid;
}

typedef struct Cost {
        double cpu; /* µs */
        double wakeups;
} Cost;

static char *read_text(const char *format, ...) G_GNUC_PRINTF(1, 2);

static char *read_text(const char *format, ...) {
        g_autofree char *path = NULL;
        g_autoptr(GError) error = NULL;
        char *text = NULL;
        va_list ap;

        va_start(ap, format);
        path = g_strdup_vprintf(format, ap);
        va_end(ap);
        if (!g_file_get_contents(path, &text, NULL, &error))
                g_error("%s", error->message);
        return text;
}

static double number_after(const char *text, const char *key) {
        const char *found = strstr(text, key);

        if (!found)
                g_error("no %s in: %s", key, text);
        return g_ascii_strtod(found + strlen(key), NULL);
}

static Cost cost_of(GPid pid) {
        g_autofree char *tasks = g_strdup_printf("/proc/%d/task", pid);
        g_autoptr(GDir) directory = g_dir_open(tasks, 0, NULL);
        Cost cost = {};
        const char *task;

        if (!directory)
                g_error("process %d is gone", pid);
        while ((task = g_dir_read_name(directory))) {
                g_autofree char *scheduled = read_text("%s/%s/schedstat", tasks, task),
                                *status = read_text("%s/%s/status", tasks, task);

                cost.cpu += g_ascii_strtod(scheduled, NULL) / 1e3;
                cost.wakeups += number_after(status, "\nvoluntary_ctxt_switches:");
        }
        return cost;
}

/* Both sides are counted from the middle between two of their samples to the middle between two others: at the edge of
 * an interval one sample more or less would be chance. */
static void wait_for_sample(GPid pid) {
        double before = cost_of(pid).wakeups;

        while (cost_of(pid).wakeups <= before)
                sleep_until(bench_now_usec() + 1000);
}

static Cost cost_since(GPid pid, Cost before, double samples) {
        Cost now = cost_of(pid);

        return (Cost){ (now.cpu - before.cpu) / samples, (now.wakeups - before.wakeups) / samples };
}

static double private_dirty(GPid pid) {
        g_autofree char *rollup = read_text("/proc/%d/smaps_rollup", pid);

        return number_after(rollup, "\nPrivate_Dirty:");
}

int main(int argc, char **argv) {
        unsigned seconds = bench_is_smoke(argc, argv) ? CHECK_SECONDS : SECONDS;
        g_autofree char *relative = g_path_get_dirname(argv[0]), *folder = g_canonicalize_filename(relative, NULL);
        g_autofree char *run = make_runtime_directory();
        double begun, samples = seconds / SAMPLE_SECONDS, memory;
        Cost daemon, bare;
        GPid daemon_pid, bare_pid;
        BenchBus bus = {};

        bench_pin();
        bench_bus_prepare(&bus);
        configure(&bus);
        add_plugins(&bus, folder);
        bench_bus_start(&bus);
        daemon_pid = start_daemon(&bus, folder, run);
        wait_for_plugins();
        wait_for_sample(daemon_pid);
        /* Half an interval later: right behind the daemon's sample it would find the kernel's code for these files in
         * the caches, into which the daemon has just had to bring it. */
        sleep_until(bench_now_usec() + SAMPLE_SECONDS / 2 * 1e6);
        bare_pid = start_bare_loop();

        /* The windows are full, and the first round that has every vote is over. */
        begun = bench_now_usec() + (2 * CHECK_SECONDS + SAMPLE_SECONDS / 4) * 1e6;
        sleep_until(begun);
        daemon = cost_of(daemon_pid);
        bare = cost_of(bare_pid);
        sleep_until(begun + seconds * 1e6);
        daemon = cost_since(daemon_pid, daemon, samples);
        bare = cost_since(bare_pid, bare, samples);
        memory = private_dirty(daemon_pid);

        if (daemon.wakeups < 0.5)
                g_error("snoozed does not sample: see %s/log", bus.directory);

        bench_end(daemon_pid);
        bench_end(bare_pid);
        bench_bus_end(&bus);
        bench_remove(run);

        bench_print(
                (const BenchRow[]){
                        { .name = "daemon at rest",
                          .unit = "us",
                          .value = daemon.cpu,
                          .beside = bare.cpu,
                          .goal = CPU_GOAL },
                        { .name = "daemon at rest wake-ups",
                          .unit = "",
                          .value = daemon.wakeups,
                          .beside = bare.wakeups,
                          .goal = WAKEUPS_GOAL },
                        /* In MB: this goal is no ratio. */
                        { .name = "daemon at rest memory",
                          .unit = "MB",
                          .value = memory / 1024,
                          .beside = 1,
                          .goal = MEMORY_GOAL },
                },
                3);
        return 0;
}
