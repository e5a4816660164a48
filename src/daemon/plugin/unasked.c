/* SPDX-License-Identifier: Apache-2.0 */

/* Anybody may have the bus start a plugin that is enabled, at any time. Then it runs with what the helper wrote last:
 * the program, and what it may do, of a manifest that need not be there any more. So a manifest that comes to one that
 * does not run is made known at once, and what was started before its drop-in was written does not serve. Nobody is
 * ended by a clock that was set but once: the next one is started by the daemon, which needs no clock to know that. */

#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

/* So long after a drop-in was written a unit may be started by the one before: systemd reads them when it is told. */
#define RELOAD_TIME (10 * USEC_PER_SEC)

uint64_t plugin_drop_in_written(const Plugin *plugin, PluginSlot slot) {
        g_autofree char *path = g_strdup_printf(UNIT_DIRECTORY "/%s.d/" PERMISSIONS_DROP_IN, plugin->units[slot]);
        struct stat st;

        if (stat(path, &st) < 0)
                return 0;
        return (uint64_t) st.st_mtim.tv_sec * USEC_PER_SEC + (uint64_t) st.st_mtim.tv_nsec / 1000;
}

static gboolean runs_in(const PluginProcess *process, PluginSlot slot) {
        return process && process->slot == slot && !process->provisioning;
}

void plugin_drop_in_changed(Plugin *plugin, PluginSlot slot) {
        Starter *starter = plugin->plugins->starter;

        /* One that ran before the daemon did is told how to leave when it is looked for. */
        if (!plugin->looked || runs_in(plugin->process, slot) || runs_in(plugin->next, slot) ||
            runs_in(plugin->previous, slot))
                starter_renew(starter, plugin->units[slot]);
        else
                starter_kill(starter, plugin->units[slot], -EBADF);
}

static int on_started(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        PluginProcess *process = userdata;
        uint64_t started = 0;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "v", "t", &started) < 0)
                started = 0;
        process->outdated =
                started < usec_add(plugin_drop_in_written(process->plugin, process->slot), RELOAD_TIME);
        process_identified(process);
        return 1;
}

gboolean process_compare_age(PluginProcess *process) {
        const Plugin *plugin = process->plugin;
        Starter *starter = plugin->plugins->starter;
        _cleanup_free_ char *path = NULL;

        process->outdated = starter_renews(starter, process->unit);
        if (process->outdated || !starter_systemd(starter) || plugin_drop_in_written(plugin, process->slot) == 0)
                return FALSE;
        process->question = sd_bus_slot_unref(process->question);
        process->outdated = TRUE;
        return sd_bus_path_encode(SYSTEMD_UNIT_PATH, process->unit, &path) >= 0 &&
                sd_bus_call_method_async(plugin->plugins->parameters.bus, &process->question, starter_systemd(starter),
                                         path, PROPERTIES_INTERFACE, "Get", on_started, process, "ss",
                                         SYSTEMD_SERVICE_INTERFACE, "ExecMainStartTimestamp") >= 0;
}

static void on_known(Plugin *plugin, const char *error, const char *message, void *userdata) {
        /* Who has it started hears of it; and who asks may see what is not approved. */
        if (error)
                log_debug("Plugin %s: its new manifest: %s", plugin->id, message);
}

static void make_known(void *data) {
        Plugin *plugin = data;

        /* One that an earlier daemon had started keeps what it was granted until it is looked for. */
        if (plugin->manifest && plugin->enabled && !plugin_is_native(plugin) && !plugin_active(plugin) &&
            (plugin->looked || !origin_known(plugin)) && !manifest_packaged(plugin->manifest) &&
            provision_needed(plugin, plugin->manifest, PLUGIN_SLOT_COUNT))
                (void) provision_begin(plugin, plugin->manifest, PLUGIN_SLOT_COUNT, on_known, NULL);
}

void plugin_make_known(Plugin *plugin) {
        /* One that is about to be started is made known then. */
        if (plugin->manifest && plugin->enabled)
                plugins_defer(plugin->plugins, make_known, NULL, plugin);
}
