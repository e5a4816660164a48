/* SPDX-License-Identifier: Apache-2.0 */

/* Row "sample": one sample of cpu, memory, network and disk, beside pread of the same four files alone, which the
 * kernel fills anew for each read. Both in one run, turn by turn, on one CPU; medians of the rounds. */

#include <fcntl.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "base/clock.h"
#include "bench.h"
#include "daemon/metrics/metrics.h"

#define ROUNDS 2000U
#define BUFFER_SIZE (1024U * 1024U)
#define GOAL 1.2

static const char *const files[] = { "/proc/stat", "/proc/meminfo", "/proc/net/dev", "/proc/diskstats" };

/* The machine without its /dev: input is no part of this row. */
static char *make_root(void) {
        char *root = g_dir_make_tmp("snooze-bench-XXXXXX", NULL);
        g_autofree char *proc = g_build_filename(root, "proc", NULL), *sys = g_build_filename(root, "sys", NULL);

        if (symlink("/proc", proc) < 0 || symlink("/sys", sys) < 0)
                g_error("cannot make links in %s: %m", root);
        return root;
}

static void remove_root(const char *root) {
        g_autofree char *proc = g_build_filename(root, "proc", NULL), *sys = g_build_filename(root, "sys", NULL);

        (void) g_unlink(proc);
        (void) g_unlink(sys);
        (void) g_rmdir(root);
}

static double read_alone(const int *fds, char *buffer) {
        double begun = bench_now_usec();

        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                if (pread(fds[i], buffer, BUFFER_SIZE, 0) < 0)
                        g_error("%s: %m", files[i]);
        return bench_now_usec() - begun;
}

static double sample(Metrics *metrics, uint64_t *moment) {
        double begun = bench_now_usec();
        Sample ignored;

        *moment += 5 * USEC_PER_SEC;
        metrics_sample(metrics, *moment, *moment, &ignored);
        return bench_now_usec() - begun;
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 20 : ROUNDS;
        g_autofree char *root = make_root(), *buffer = g_malloc(BUFFER_SIZE);
        static double samples[ROUNDS], reads[ROUNDS];
        g_autoptr(Metrics) metrics = metrics_new(root);
        int fds[G_N_ELEMENTS(files)];
        uint64_t moment = USEC_PER_DAY;

        bench_pin();
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                fds[i] = open(files[i], O_RDONLY | O_CLOEXEC);
                if (fds[i] < 0)
                        g_error("%s: %m", files[i]);
        }
        /* Devices are classified in the first few. */
        for (unsigned i = 0; i < 100; i++) {
                (void) read_alone(fds, buffer);
                (void) sample(metrics, &moment);
        }
        for (unsigned i = 0; i < rounds; i++) {
                reads[i] = read_alone(fds, buffer);
                samples[i] = sample(metrics, &moment);
        }
        remove_root(root);

        bench_print(&(BenchRow){ .name = "sample",
                                 .unit = "us",
                                 .value = bench_median(samples, rounds),
                                 .beside = bench_median(reads, rounds),
                                 .goal = GOAL },
                    1);
        return 0;
}
