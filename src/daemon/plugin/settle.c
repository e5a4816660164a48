/* SPDX-License-Identifier: Apache-2.0 */

/* Callers of Load, Unload, Restart and Upgrade, who wait until the plugin is up or down. */

#include "base/errors.h"
#include "daemon/plugin/plugin.h"

typedef struct Settler {
        Plugin *plugin;
        gboolean load;
        PluginSettled done;
        void *userdata;
        sd_bus_error error;
} Settler;

void plugin_settler_free(void *data) {
        Settler *settler = data;

        sd_bus_error_free(&settler->error);
        g_free(settler);
}

static void settler_run(void *data) {
        Settler *settler = data;

        settler->done(settler->plugin, settler->error.name ? &settler->error : NULL, settler->userdata);
}

static void settle(Plugin *plugin, guint i, const char *error, const char *message) {
        Settler *settler = g_ptr_array_steal_index(plugin->settlers, i);

        if (error)
                sd_bus_error_set(&settler->error, error, message);
        plugins_defer(plugin->plugins, settler_run, plugin_settler_free, settler);
}

/* begins: if it was only discovered, it is about to be started, or refused. */
static void settle_reached(Plugin *plugin, gboolean begins) {
        gboolean up = plugin->state == PLUGIN_RUNNING, down = !plugin_active(plugin);
        g_autofree char *why = NULL;

        if (up ? plugin->behind : plugin->dismissed)
                return;
        if (plugin->manifest && !plugin_may_run(plugin))
                why = plugin_why_not(plugin);
        for (guint i = plugin->settlers->len; i-- > 0;) {
                const Settler *settler = g_ptr_array_index(plugin->settlers, i);

                if (settler->load ? up : down)
                        settle(plugin, i, NULL, NULL);
                else if (settler->load && down && !plugin->restart_wanted &&
                         (why || plugin->state != PLUGIN_DISCOVERED || !begins))
                        settle(plugin, i, ERROR_PLUGIN_FAILED,
                               why ?: *plugin->last_error ? plugin->last_error : "It was stopped.");
        }
}

void plugin_settle_reached(Plugin *plugin) {
        settle_reached(plugin, TRUE);
}

void plugin_settle_all(Plugin *plugin) {
        settle_reached(plugin, FALSE);
}

void plugin_settle_later(Plugin *plugin, gboolean load, PluginSettled done, void *userdata) {
        Settler *settler;

        if (!done)
                return;
        settler = g_new0(Settler, 1);
        settler->plugin = plugin;
        settler->load = load;
        settler->done = done;
        settler->userdata = userdata;
        g_ptr_array_add(plugin->settlers, settler);
}

void plugin_settle_refused(Plugin *plugin, PluginSettled done, void *userdata, const char *error,
                           const char *message) {
        if (!done)
                return;
        plugin_settle_later(plugin, TRUE, done, userdata);
        settle(plugin, plugin->settlers->len - 1, error, message);
}
