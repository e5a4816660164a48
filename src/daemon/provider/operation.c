/* SPDX-License-Identifier: Apache-2.0 */

/* Calls of a provider's contract, and what its permissions are worth. */

#include "base/names.h"
#include "bus/dictionary.h"
#include "config.h"
#include "daemon/provider/provider.h"
#include "util/json.h"

Operation *operation_new(Provider *provider) {
        Operation *operation = g_new0(Operation, 1);

        operation->provider = provider;
        operation->instance_id = g_strdup("");
        g_ptr_array_add(provider->providers->operations, operation);
        return operation;
}

void operation_free(void *data) {
        Operation *operation = data;

        sd_event_source_disable_unref(operation->timer);
        g_clear_pointer(&operation->request, request_end);
        g_free(operation->action);
        g_free(operation->reason);
        g_free(operation->instance_id);
        g_clear_pointer(&operation->options, json_object_unref);
        g_free(operation);
}

void operation_end(Operation *operation) {
        g_ptr_array_remove_fast(operation->provider->providers->operations, operation);
}

static void drop_operation(void *operation) {
        operation_end(operation);
}

int operation_begin(Provider *provider, sd_bus_message *call, const char *instance_id, JsonObject *options,
                    Operation **ret, sd_bus_error *error) {
        Operation *operation;
        Request *request;
        int r;

        r = plugin_check_room(provider->plugin, error);
        if (r >= 0)
                r = request_begin(provider->plugin, call, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        operation = operation_new(provider);
        operation->request = request;
        request_belongs_to(request, operation, drop_operation, NULL);
        g_free(operation->instance_id);
        operation->instance_id = g_strdup(instance_id);
        operation->options = options ? json_object_ref(options) : NULL;
        *ret = operation;
        return 0;
}

void operation_call(Operation *operation, const char *member, gboolean without_effect, PluginCallAppend append,
                    PluginCallDone done) {
        if (operation->request)
                (void) request_call(operation->request, CLOUD_PROVIDER_INTERFACE, member, without_effect, append,
                                    done);
        else
                (void) plugin_call(operation->provider->plugin, CLOUD_PROVIDER_INTERFACE, member, 0, without_effect,
                                   append, done, operation);
}

int append_instance_id(sd_bus_message *message, void *userdata) {
        const Operation *operation = userdata;

        return sd_bus_message_append(message, "s", operation->instance_id);
}

int append_instance_and_options(sd_bus_message *message, void *userdata) {
        const Operation *operation = userdata;
        int r = sd_bus_message_append(message, "s", operation->instance_id);

        return r < 0 ? r : dictionary_append(message, operation->options, NULL);
}

int append_tags(sd_bus_message *message, void *userdata) {
        const Operation *operation = userdata;
        JsonObjectIter iter;
        const char *name;
        JsonNode *value;
        int r = sd_bus_message_open_container(message, 'a', "{ss}");

        json_object_iter_init_ordered(&iter, operation->options);
        while (r >= 0 && json_object_iter_next_ordered(&iter, &name, &value))
                r = sd_bus_message_append(message, "{ss}", name, json_node_get_string(value));
        return r < 0 ? r : sd_bus_message_close_container(message);
}

gboolean permission_of_another(const char *name, const char *action) {
        return stop_action_known(name) && !g_str_equal(name, action);
}

void provider_forget_permissions(Provider *provider) {
        provider->permissions_known = FALSE;
        for (size_t i = 0; i < STOP_ACTION_COUNT; i++)
                g_clear_pointer(&provider->obstacles[i], g_free);
}

static char *obstacle_text(const Provider *provider, const char *name, const char *explanation) {
        const char *id = provider_id(provider);

        if (stop_action_known(name))
                return g_strdup_printf("%s cannot %s this machine: %s; " SNOOZE_COMMAND " provider check %s", id, name,
                                       explanation, id);
        return g_strdup_printf("%s lacks the permission %s (%s); " SNOOZE_COMMAND " provider check %s", id, name,
                               explanation, id);
}

static void learn_obstacle(Provider *provider, const char *name, const char *explanation) {
        for (size_t i = 0; i < STOP_ACTION_COUNT; i++)
                if (!provider->obstacles[i] && !permission_of_another(name, stop_action_names[i]))
                        provider->obstacles[i] = obstacle_text(provider, name, explanation);
}

void provider_learn_permissions(Provider *provider, JsonArray *permissions) {
        provider_forget_permissions(provider);
        provider->permissions_known = TRUE;
        for (guint i = 0; i < json_array_get_length(permissions); i++) {
                JsonObject *row = json_array_get_object_element(permissions, i);
                const char *name = json_get_string(row, "name", "");

                if (!json_get_boolean(row, "granted", FALSE) && !g_str_has_suffix(name, PERMISSION_OPTIONAL_SUFFIX))
                        learn_obstacle(provider, name, json_get_string(row, "explanation", ""));
        }
        provider_tell_permitted(provider);
}

const char *provider_obstacle(const Provider *provider, const char *action) {
        StopAction wanted = stop_action_find(action);

        return wanted == STOP_ACTION_COUNT ? NULL : provider->obstacles[wanted];
}

void provider_tell_permitted(Provider *provider) {
        const Providers *providers = provider->providers;
        const ProvidersParameters *parameters = &providers->parameters;

        if (provider == providers->active && provider->permissions_known && parameters->permitted &&
            !provider_obstacle(provider, providers->config->stop_action))
                parameters->permitted(parameters->userdata);
}
