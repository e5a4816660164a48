/* SPDX-License-Identifier: Apache-2.0 */

/* Two processes of a plugin, and one name: whoever does not have it is found by the name of its slot. One that owns no
 * such name, which the bus's policy may not know, waits for the plugin's own. */

#include <string.h>

#include "base/cleanup.h"
#include "daemon/plugin/plugin.h"

static gboolean is_peer_of(const PluginProcess *process, const char *unique_name) {
        return process && g_strcmp0(process->peer, unique_name) == 0;
}

static gboolean is_known(const Plugin *plugin, const char *unique_name) {
        return is_peer_of(plugin->process, unique_name) || is_peer_of(plugin->previous, unique_name);
}

static int on_queued(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        PluginProcess *process = userdata;
        Plugin *plugin = process->plugin;
        g_auto(GStrv) owners = NULL;
        const char *found = NULL;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read_strv(reply, &owners) < 0 || !owners) {
                process_fail(process, "the bus does not say who waits for %s", plugin->name);
                return 1;
        }
        for (char **owner = owners; *owner; owner++)
                if (!is_known(plugin, *owner))
                        found = *owner;
        if (found)
                process->found(process, found);
        else
                process_fail(process, "it runs, but does not wait for the name %s", plugin->name);
        return 1;
}

static int ask(PluginProcess *process, const char *member, const char *name, sd_bus_message_handler_t handler) {
        process->question = sd_bus_slot_unref(process->question);
        return sd_bus_call_method_async(process->plugin->plugins->parameters.bus, &process->question,
                                        "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                        member, handler, process, "s", name);
}

static int on_slot_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        PluginProcess *process = userdata;
        const char *owner;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "s", &owner) >= 0)
                process->found(process, owner);
        else if (ask(process, "ListQueuedOwners", process->plugin->name, on_queued) < 0)
                process_fail(process, "the bus takes no message");
        return 1;
}

gboolean process_find(PluginProcess *process, void (*found)(PluginProcess *process, const char *unique_name)) {
        process->found = found;
        return ask(process, "GetNameOwner", process->plugin->slot_names[process->slot], on_slot_owner) >= 0;
}
