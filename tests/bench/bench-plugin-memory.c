/* SPDX-License-Identifier: Apache-2.0 */

/* Row "plugin memory": what an idle plugin of the SDK holds of the machine's memory (PSS: its part of what several
 * share), ten of them running, beside ten services of bare sd-bus; MB each. All of them have answered one call. */

#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "callers.h"
#include "daemon/plugin/plugin.h"

#define PROGRAMS 10U
#define GOAL 1.5

static double pss_mb(pid_t pid) {
        g_autofree char *path = g_strdup_printf("/proc/%d/smaps_rollup", pid), *text = NULL;
        g_autoptr(GError) error = NULL;
        const char *line;

        if (!g_file_get_contents(path, &text, NULL, &error))
                g_error("%s", error->message);
        line = strstr(text, "\nPss:");
        if (!line)
                g_error("%s has no Pss", path);
        return g_ascii_strtod(line + strlen("\nPss:"), NULL) / 1024;
}

static double all_plugins(Callers *callers) {
        double sum = 0;

        for (unsigned i = 0; i < PROGRAMS; i++) {
                g_autofree char *id = i == 0 ? g_strdup(PLUGIN_ID) : g_strdup_printf(PLUGIN_ID "-%u", i - 1);

                sum += pss_mb(plugin_pid(plugins_find(callers->plugins, id)));
        }
        return sum;
}

static void start_plugins(Callers *callers) {
        for (unsigned i = 0; i < PROGRAMS; i++) {
                g_autofree char *id = i == 0 ? g_strdup(PLUGIN_ID) : g_strdup_printf(PLUGIN_ID "-%u", i - 1);

                callers->plugin = plugins_find(callers->plugins, id);
                callers_call_plugin(callers);
        }
}

static pid_t start_bare(Callers *callers, unsigned i) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autofree char *name = g_strdup_printf(BARE_NAME ".n%u", i);
        pid_t pid;

        bench_check(sd_bus_call_method(callers->connection, name, PLUGIN_PATH, IDLE_CHECK_INTERFACE, "CheckIdle", NULL,
                                       &reply, "a{sv}", 0),
                    "the bare service");
        bench_check(sd_bus_get_name_creds(callers->connection, name, SD_BUS_CREDS_PID, &creds), "the bare service");
        bench_check(sd_bus_creds_get_pid(creds, &pid), "the bare service's process");
        return pid;
}

int main(int argc, char **argv) {
        Callers callers = { .more = PROGRAMS - 1, .bare_more = PROGRAMS };
        pid_t bare[PROGRAMS];
        double beside = 0, value;

        (void) bench_is_smoke(argc, argv);
        callers_begin(&callers, argv[0]);
        for (unsigned i = 0; i < PROGRAMS; i++)
                bare[i] = start_bare(&callers, i);
        start_plugins(&callers);
        value = all_plugins(&callers) / PROGRAMS;
        for (unsigned i = 0; i < PROGRAMS; i++)
                beside += pss_mb(bare[i]) / PROGRAMS;
        callers_end(&callers);

        bench_print(
                &(BenchRow){ .name = "plugin memory", .unit = "MB", .value = value, .beside = beside, .goal = GOAL },
                1);
        return 0;
}
