/* SPDX-License-Identifier: Apache-2.0 */

/* A plugin that ran before the daemon did is found when somebody asks it something (adopt.c). Who disables, unloads or
 * restarts it before that means the process that runs, too: it is looked for in order to be sent away as one that
 * serves is, with what it knows. Where there is none nothing happens. */

#include "base/cleanup.h"
#include "base/errors.h"
#include "daemon/plugin/plugin.h"

/* By whatever manifest: it is asked nothing but who it is and what it knows. */
static void find(Plugin *plugin) {
        if (!plugin_set_state(plugin, PLUGIN_LOADING, "is looked for") || plugin->state != PLUGIN_LOADING)
                return;
        /* Of two it is the one that serves. */
        origin_learn(plugin);
        plugin->process = process_new(plugin, plugin->slot, plugin->manifest, plugin_serving_hooks());
        plugin_adopt(plugin);
}

/* Nor is to, as was said while the bus was asked. */
static void refuse_calls(Plugin *plugin) {
        g_autofree char *why = plugin_may_run(plugin) ? NULL : plugin_why_not(plugin);

        if (why)
                plugin_calls_fail(plugin, ERROR_NOT_RUNNING, why);
}

static void nobody_runs(Plugin *plugin) {
        gboolean again;

        refuse_calls(plugin);
        again = plugin->restart_wanted || !g_queue_is_empty(&plugin->calls);
        plugin->dismissed = FALSE;
        plugin->restart_wanted = again;
        /* Its files may have gone: so does it now. */
        plugin_look_again(plugin);
        if (!again) {
                plugin_settle_all(plugin);
                return;
        }
        /* It is down, for whoever waited for that: whoever wants it up waits on. */
        plugin_settle_reached(plugin);
        plugin->restart_wanted = FALSE;
        plugin_begin(plugin);
        /* What it waits for may come yet: how it ended before is no answer. */
        if (!plugin_awaited(plugin))
                plugin_settle_reached(plugin);
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;

        plugin->leftover_question = sd_bus_slot_unref(plugin->leftover_question);
        /* One whose files are broken meanwhile, or of which the bus says nothing, may run all the same. */
        plugin->looked |= sd_bus_message_is_method_error(reply, SD_BUS_ERROR_NAME_HAS_NO_OWNER) > 0;
        /* Somebody has it looked for in order to ask it. */
        if (plugin_active(plugin))
                return 1;
        if (plugin->manifest && !sd_bus_message_is_method_error(reply, NULL))
                find(plugin);
        else
                nobody_runs(plugin);
        return 1;
}

gboolean plugin_dismiss(Plugin *plugin) {
        if (plugin->looked || !plugin->manifest || plugin_is_native(plugin) || plugin_active(plugin))
                return FALSE;
        if (!plugin->dismissed)
                plugin->dismissed = sd_bus_call_method_async(plugin->plugins->parameters.bus,
                                                             &plugin->leftover_question, "org.freedesktop.DBus",
                                                             "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                                             "GetNameOwner", on_owner, plugin, "s", plugin->name) >= 0;
        return plugin->dismissed;
}
