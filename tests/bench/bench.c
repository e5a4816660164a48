/* SPDX-License-Identifier: Apache-2.0 */

#include "bench.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "base/names.h"

static const char bus_configuration[] =
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\"\n"
        " \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n"
        "<busconfig>\n"
        "  <type>system</type>\n"
        "  <listen>unix:path=%s/bus</listen>\n"
        "  <auth>EXTERNAL</auth>\n"
        "  <servicedir>%s/services</servicedir>\n"
        "  <policy context=\"default\">\n"
        "    <allow user=\"*\"/>\n"
        "    <allow own=\"*\"/>\n"
        "    <allow send_destination=\"*\"/>\n"
        "    <allow receive_sender=\"*\"/>\n"
        "  </policy>\n"
        "</busconfig>\n";

void bench_check(int r, const char *what) {
        if (r < 0)
                g_error("%s: %s", what, g_strerror(-r));
}

double bench_now_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (double) ts.tv_sec * 1e6 + (double) ts.tv_nsec / 1e3;
}

void bench_pin(void) {
        cpu_set_t set;

        CPU_ZERO(&set);
        CPU_SET(sched_getcpu(), &set);
        if (sched_setaffinity(0, sizeof(set), &set) < 0)
                g_error("cannot stay on one CPU: %m");
}

static int compare(const void *a, const void *b) {
        double left = *(const double *) a, right = *(const double *) b;

        return (left > right) - (left < right);
}

double bench_median(double *values, size_t n) {
        qsort(values, n, sizeof(*values), compare);
        return values[n / 2];
}

bool bench_is_smoke(int argc, char **argv) {
        if (argc == 1)
                return false;
        if (argc == 2 && strcmp(argv[1], "--smoke") == 0)
                return true;
        fprintf(stderr, "usage: %s [--smoke]\n", argv[0]);
        exit(2);
}

void bench_print(const BenchRow *rows, size_t n) {
        printf("{");
        for (size_t i = 0; i < n; i++)
                printf("%s\"%s\": {\"value\": %.2f, \"unit\": \"%s\", \"beside\": %.2f, \"ratio\": %.3f, \"goal\": "
                       "%.2f}",
                       i > 0 ? ", " : "", rows[i].name, rows[i].value, rows[i].unit, rows[i].beside,
                       rows[i].value / rows[i].beside, rows[i].goal);
        printf("}\n");
}

void bench_write(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL), *folder = g_path_get_dirname(path);
        g_autoptr(GError) error = NULL;

        if (g_mkdir_with_parents(folder, 0755) < 0)
                g_error("%s: %m", folder);
        if (!g_file_set_contents(path, text, -1, &error))
                g_error("%s", error->message);
}

void bench_remove(const char *path) {
        g_autoptr(GDir) directory = g_dir_open(path, 0, NULL);
        const char *name;

        while (directory && (name = g_dir_read_name(directory))) {
                g_autofree char *child = g_build_filename(path, name, NULL);

                bench_remove(child);
        }
        (void) g_remove(path);
}

void bench_bus_prepare(BenchBus *bus) {
        g_autoptr(GError) error = NULL;
        g_autofree char *configuration = NULL, *address = NULL;

        bus->directory = g_dir_make_tmp("snooze-bench-XXXXXX", &error);
        if (!bus->directory)
                g_error("%s", error->message);
        configuration = g_strdup_printf(bus_configuration, bus->directory, bus->directory);
        bench_write(bus->directory, "bus.conf", configuration);
        address = g_strdup_printf("unix:path=%s/bus", bus->directory);
        g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
}

void bench_bus_add_service(BenchBus *bus, const char *name, const char *command) {
        g_autofree char *file = g_strdup_printf("services/%s.service", name);
        g_autofree char *text = g_strdup_printf("[D-BUS Service]\nName=%s\nExec=%s\nUser=root\n", name, command);

        bench_write(bus->directory, file, text);
}

void bench_bus_add_plugin(BenchBus *bus, const char *id, const char *program, const char *contract) {
        g_autofree char *name = g_strconcat(PLUGIN_NAME_PREFIX, id, NULL),
                        *command = g_strdup_printf("%s %s", program, id);
        g_autofree char *file = g_strdup_printf("plugins/%s/plugin.json", id),
                        *enabled = g_strdup_printf("state/enabled/%s", id);
        g_autofree char *manifest = g_strdup_printf(
                "{\"name\": \"%s\", \"version\": \"1.0.0\", \"exec\": \"%s\", "
                "\"contracts\": [\"%s\"]%s}",
                id, program, contract, g_str_equal(contract, "EventHandler") ? ", \"events\": {\"custom\": {}}" : "");

        bench_bus_add_service(bus, name, command);
        bench_write(bus->directory, file, manifest);
        bench_write(bus->directory, enabled, "");
}

/* A program that aborts leaves nobody behind. */
static void on_child(void *userdata) {
        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
}

GPid bench_spawn(BenchBus *bus, const char *const *arguments, int output) {
        g_autofree char *log = g_build_filename(bus->directory, "log", NULL);
        _cleanup_close_ int errors = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        g_autoptr(GError) error = NULL;
        GPid pid;

        if (errors < 0)
                g_error("%s: %m", log);
        if (!g_spawn_async_with_fds(NULL, (char **) arguments, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD,
                                    on_child, NULL, &pid, -1, output >= 0 ? output : errors, errors, &error))
                g_error("%s", error->message);
        return pid;
}

void bench_end(GPid pid) {
        (void) kill(pid, SIGTERM);
        (void) waitpid(pid, NULL, 0);
        g_spawn_close_pid(pid);
}

void bench_bus_start(BenchBus *bus) {
        g_autofree char *file = g_strdup_printf("--config-file=%s/bus.conf", bus->directory);
        const char *const arguments[] = { "dbus-daemon", file, "--nofork", "--nopidfile", "--print-address", NULL };
        _cleanup_close_ int heard = -1, said = -1;
        char address[4096];
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0)
                g_error("pipe: %m");
        heard = ends[0];
        said = ends[1];
        bus->daemon = bench_spawn(bus, arguments, said);
        said = safe_close(said);
        /* The address comes when it listens. */
        if (read(heard, address, sizeof(address)) <= 0)
                g_error("dbus-daemon did not start: see %s/log", bus->directory);
}

void bench_bus_end(BenchBus *bus) {
        bench_end(bus->daemon);
        bench_remove(bus->directory);
        g_free(bus->directory);
}

sd_bus *bench_bus_connect(sd_event *event) {
        sd_bus *bus = NULL;

        bench_check(sd_bus_open_system(&bus), "the private bus");
        bench_check(sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL), "the private bus");
        return bus;
}

int bench_append_metrics(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "a{sv}", 6, "cpu_usage", "d", 1.5, "memory_usage", "d", 23.0,
                                     "network_kbps", "d", 0.4, "disk_io_kbps", "d", 12.0, "input_idle_seconds", "d",
                                     1800.0, "timestamp", "t", UINT64_C(1700000000000000));
}
