/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/plugin/limits.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "util/file.h"
#include "util/json.h"

#define HELPER_TIMEOUT (120 * USEC_PER_SEC)
#define MIB (UINT64_C(1024) * 1024)
#define NUMBER_MAX 64U

struct LimitsCall {
        Plugin *plugin;
        char *wanted;
        sd_bus_slot *slot;
        LimitsDone done;
        void *userdata;
};

MachineSize machine_size(void) {
        long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE), cpus = sysconf(_SC_NPROCESSORS_CONF);
        g_autofree char *text = NULL;
        MachineSize machine = { .memory = pages > 0 && size > 0 ? (uint64_t) pages * (uint64_t) size : UINT64_MAX,
                                .cpus = cpus > 0 ? (unsigned) cpus : UINT_MAX,
                                .tasks = UINT64_MAX };

        if (file_read("/proc/sys/kernel/pid_max", NUMBER_MAX, &text, NULL, NULL))
                machine.tasks = g_ascii_strtoull(text, NULL, 10);
        return machine;
}

static double lower(double asked, JsonObject *configured, const char *name, double unit) {
        return configured ? MIN(asked, json_get_double(configured, name, asked / unit) * unit) : asked;
}

char *limits_impossible(const Manifest *manifest, JsonObject *configured, const MachineSize *machine) {
        uint64_t memory = (uint64_t) lower((double) manifest->memory_max, configured, "memory_mb", (double) MIB);
        uint64_t tasks = (uint64_t) lower((double) manifest->tasks_max, configured, "tasks", 1);
        double cpu = lower(manifest->cpu_percent, configured, "cpu_percent", 1);

        if (memory > machine->memory)
                return g_strdup_printf("asks for %" PRIu64 " MiB of memory, this machine has %" PRIu64 " MiB",
                                       memory / MIB, machine->memory / MIB);
        if (cpu > 100.0 * machine->cpus)
                return g_strdup_printf("asks for %g %% of a CPU, the %u of this machine have %g %%", cpu,
                                       machine->cpus, 100.0 * machine->cpus);
        if (tasks > machine->tasks)
                return g_strdup_printf("asks for %" PRIu64 " tasks, this machine has at most %" PRIu64, tasks,
                                       machine->tasks);
        return NULL;
}

static char *wanted_text(const Plugin *plugin) {
        JsonObject *wanted = config_limits(plugin->plugins->config, plugin->id);
        g_autoptr(JsonNode) node = wanted ? json_node_init_object(json_node_alloc(), wanted) : NULL;

        return node ? json_text_compact(node) : g_strdup("{}");
}

gboolean limits_needed(const Plugin *plugin) {
        g_autofree char *wanted = wanted_text(plugin), *path = NULL;

        if (plugin->limits_told)
                return !g_str_equal(plugin->limits_told, wanted);
        if (plugin->limits_unsettled || !g_str_equal(wanted, "{}"))
                return TRUE;
        /* An earlier daemon had some set that are configured no more. */
        path = g_strdup_printf("/etc/systemd/system/%s.d/20-limits.conf", plugin->units[PLUGIN_SLOT_A]);
        return g_file_test(path, G_FILE_TEST_EXISTS);
}

void limits_forget(Plugin *plugin) {
        g_clear_pointer(&plugin->limits_told, g_free);
        plugin->limits_latest = NULL;
}

LimitsCall *limits_cancel(LimitsCall *call) {
        if (!call)
                return NULL;
        if (call->plugin->limits_latest == call)
                call->plugin->limits_latest = NULL;
        sd_bus_slot_unref(call->slot);
        g_free(call->wanted);
        g_free(call);
        return NULL;
}

/* done may free whoever waits: nothing is touched after it. */
static void end(LimitsCall *call, const char *message) {
        LimitsDone done = call->done;
        Plugin *plugin = call->plugin;
        void *userdata = call->userdata;

        if (plugin->limits_latest == call) {
                plugin->limits_unsettled = FALSE;
                if (!message)
                        plugin->limits_told = g_steal_pointer(&call->wanted);
        }
        limits_cancel(call);
        done(message, userdata);
}

static int on_set(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        const sd_bus_error *error = sd_bus_message_get_error(reply);
        g_autofree char *message = NULL;
        LimitsCall *call = userdata;

        /* Where there is neither, nothing is enforced in any case, as GetResources says. */
        if (error && !(sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) &&
                       !starter_systemd(call->plugin->plugins->starter)))
                message = g_strdup_printf("cannot be given its limits: %s", error->message ?: error->name);
        end(call, message);
        return 0;
}

static int send(LimitsCall *call) {
        static const char *const hints[] = { "memory_mb", "t", "cpu_percent", "d", "tasks", "t", NULL };
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        Plugin *plugin = call->plugin;
        JsonObject *wanted = config_limits(plugin->plugins->config, plugin->id);
        g_autoptr(JsonObject) none = wanted ? NULL : json_object_new();
        sd_bus *bus = plugin->plugins->parameters.bus;
        int r;

        r = sd_bus_message_new_method_call(bus, &message, HELPER_NAME, HELPER_PATH, HELPER_INTERFACE, "SetLimits");
        if (r >= 0)
                r = sd_bus_message_append(message, "s", plugin->id);
        if (r >= 0)
                r = dictionary_append(message, wanted ?: none, hints);
        if (r >= 0)
                r = sd_bus_call_async(bus, &call->slot, message, on_set, call, HELPER_TIMEOUT);
        return r;
}

/* Until it has answered nobody knows what is in force: where nobody waits for it any more it was told all the same. */
LimitsCall *limits_tell(Plugin *plugin, LimitsDone done, void *userdata) {
        LimitsCall *call = g_new(LimitsCall, 1);

        *call = (LimitsCall) { .plugin = plugin, .wanted = wanted_text(plugin), .done = done, .userdata = userdata };
        if (send(call) < 0)
                return limits_cancel(call);
        limits_forget(plugin);
        plugin->limits_latest = call;
        plugin->limits_unsettled = TRUE;
        return call;
}
