/* SPDX-License-Identifier: Apache-2.0 */

/* Plugin.Configure: a plugin that runs is asked before anything is kept, so that what it refuses is neither in the
 * configuration, where its next start would fail over it, nor reported as in force. */

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/request.h"

typedef struct Configuring {
        Request *request;
        JsonObject *values, *asked; /* what the caller gives; everything that would be in force with it */
} Configuring;

static void configuring_free(void *data) {
        Configuring *configuring = data;

        json_object_unref(configuring->values);
        json_object_unref(configuring->asked);
        g_free(configuring);
}

/* And so is freed. */
static void configuring_end(void *data) {
        Configuring *configuring = data;

        request_end(configuring->request);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Configuring, configuring_end)

static void keep(Plugin *plugin, JsonObject *values, sd_bus_message *call) {
        const PluginsParameters *parameters = &plugin->plugins->parameters;

        parameters->configure(plugin->id, values, call, parameters->userdata);
}

static int append_asked(sd_bus_message *message, void *userdata) {
        const Configuring *configuring = userdata;
        g_auto(GStrv) hints = schema_hints(configuring->request->plugin->manifest->schema);

        return dictionary_append(message, configuring->asked, (const char *const *) hints);
}

/* values: owned from here on. */
static void took(PluginProcess *process, JsonObject *values) {
        json_object_unref(process->sent);
        process->sent = values;
}

static void on_asked(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        g_autoptr(Configuring) configuring = userdata;
        sd_bus_message *call = configuring->request->call;
        PluginProcess *process = plugin->process;

        if (error && sd_bus_error_has_name(error, ERROR_TIMED_OUT)) {
                (void) sd_bus_reply_method_errorf(call, error->name, "Nothing is changed: %s", error->message);
                /* It may take them yet: what is in force is told again. */
                if (process) {
                        took(process, json_object_new());
                        plugin_reconfigure(plugin);
                }
                return;
        }
        if (error) {
                (void) sd_bus_reply_method_errorf(call, error->name,
                                                  "%s refused its new configuration, nothing is changed: %s",
                                                  plugin->id, error->message);
                return;
        }
        /* Where this is not kept after all, plugin_reconfigure() sees the difference. */
        if (process)
                took(process, json_object_ref(configuring->asked));
        keep(plugin, configuring->values, call);
}

int plugin_configure(Plugin *plugin, JsonObject *values, sd_bus_message *call, sd_bus_error *error) {
        PluginProcess *process = plugin->state == PLUGIN_RUNNING ? plugin->process : NULL;
        g_autoptr(Settings) settings = NULL;
        g_autoptr(GError) e = NULL;
        Configuring *configuring;
        Request *request;
        int r;

        settings = process ? plugin_settings_with(plugin, process->manifest, values, &e) : NULL;
        /* A configuration that is wrong elsewhere is mended step by step: then there is nothing to ask the plugin
         * about yet. */
        if (!settings || json_objects_equal(settings->values, process->sent)) {
                keep(plugin, values, call);
                return 1;
        }
        r = plugin_check_room(plugin, error);
        if (r >= 0)
                r = request_begin(plugin, call, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        configuring = g_new(Configuring, 1);
        *configuring = (Configuring) { .request = request,
                                       .values = json_object_ref(values),
                                       .asked = json_object_ref(settings->values) };
        request_belongs_to(request, configuring, configuring_end, configuring_free);
        return request_call(request, PLUGIN_INTERFACE, "Configure", FALSE, append_asked, on_asked);
}
