/* SPDX-License-Identifier: Apache-2.0 */

/* Plugin.Configure, and SetConfiguration where it gives plugins values: each of them that runs is asked before
 * anything is kept, so that what one refuses is neither in the configuration, where its next start would fail over it,
 * nor reported as in force. */

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "bus/owner.h"
#include "daemon/plugin/plugin.h"
#include "daemon/plugin/request.h"

/* All plugins of one call together, whatever their manifests say: less than the 25 s that clients wait, so that what
 * comes later is not made behind their backs. */
#define QUESTIONS_TIME (20 * USEC_PER_SEC)
/* At a time, each with a watch of its caller. */
#define CONFIGURINGS_MAX 16U

typedef struct Configuring {
        Plugins *plugins;
        JsonObject *configs; /* id → what the caller gives */
        char **ids;
        guint next;          /* of ids: those before it have agreed, or need not be asked */
        ConfigCaller caller;
        sd_bus_slot *watch;  /* of the caller */
        gboolean left;       /* nobody waits for the answer any more */
        uint64_t deadline;   /* monotonic */
        Request *request;    /* to the one before next, while that is asked … */
        JsonObject *asked;   /* … about everything that would be in force then */
        PluginsAgreed agreed;
        void *userdata;
} Configuring;

static void configuring_free(void *data) {
        Configuring *configuring = data;

        configuring->plugins->configurings--;
        sd_bus_slot_unref(configuring->watch);
        json_object_unref(configuring->configs);
        g_strfreev(configuring->ids);
        sd_bus_message_unref(configuring->caller.call);
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
        g_clear_pointer(&process->sent, json_object_unref);
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
        _cleanup_bus_message_ sd_bus_message *call = sd_bus_message_ref(configuring->caller.call);
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

/* However long they take to answer, nothing is made behind the caller's back. */
static int check_wanted(const Configuring *configuring, sd_bus_error *error) {
        return configuring->left ? sd_bus_error_set(error, ERROR_TIMED_OUT,
                                                    "Nothing is changed: nobody waits for it any more.")
                                 : 0;
}

static int ask(Configuring *configuring, Plugin *plugin, sd_bus_error *error) {
        uint64_t left = usec_sub(configuring->deadline, clock_monotonic());
        int r = check_wanted(configuring, error);

        if (r < 0)
                return r;
        /* Nobody is to blame who would have had no time. */
        if (left < USEC_PER_SEC)
                return sd_bus_error_setf(error, ERROR_TIMED_OUT,
                                         "Nothing is changed: the plugins did not answer within %u s.",
                                         (unsigned) (QUESTIONS_TIME / USEC_PER_SEC));
        r = plugin_check_room_to_configure(plugin, error);
        if (r >= 0)
                r = request_begin(plugin, configuring->caller.call, NULL, NULL, &configuring->request, error);
        if (r >= 0)
                configuring->request->timeout = MIN(left, plugin_timeout(plugin, TIMEOUT_INITIALIZE));
        return r;
}

/* As a D-Bus method handler returns; where that is an error, it is over. */
static int ask_next(Configuring *configuring, sd_bus_error *error) {
        int r;

        while (configuring->ids[configuring->next]) {
                const char *id = configuring->ids[configuring->next++];
                Plugin *plugin = plugins_find(configuring->plugins, id);
                JsonObject *asked = values_to_ask(plugin, json_object_get_member(configuring->configs, id));

                if (!asked)
                        continue;
                g_clear_pointer(&configuring->asked, json_object_unref);
                configuring->asked = asked;
                r = ask(configuring, plugin, error);
                if (r < 0) {
                        give_up(configuring);
                        return r;
                }
                request_belongs_to(configuring->request, configuring, drop, configuring_free);
                r = request_call(configuring->request, PLUGIN_INTERFACE, "Configure", FALSE, append_asked, on_asked);
                if (r >= 0)
                        plugin_call_ends_by(plugin, configuring, configuring->deadline);
                return r;
        }
        r = check_wanted(configuring, error);
        if (r < 0) {
                give_up(configuring);
                return r;
        }
        configuring->agreed(configuring->configs, &configuring->caller, configuring->userdata);
        configuring_free(configuring);
        return 1;
}

static void on_left(const char *sender, void *userdata) {
        Configuring *configuring = userdata;

        configuring->left = TRUE;
        /* Who has not been asked yet is not; an answer that is under way is waited for. */
        if (configuring->request && plugin_call_cancel(configuring->request->plugin, configuring))
                drop(configuring);
}

static int begin(Configuring *configuring, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(configuring->caller.call);
        int r = check_values(configuring, error);

        if (r >= 0 && configuring->plugins->configurings > CONFIGURINGS_MAX)
                r = sd_bus_error_setf(error, ERROR_LIMITS_EXCEEDED,
                                      "%u changes of plugins' configurations are under way; try again.",
                                      CONFIGURINGS_MAX);
        if (r >= 0 && sender)
                r = sender_watch(configuring->plugins->parameters.bus, sender, on_left, configuring,
                                 &configuring->watch);
        return r;
}

int plugins_configure(Plugins *plugins, JsonObject *configs, const ConfigCaller *caller, PluginsAgreed agreed,
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
                                       .caller = *caller,
                                       .deadline = usec_add(clock_monotonic(), QUESTIONS_TIME),
                                       .agreed = agreed,
                                       .userdata = userdata };
        sd_bus_message_ref(caller->call);
        plugins->configurings++;
        r = begin(configuring, error);
        if (r < 0) {
                configuring_free(configuring);
                return r;
        }
        return ask_next(configuring, error);
}
