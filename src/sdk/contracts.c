/* SPDX-License-Identifier: Apache-2.0 */

/* The object of a plugin: one vtable per interface of introspection/io.cloudsnooze.Plugin1*.xml, each registered where
 * the table has its functions, on every connection that carries calls. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "sdk/contract.h"
#include "sdk/text.h"

int contract_begin(SnoozePluginInstance *instance, sd_bus_message *m, CallParts parts, SnoozePluginCall **ret,
                   sd_bus_error *error) {
        int r;

        if (instance->stage != STAGE_INITIALIZED)
                return sd_bus_error_setf(error, ERROR_NOT_INITIALIZED, "%s was called before Handshake and Initialize",
                                         instance->plugin.id);
        life_used(instance);
        r = call_new(instance, m, parts, ret, error);
        if (r >= 0)
                state_used(instance);
        return r;
}

int contract_begin_with_dictionary(SnoozePluginInstance *instance, sd_bus_message *m, CallParts parts,
                                   SnoozePluginCall **ret, const SnoozePluginDictionary **ret_dictionary,
                                   sd_bus_error *error) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *dictionary = NULL;
        int r;

        r = dictionary_read(m, "{sv}", &dictionary, error);
        if (r < 0)
                return r;
        r = contract_begin(instance, m, parts, ret, error);
        if (r < 0)
                return r;
        *ret_dictionary = dictionary;
        call_keep(*ret, steal(dictionary));
        return 0;
}

/* io.cloudsnooze.Plugin1 */

void contracts_of(const SnoozePlugin *plugin, const char *contracts[static CONTRACTS_MAX]) {
        unsigned n = 0;

        if (plugin->check_idle)
                contracts[n++] = "IdleCheck";
        if (plugin->handle_event)
                contracts[n++] = "EventHandler";
        if (plugin->stop_instance)
                contracts[n++] = "CloudProvider";
        if (plugin->export_state)
                contracts[n++] = "State";
        if (plugin->handle_request)
                contracts[n++] = "RequestHandler";
        if (plugin->watch)
                contracts[n++] = "EventSource";
        if (plugin->process_data)
                contracts[n++] = "DataProcessor";
        contracts[n] = NULL;
}

static int append_info(sd_bus_message *reply, const SnoozePluginInstance *instance) {
        const SnoozePlugin *plugin = &instance->plugin;
        _cleanup_(dictionary_freep) SnoozePluginDictionary *info = dictionary_new();
        const char *contracts[CONTRACTS_MAX];
        int r;

        if (!info)
                return -ENOMEM;
        contracts_of(plugin, contracts);
        (void) snooze_plugin_dictionary_set_string(info, "id", plugin->id);
        (void) snooze_plugin_dictionary_set_string(info, "version", plugin->version);
        (void) snooze_plugin_dictionary_set_strv(info, "contracts", contracts);
        if (plugin->export_state)
                (void) snooze_plugin_dictionary_set_string(info, "state", state_word(instance));
        r = dictionary_failure(info);
        return r < 0 ? r : dictionary_append(reply, info);
}

static int method_handshake(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *host_version;
        uint32_t host_api;
        int r;

        r = sd_bus_message_read(m, "us", &host_api, &host_version);
        if (r < 0)
                return r;
        if (channel_carries(instance, m) && !instance->settled)
                return sd_bus_error_set(error, ERROR_NOT_SUPPORTED, "Who greets has to be on the bus");
        /* A host of API n serves n and n - 1, so this plugin has a place with hosts of its own API and of the next. */
        if (host_api != SNOOZE_PLUGIN_API && host_api != SNOOZE_PLUGIN_API + 1)
                return sd_bus_error_setf(error, ERROR_UNSUPPORTED_API,
                                         "%s speaks plugin API %u: it serves hosts of API %u and %u, not %u",
                                         instance->plugin.id, SNOOZE_PLUGIN_API, SNOOZE_PLUGIN_API,
                                         SNOOZE_PLUGIN_API + 1, host_api);

        r = sd_bus_message_new_method_return(m, &reply);
        if (r < 0)
                return r;
        r = sd_bus_message_append(reply, "u", SNOOZE_PLUGIN_API);
        if (r < 0)
                return r;
        r = append_info(reply, instance);
        if (r < 0)
                return r;

        r = life_greeted(instance, sd_bus_message_get_sender(m));
        if (r < 0)
                return r;
        log_debug("Greeted by a host of version %.32s, API %u", host_version, host_api);
        if (instance->stage == STAGE_STARTED)
                instance->stage = STAGE_GREETED;
        return sd_bus_message_send(reply);
}

/* The configuration is in force from here on. */
static void initialized(SnoozePluginCall *call) {
        SnoozePluginInstance *instance = call_get_instance(call);

        instance->stage = STAGE_INITIALIZED;
        dictionary_free(instance->config);
        instance->config = call_steal_input(call);
}

/* One that lists none and never looks at its configuration has none: whatever it was sent would go unnoticed. */
static const SnoozePluginSetting *settings_of(const SnoozePlugin *plugin) {
        static const SnoozePluginSetting none[] = { { .name = NULL } };

        return plugin->settings || plugin->initialize || plugin->configure ? plugin->settings : none;
}

static int apply(SnoozePluginInstance *instance, sd_bus_message *m, bool again, sd_bus_error *error) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *read = NULL;
        const SnoozePlugin *plugin = &instance->plugin;
        const SnoozePluginDictionary *config;
        SnoozePluginCall *call;
        int r;

        r = dictionary_read(m, "{sv}", &read, error);
        if (r < 0)
                return r;
        if (instance->stage == STAGE_STARTED)
                return sd_bus_error_setf(error, ERROR_NOT_INITIALIZED, "%s was called before Handshake", plugin->id);
        if (again && instance->stage != STAGE_INITIALIZED)
                return sd_bus_error_setf(error, ERROR_NOT_INITIALIZED, "%s was called before Initialize", plugin->id);
        r = settings_apply(settings_of(plugin), read, error);
        if (r < 0)
                return r;

        life_used(instance);
        r = call_new(instance, m, 0, &call, error);
        if (r < 0)
                return r;
        config = read;
        call_keep(call, steal(read));
        call_on_success(call, initialized);
        /* A daemon that came back initializes a plugin that never left: to the plugin that is a changed configuration.
         */
        if (instance->stage == STAGE_INITIALIZED && plugin->configure)
                return call_return(call, plugin->configure(call, config, plugin->userdata));
        if (plugin->initialize)
                return call_return(call, plugin->initialize(call, config, plugin->userdata));
        return call_return(call, 0);
}

static int method_initialize(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return apply(userdata, m, false, error);
}

static int method_configure(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return apply(userdata, m, true, error);
}

static int method_ping(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return sd_bus_reply_method_return(m, NULL);
}

static int method_open_channel(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return channel_open(userdata, m, error);
}

static int method_shutdown(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        int r;

        /* Whoever has the answer finds nothing that is older than what it has. */
        state_handed_over(userdata);
        r = sd_bus_reply_method_return(m, NULL);
        life_leave(userdata, "asked to");
        return r;
}

static const sd_bus_vtable plugin_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("Handshake", SD_BUS_ARGS("u", host_api, "s", host_version),
                                SD_BUS_RESULT("u", plugin_api, "a{sv}", info), method_handshake,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Initialize", SD_BUS_ARGS("a{sv}", config), SD_BUS_NO_RESULT, method_initialize,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Configure", SD_BUS_ARGS("a{sv}", config), SD_BUS_NO_RESULT, method_configure,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Ping", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_ping, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("OpenChannel", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", channel), method_open_channel,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("Shutdown", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_shutdown,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_SIGNAL_WITH_ARGS("Leaving", SD_BUS_NO_ARGS, 0),
        SD_BUS_VTABLE_END,
};

/* .IdleCheck */

/* Many checks look at what they know better than the daemon: metrics are read where somebody does. */
static int method_check_idle(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginDictionary *metrics;
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        int r;

        r = contract_begin(instance, m, CALL_VERDICT | CALL_RESULT, &call, error);
        if (r < 0)
                return r;
        r = dictionary_read_later(m, "{sv}", &metrics);
        if (r < 0)
                return call_return(call, r);
        call_keep(call, metrics);
        return call_return(call, instance->plugin.check_idle(call, metrics, instance->plugin.userdata));
}

static const sd_bus_vtable idle_check_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD_WITH_ARGS("CheckIdle", SD_BUS_ARGS("a{sv}", metrics),
                                SD_BUS_RESULT("s", verdict, "s", reason, "a{sv}", details), method_check_idle,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* .EventHandler */

static int property_supported_events(sd_bus *bus, const char *path, const char *interface, const char *property,
                                     sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;

        return sd_bus_message_append_strv(reply, (char **) instance->plugin.supported_events);
}

static int method_handle_event(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const SnoozePluginDictionary *event;
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        int r;

        r = contract_begin_with_dictionary(instance, m, CALL_ANSWER | CALL_RESULT, &call, &event, error);
        if (r < 0)
                return r;
        call_set_budget(call, snooze_plugin_dictionary_get_uint(event, "budget", UINT64_MAX));
        return call_return(call, instance->plugin.handle_event(call, event, instance->plugin.userdata));
}

static const sd_bus_vtable event_handler_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("SupportedEvents", "as", property_supported_events, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_ARGS("HandleEvent", SD_BUS_ARGS("a{sv}", event),
                                SD_BUS_RESULT("b", handled, "a{sv}", result), method_handle_event,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* .CloudProvider */

static int not_supported(const SnoozePluginInstance *instance, sd_bus_message *m, sd_bus_error *error) {
        return sd_bus_error_setf(error, ERROR_NOT_SUPPORTED, "%s does not support %s", instance->plugin.id,
                                 sd_bus_message_get_member(m));
}

static int property_provider(sd_bus *bus, const char *path, const char *interface, const char *property,
                             sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const SnoozePlugin *plugin = &((SnoozePluginInstance *) userdata)->plugin;
        const char *value;

        if (strcmp(property, "ProviderName") == 0)
                value = plugin->provider_name;
        else if (strcmp(property, "ProviderVersion") == 0)
                value = plugin->version;
        else
                value = plugin->stop_effect(plugin->userdata);
        return sd_bus_message_append_basic(reply, 's', value);
}

static int method_detect(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        int r;

        r = contract_begin(instance, m, CALL_ANSWER, &call, error);
        if (r < 0)
                return r;
        return call_return(call, instance->plugin.detect(call, instance->plugin.userdata));
}

static int method_get_instance_info(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        const char *id;
        int r;

        r = sd_bus_message_read_basic(m, 's', &id);
        if (r < 0)
                return r;
        r = contract_begin(instance, m, CALL_RESULT, &call, error);
        if (r < 0)
                return r;
        return call_return(call, instance->plugin.get_instance_info(call, id, instance->plugin.userdata));
}

static int change_instance(SnoozePluginInstance *instance, sd_bus_message *m,
                           int (*function)(SnoozePluginCall *, const char *, const SnoozePluginDictionary *, void *),
                           sd_bus_error *error) {
        const SnoozePluginDictionary *options;
        SnoozePluginCall *call;
        const char *id;
        int r;

        if (!function)
                return not_supported(instance, m, error);
        r = sd_bus_message_read_basic(m, 's', &id);
        if (r < 0)
                return r;
        r = contract_begin_with_dictionary(instance, m, 0, &call, &options, error);
        if (r < 0)
                return r;
        return call_return(call, function(call, id, options, instance->plugin.userdata));
}

static int method_stop_instance(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;

        return change_instance(instance, m, instance->plugin.stop_instance, error);
}

static int method_start_instance(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;

        return change_instance(instance, m, instance->plugin.start_instance, error);
}

static int method_check_permissions(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        int r;

        if (!instance->plugin.check_permissions)
                return not_supported(instance, m, error);
        r = contract_begin(instance, m, CALL_PERMISSIONS, &call, error);
        if (r < 0)
                return r;
        return call_return(call, instance->plugin.check_permissions(call, instance->plugin.userdata));
}

static int method_set_tags(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        _cleanup_(dictionary_freep) SnoozePluginDictionary *tags = NULL;
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        int r;

        if (!instance->plugin.set_tags)
                return not_supported(instance, m, error);
        r = dictionary_read(m, "{ss}", &tags, error);
        if (r < 0)
                return r;
        r = contract_begin(instance, m, 0, &call, error);
        if (r < 0)
                return r;
        call_keep(call, tags);
        return call_return(call, instance->plugin.set_tags(call, steal(tags), instance->plugin.userdata));
}

static const sd_bus_vtable cloud_provider_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("ProviderName", "s", property_provider, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("ProviderVersion", "s", property_provider, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_PROPERTY("StopEffect", "s", property_provider, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_METHOD_WITH_ARGS("Detect", SD_BUS_NO_ARGS, SD_BUS_RESULT("b", detected), method_detect,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("GetInstanceInfo", SD_BUS_ARGS("s", instance_id), SD_BUS_RESULT("a{sv}", info),
                                method_get_instance_info, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StopInstance", SD_BUS_ARGS("s", instance_id, "a{sv}", options), SD_BUS_NO_RESULT,
                                method_stop_instance, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("StartInstance", SD_BUS_ARGS("s", instance_id, "a{sv}", options), SD_BUS_NO_RESULT,
                                method_start_instance, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("CheckPermissions", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sbs)", permissions),
                                method_check_permissions, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_METHOD_WITH_ARGS("SetTags", SD_BUS_ARGS("a{ss}", tags), SD_BUS_NO_RESULT, method_set_tags,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* .RequestHandler */

static int property_methods(sd_bus *bus, const char *path, const char *interface, const char *property,
                            sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        SnoozePluginInstance *instance = userdata;

        return sd_bus_message_append_strv(reply, (char **) instance->plugin.methods);
}

static bool has_method(const SnoozePlugin *plugin, const char *method) {
        for (const char *const *p = plugin->methods; *p; p++)
                if (strcmp(*p, method) == 0)
                        return true;
        return false;
}

static int method_handle(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const SnoozePluginDictionary *params;
        SnoozePluginInstance *instance = userdata;
        SnoozePluginCall *call;
        const char *method;
        int r;

        r = sd_bus_message_read_basic(m, 's', &method);
        if (r < 0)
                return r;
        if (!has_method(&instance->plugin, method))
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "%s has no method %.*s", instance->plugin.id,
                                         text_cut(method, 64), method);
        r = contract_begin_with_dictionary(instance, m, CALL_ANSWER | CALL_RESULT, &call, &params, error);
        if (r < 0)
                return r;
        return call_return(call, instance->plugin.handle_request(call, method, params, instance->plugin.userdata));
}

static const sd_bus_vtable request_handler_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Methods", "as", property_methods, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        SD_BUS_METHOD_WITH_ARGS("Handle", SD_BUS_ARGS("s", method, "a{sv}", params),
                                SD_BUS_RESULT("b", success, "a{sv}", result), method_handle,
                                SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

int contracts_serve(SnoozePluginInstance *instance, sd_bus *bus) {
        const SnoozePlugin *plugin = &instance->plugin;
        const struct {
                const char *interface;
                const sd_bus_vtable *vtable;
                bool serves;
        } contracts[] = {
                { PLUGIN_INTERFACE, plugin_vtable, true },
                { IDLE_CHECK_INTERFACE, idle_check_vtable, plugin->check_idle },
                { EVENT_HANDLER_INTERFACE, event_handler_vtable, plugin->handle_event },
                { CLOUD_PROVIDER_INTERFACE, cloud_provider_vtable, plugin->stop_instance },
                { STATE_INTERFACE, state_vtable, plugin->export_state },
                { REQUEST_HANDLER_INTERFACE, request_handler_vtable, plugin->handle_request },
                { EVENT_SOURCE_INTERFACE, event_source_vtable, plugin->watch },
                { DATA_PROCESSOR_INTERFACE, data_processor_vtable, plugin->process_data },
        };
        int r;

        for (size_t i = 0; i < sizeof(contracts) / sizeof(contracts[0]); i++) {
                if (!contracts[i].serves)
                        continue;
                r = sd_bus_add_object_vtable(bus, NULL, PLUGIN_PATH, contracts[i].interface, contracts[i].vtable,
                                             instance);
                if (r < 0)
                        return r;
        }
        return 0;
}
