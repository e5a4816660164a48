/* SPDX-License-Identifier: Apache-2.0 */

/* Plugin.Configure, and SetConfiguration where it gives plugins values: each of them that runs is asked before
 * anything is kept, so that what one refuses is neither in the configuration, where its next start would fail over it,
 * nor reported as in force. */

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/request.h"

typedef struct Configuring {
        Plugins *plugins;
        JsonObject *configs; /* id → what the caller gives */
        char **ids;
        guint next;          /* of ids: those before it have agreed, or need not be asked */
        sd_bus_message *call;
        Request *request;    /* to the one before next, while that is asked … */
        JsonObject *asked;   /* … about everything that would be in force then */
        PluginsAgreed agreed;
        void *userdata;
} Configuring;

static void configuring_free(void *data) {
        Configuring *configuring = data;

        json_object_unref(configuring->configs);
        g_strfreev(configuring->ids);
        sd_bus_message_unref(configuring->call);
        g_clear_pointer(&configuring->asked, json_object_unref);
        g_free(configuring);
}

static void request_over(Configuring *configuring) {
        Request *request = steal(configuring->request);

        request_belongs_to(request, NULL, NULL, NULL);
        request_end(request);
}

/* Nothing is changed: who had agreed already is told what stays in force. */
static void give_up(Configuring *configuring) {
        for (guint i = 0; i < configuring->next; i++) {
                Plugin *plugin = plugins_find(configuring->plugins, configuring->ids[i]);

                if (plugin)
                        plugin_reconfigure(plugin);
        }
        configuring_free(configuring);
}

static void drop(void *data) {
        Configuring *configuring = data;

        request_over(configuring);
        give_up(configuring);
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

/* What is taken back (null) is not known here: below it is what the files say. */
static JsonObject *values_given(JsonNode *config) {
        JsonObject *values = json_object_new();
        JsonObjectIter iterator;
        const char *name;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(config))
                return values;
        json_object_iter_init(&iterator, json_node_get_object(config));
        while (json_object_iter_next(&iterator, &name, &value))
                if (!JSON_NODE_HOLDS_NULL(value) && !g_str_equal(name, "events"))
                        json_object_set_member(values, name, json_node_ref(value));
        return values;
}

/* The one that is to be asked; NULL: it does not run. */
static PluginProcess *process_to_ask(const Plugin *plugin) {
        return plugin && plugin->state == PLUGIN_RUNNING ? plugin->process : NULL;
}

/* What cannot be is not put to anybody, and not kept. */
static int check_values(const Configuring *configuring, sd_bus_error *error) {
        for (char **id = configuring->ids; *id; id++) {
                const PluginProcess *process = process_to_ask(plugins_find(configuring->plugins, *id));
                g_autoptr(JsonObject) values = values_given(json_object_get_member(configuring->configs, *id));
                g_autofree char *name = g_strdup_printf("/plugins/plugin_configs/%s", *id);
                g_autoptr(GError) problem = NULL;

                if (process && !schema_check(process->manifest->schema, name, values, &problem))
                        return sd_bus_error_set(error, ERROR_INVALID_CONFIGURATION, problem->message);
        }
        return 0;
}

/* NULL: there is nothing to ask. A configuration that is wrong elsewhere is mended step by step: then there is not
 * yet. */
static JsonObject *values_to_ask(Plugin *plugin, JsonNode *config) {
        PluginProcess *process = process_to_ask(plugin);
        g_autoptr(JsonObject) values = values_given(config);
        g_autoptr(Settings) settings = NULL;

        if (!process)
                return NULL;
        settings = plugin_settings_with(plugin, process->manifest, values, NULL);
        return settings && !json_objects_equal(settings->values, process->sent) ? json_object_ref(settings->values)
                                                                                 : NULL;
}

static int ask_next(Configuring *configuring, sd_bus_error *error);

static void on_asked(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Configuring *configuring = userdata;
        _cleanup_bus_message_ sd_bus_message *call = sd_bus_message_ref(configuring->call);
        _cleanup_bus_error_ sd_bus_error problem = SD_BUS_ERROR_NULL;
        PluginProcess *process = plugin->process;
        int r;

        request_over(configuring);
        if (error && sd_bus_error_has_name(error, ERROR_TIMED_OUT)) {
                (void) sd_bus_reply_method_errorf(call, error->name, "Nothing is changed: %s", error->message);
                /* It may take them yet: what is in force is told again. */
                if (process)
                        took(process, json_object_new());
                give_up(configuring);
                return;
        }
        if (error) {
                (void) sd_bus_reply_method_errorf(call, error->name,
                                                  "%s refused its new configuration, nothing is changed: %s",
                                                  plugin->id, error->message);
                give_up(configuring);
                return;
        }
        /* Where this is not kept after all, plugin_reconfigure() sees the difference. */
        if (process)
                took(process, json_object_ref(configuring->asked));
        r = ask_next(configuring, &problem);
        if (r < 0 && sd_bus_error_is_set(&problem))
                (void) sd_bus_reply_method_error(call, &problem);
        else if (r < 0)
                (void) sd_bus_reply_method_errno(call, r, NULL);
}

/* As a D-Bus method handler returns; where that is an error, it is over. */
static int ask_next(Configuring *configuring, sd_bus_error *error) {
        while (configuring->ids[configuring->next]) {
                const char *id = configuring->ids[configuring->next++];
                Plugin *plugin = plugins_find(configuring->plugins, id);
                JsonObject *asked = values_to_ask(plugin, json_object_get_member(configuring->configs, id));
                int r;

                if (!asked)
                        continue;
                g_clear_pointer(&configuring->asked, json_object_unref);
                configuring->asked = asked;
                r = plugin_check_room_to_configure(plugin, error);
                if (r >= 0)
                        r = request_begin(plugin, configuring->call, NULL, NULL, &configuring->request, error);
                if (r < 0) {
                        give_up(configuring);
                        return r;
                }
                request_belongs_to(configuring->request, configuring, drop, configuring_free);
                return request_call(configuring->request, PLUGIN_INTERFACE, "Configure", FALSE, append_asked,
                                    on_asked);
        }
        configuring->agreed(configuring->configs, configuring->call, configuring->userdata);
        configuring_free(configuring);
        return 1;
}

int plugins_configure(Plugins *plugins, JsonObject *configs, sd_bus_message *call, PluginsAgreed agreed,
                      void *userdata, sd_bus_error *error) {
        g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
        Configuring *configuring = g_new(Configuring, 1);
        JsonObjectIter iterator;
        const char *id;
        JsonNode *config;
        int r;

        json_object_iter_init_ordered(&iterator, configs);
        while (json_object_iter_next_ordered(&iterator, &id, &config))
                g_strv_builder_add(ids, id);
        *configuring = (Configuring) { .plugins = plugins,
                                       .configs = json_object_ref(configs),
                                       .ids = g_strv_builder_end(ids),
                                       .call = sd_bus_message_ref(call),
                                       .agreed = agreed,
                                       .userdata = userdata };
        r = check_values(configuring, error);
        if (r < 0) {
                configuring_free(configuring);
                return r;
        }
        return ask_next(configuring, error);
}
