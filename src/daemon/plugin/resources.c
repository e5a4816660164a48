/* SPDX-License-Identifier: Apache-2.0 */

/* What a plugin uses and may use. systemd knows both of its unit; elsewhere the process says what it uses, the
 * manifest what it asked for, and nothing holds it to that. */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "base/process-stat.h"
#include "base/properties.h"
#include "bus/kept-call.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/request.h"
#include "daemon/plugin/resources.h"

#define PROC_FILE_MAX 256U

static const Resource resources_unknown[RESOURCES] = {
        { "memory", { "MemoryCurrent" }, "MemoryMax", 1, UINT64_MAX, UINT64_MAX },
        { "cpu", { "CPUUsageNSec" }, "CPUQuotaPerSecUSec", NSEC_PER_USEC, UINT64_MAX, UINT64_MAX },
        { "tasks", { "TasksCurrent" }, "TasksMax", 1, UINT64_MAX, UINT64_MAX },
        { "io", { "IOReadBytes", "IOWriteBytes" }, NULL, 1, UINT64_MAX, UINT64_MAX },
        { "network", { "IPIngressBytes", "IPEgressBytes" }, NULL, 1, UINT64_MAX, UINT64_MAX },
};

static int append_resource(sd_bus_message *reply, const Resource *resource) {
        int r = sd_bus_message_open_container(reply, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append(reply, "s", resource->name);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "a{sv}");
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        if (r >= 0 && resource->used != UINT64_MAX)
                r = sd_bus_message_append(reply, "{sv}", "used", "t", resource->used);
        if (r >= 0 && resource->limit != UINT64_MAX)
                r = sd_bus_message_append(reply, "{sv}", "limit", "t", resource->limit);
        for (unsigned i = 0; r >= 0 && i < 3; i++)
                r = sd_bus_message_close_container(reply);
        return r;
}

static int send_resources(sd_bus_message *call, const Resource *resources, gboolean enforced) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "{sv}");
        for (size_t i = 0; r >= 0 && i < RESOURCES; i++)
                r = append_resource(reply, &resources[i]);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "enforced", "b", (int) enforced);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void read_process(pid_t pid, Resource *resources) {
        g_autofree char *path = g_strdup_printf("/proc/%d", (int) pid);
        _cleanup_close_ int folder = pid > 0 ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        char statm[PROC_FILE_MAX];
        uint64_t resident;
        ProcessStat stat;

        if (folder < 0)
                return;
        if (process_file_read(folder, "statm", statm, sizeof(statm)) > 0 &&
            sscanf(statm, "%*u %" SCNu64, &resident) == 1)
                resources[0].used = resident * (uint64_t) sysconf(_SC_PAGESIZE);
        if (process_stat_read(folder, sysconf(_SC_CLK_TCK), &stat) >= 0) {
                resources[1].used = stat.cpu;
                resources[2].used = stat.threads;
        }
}

static int reply_unenforced(const Plugin *plugin, sd_bus_message *call) {
        Resource resources[RESOURCES];

        memcpy(resources, resources_unknown, sizeof(resources));
        read_process(plugin_pid(plugin), resources);
        if (plugin->manifest && plugin->manifest->memory_max > 0)
                resources[0].limit = plugin->manifest->memory_max;
        if (plugin->manifest && plugin->manifest->cpu_percent > 0)
                resources[1].limit = (uint64_t) (plugin->manifest->cpu_percent * USEC_PER_SEC / 100);
        if (plugin->manifest && plugin->manifest->tasks_max > 0)
                resources[2].limit = plugin->manifest->tasks_max;
        return send_resources(call, resources, FALSE);
}

static int read_property(sd_bus_message *reply, const char *key, void *userdata) {
        Resource *resources = userdata;

        for (size_t i = 0; i < RESOURCES; i++) {
                gboolean used = g_strcmp0(key, resources[i].used_properties[0]) == 0 ||
                        g_strcmp0(key, resources[i].used_properties[1]) == 0;
                uint64_t value;
                int r;

                if (!used && g_strcmp0(key, resources[i].limit_property) != 0)
                        continue;
                r = sd_bus_message_read(reply, "v", "t", &value);
                if (r < 0)
                        return r;
                if (!used)
                        resources[i].limit = value;
                else if (value != UINT64_MAX)
                        resources[i].used = (resources[i].used == UINT64_MAX ? 0 : resources[i].used) +
                                            value / resources[i].used_unit;
                return 0;
        }
        return sd_bus_message_skip(reply, "v");
}

int resources_read_unit(sd_bus_message *reply, Resource ret[RESOURCES]) {
        memcpy(ret, resources_unknown, sizeof(resources_unknown));
        return properties_read(reply, read_property, ret);
}

static int on_unit(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        g_autoptr(Request) request = userdata;
        Resource resources[RESOURCES];

        if (sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NO_REPLY))
                (void) sd_bus_reply_method_errorf(request->call, ERROR_TIMED_OUT,
                                                  "systemd did not say in time what the unit uses.");
        else if (sd_bus_message_is_method_error(reply, NULL) || resources_read_unit(reply, resources) < 0)
                (void) sd_bus_reply_method_errorf(request->call, ERROR_PLUGIN_FAILED,
                                                  "systemd does not say what the unit uses.");
        else
                (void) send_resources(request->call, resources, TRUE);
        return 0;
}

int plugin_reply_resources(Plugin *plugin, sd_bus_message *call, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *kept = NULL;
        g_autoptr(Request) request = NULL;
        int r;

        if (!starter_systemd(plugin->plugins->starter))
                return reply_unenforced(plugin, call);
        r = call_keep(call, &kept);
        if (r >= 0)
                r = request_begin(plugin, kept, NULL, NULL, &request, error);
        if (r >= 0)
                r = request_ask_systemd(request, SYSTEMD_SERVICE_INTERFACE, on_unit, error);
        if (r >= 0)
                (void) g_steal_pointer(&request);
        return r;
}
