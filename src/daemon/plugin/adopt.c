/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin outlives the daemon: one that is back finds it running, in either slot, and where it fell in the middle of
 * a hot-swap there are two. The newest is the one that was written down (origin.c), or else the one that owns the
 * plugin's name: it is told to give that away before another is asked anything, but may be at a call. The other one is
 * sent away; nobody waits for its calls any more, and what it was asked it is not to do behind everybody's back.
 *
 * Its files may have been replaced while nobody looked: that is what happens when a package is upgraded. What it was
 * started from is kept (origin.c). Where it is not, all that is there now has to be approved before the process
 * serves, and it has to run with that (unasked.c). */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

static void send_away(Plugin *plugin, const char *unique_name) {
        sd_bus *bus = plugin->plugins->parameters.bus;

        (void) sd_bus_call_method_async(bus, NULL, unique_name, PLUGIN_PATH, PLUGIN_INTERFACE, "Shutdown", NULL, NULL,
                                        NULL);
}

/* Both are in a slot, and this is the one that is to serve. */
static void take(Plugin *plugin, PluginSlot slot) {
        plugin->slot = slot;
        plugin->process->slot = slot;
        plugin->process->unit = plugin->units[slot];
        /* One that has given its names away is known to systemd alone. */
        starter_kill(plugin->plugins->starter, plugin->units[slot == PLUGIN_SLOT_A ? PLUGIN_SLOT_B : PLUGIN_SLOT_A],
                     -EBADF);
}

static const char *newest(const Plugin *plugin, const char *owner) {
        for (size_t i = 0; *owner && i < PLUGIN_SLOT_COUNT; i++)
                if (plugin->slot_owners[i] && origin_is(plugin, plugin->slot_owners[i]))
                        return plugin->origin;
        return owner;
}

/* The one whose manifest was kept is gone, or there is none and another manifest has come meanwhile: by what is there
 * now it is decided what is started, or what another one is. */
static void look_again(Plugin *plugin, gboolean another, const char *reason) {
        plugin->looked = !another;
        origin_drop(plugin);
        plugin->restart_wanted = TRUE;
        plugin_stopped(plugin, reason);
}

static PluginSlot slot_of(const Plugin *plugin, const char *unique_name) {
        for (size_t i = 0; i < PLUGIN_SLOT_COUNT; i++)
                if (g_strcmp0(plugin->slot_owners[i], unique_name) == 0)
                        return (PluginSlot) i;
        return plugin->slot;
}

static void on_checked(Plugin *plugin, const char *error, const char *message, void *userdata) {
        PluginProcess *process = userdata;

        process->provisioning = NULL;
        for (size_t i = 0; i < G_N_ELEMENTS(plugin->owner_questions); i++)
                plugin->owner_questions[i] = sd_bus_slot_unref(plugin->owner_questions[i]);
        /* Nothing is known against it: it runs on, unasked, until that can be looked at. */
        if (g_strcmp0(error, ERROR_PLUGIN_FAILED) == 0 && !plugin->dismissed) {
                process_end(&plugin->process, FALSE, message);
                plugin_fail(plugin, "%s", message);
                return;
        }
        if (!error || plugin->dismissed || g_str_equal(error, ERROR_NOT_APPROVED)) {
                /* It goes with what it knows; what is there now is refused then. */
                if (error && !plugin->dismissed) {
                        process->outdated = TRUE;
                        process->unsure = FALSE;
                }
                process->checked = TRUE;
                process->slot = plugin->slot;
                process->unit = plugin->units[plugin->slot];
                plugin_set_timer(plugin, plugin_timeout(plugin, TIMEOUT_START));
                plugin_adopt(plugin);
                return;
        }
        /* Without systemd it cannot be killed: nobody has asked yet who it is. */
        send_away(plugin, process->candidate);
        process_fail(process, "%s", message);
}

/* Not of one that an earlier daemon had started: what that was approved for is known. */
static gboolean is_to_be_checked(const Plugin *plugin, const char *serving) {
        return *serving && plugin->state == PLUGIN_LOADING && plugin->process && !plugin->process->checked &&
                !plugin->dismissed && !plugin->behind && !origin_is(plugin, serving);
}

/* FALSE: there is nothing to wait for. */
static gboolean check(Plugin *plugin, const char *serving) {
        PluginProcess *process = plugin->process;

        process->slot = slot_of(plugin, serving);
        process->unit = plugin->units[process->slot];
        process->unsure = TRUE;
        process->candidate = g_strdup(serving);
        if (!provision_needed(plugin, process->manifest, process->slot))
                return FALSE;
        process->provisioning = provision_begin(plugin, process->manifest, process->slot, on_checked, process);
        if (!process->provisioning)
                process_fail(process, "could not be adopted: the bus takes no message");
        return TRUE;
}

/* The last of the answers: whose the name is. */
static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        const char *owner = "";
        g_autofree char *serving = NULL, *obstacle = NULL;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "s", &owner) < 0)
                owner = "";
        serving = g_strdup(newest(plugin, owner));
        if (is_to_be_checked(plugin, serving) && check(plugin, serving))
                return 1;
        plugin->looked = TRUE;
        for (size_t i = 0; i < PLUGIN_SLOT_COUNT; i++) {
                g_autofree char *other = g_steal_pointer(&plugin->slot_owners[i]);

                if (other && strcmp(other, serving) == 0)
                        take(plugin, (PluginSlot) i);
                else if (other) {
                        send_away(plugin, other);
                        g_free(plugin->gone[i]);
                        plugin->gone[i] = g_steal_pointer(&other);
                }
        }
        if (plugin->state != PLUGIN_LOADING || !plugin->process)
                return 1;
        if (plugin->dismissed && !*serving) {
                plugin_stopped(plugin, "did not run");
                return 1;
        }
        if (!plugin->dismissed &&
            (plugin->behind ? !origin_is(plugin, serving) : !*serving && plugin->next_manifest))
                look_again(plugin, *serving, "is not what was left behind");
        else if (*serving) {
                plugin->process->adopted = TRUE;
                plugin_owner_changed(plugin, owner);
                if (!g_str_equal(serving, owner))
                        process_greet(plugin->process, serving);
        } else if ((obstacle = configuration_obstacle(plugin)))
                /* Of one that runs already its limits would not have been in the way. */
                look_again(plugin, FALSE, "did not run");
        else
                plugin_start_process(plugin);
        return 1;
}

static int on_slot_owner(sd_bus_message *reply, Plugin *plugin, PluginSlot slot) {
        const char *owner;

        if (!sd_bus_message_is_method_error(reply, NULL) && sd_bus_message_read(reply, "s", &owner) >= 0)
                plugin->slot_owners[slot] = g_strdup(owner);
        return 1;
}

static int on_slot_a(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return on_slot_owner(reply, userdata, PLUGIN_SLOT_A);
}

static int on_slot_b(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        return on_slot_owner(reply, userdata, PLUGIN_SLOT_B);
}

gboolean plugin_adopting(const Plugin *plugin) {
        if (plugin->state == PLUGIN_LOADING && !plugin->looked && !plugin_is_native(plugin))
                return TRUE;
        return (plugin->state == PLUGIN_LOADING || plugin->state == PLUGIN_INITIALIZING) && plugin->process &&
                plugin->process->adopted;
}

void plugin_adopt(Plugin *plugin) {
        const struct {
                const char *name;
                sd_bus_message_handler_t handler;
        } questions[] = {
                { plugin->slot_names[PLUGIN_SLOT_A], on_slot_a },
                { plugin->slot_names[PLUGIN_SLOT_B], on_slot_b },
                { plugin->name, on_owner },
        };
        int r = 0;

        for (size_t i = 0; i < PLUGIN_SLOT_COUNT; i++)
                g_clear_pointer(&plugin->slot_owners[i], g_free);
        /* The bus answers in order. */
        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(questions); i++)
                r = sd_bus_call_method_async(plugin->plugins->parameters.bus, &plugin->owner_questions[i],
                                             "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                             "GetNameOwner", questions[i].handler, plugin, "s", questions[i].name);
        if (r < 0)
                plugin_fail(plugin, "could not be started: the bus takes no message");
}
