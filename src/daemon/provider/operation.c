/* SPDX-License-Identifier: Apache-2.0 */

/* Calls of a provider's contract, and what its replies are allowed to be. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "config.h"
#include "daemon/provider/provider.h"
#include "util/json.h"
#include "util/line.h"

#define PERMISSIONS_MAX 256U
#define TEXT_MAX 1024U
#define NAME_MAX_BYTES 256U

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

static gboolean is_string(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING &&
                strlen(json_node_get_string(node)) <= TEXT_MAX;
}

static gboolean is_time(JsonNode *node) {
        return JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64 &&
               json_node_get_int(node) >= 0;
}

static gboolean is_tags(JsonNode *node) {
        JsonObjectIter iter;
        const char *key;
        JsonNode *value;

        if (!JSON_NODE_HOLDS_OBJECT(node))
                return FALSE;
        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, &key, &value))
                if (!is_string(value))
                        return FALSE;
        return TRUE;
}

static const struct {
        const char *key;
        gboolean (*valid)(JsonNode *node);
} info_members[] = {
        { "id", is_string },        { "name", is_string }, { "type", is_string },      { "region", is_string },
        { "zone", is_string },      { "state", is_string }, { "lifecycle", is_string }, { "launch-time", is_time },
        { "tags", is_tags },
};

/* It stands in reasons, in the journal and on terminals: on one line. */
static char *line_of(const char *text) {
        char *line = g_strdup(text);

        line_clean(line);
        return line;
}

static JsonNode *clean_copy(JsonNode *node) {
        JsonNode *copy = json_node_alloc();
        g_autofree char *line = NULL;
        JsonObjectIter iter;
        JsonObject *object;
        const char *key;
        JsonNode *value;

        if (JSON_NODE_HOLDS_OBJECT(node)) {
                object = json_object_new();
                json_object_iter_init_ordered(&iter, json_node_get_object(node));
                while (json_object_iter_next_ordered(&iter, &key, &value)) {
                        g_autofree char *name = line_of(key);

                        json_object_set_member(object, name, clean_copy(value));
                }
                copy = json_node_init_object(copy, object);
                json_object_unref(object);
                return copy;
        }
        if (json_node_get_value_type(node) != G_TYPE_STRING)
                return json_node_init_int(copy, json_node_get_int(node));
        line = line_of(json_node_get_string(node));
        return json_node_init_string(copy, line);
}

JsonObject *instance_info_read(sd_bus_message *reply, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) all = NULL, info = json_object_new();

        if (dictionary_read(reply, &dictionary_limits_default, &all, &error) < 0) {
                *ret_problem = g_strdup(error.message ?: "not a{sv}");
                return NULL;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(info_members); i++) {
                JsonNode *node = json_object_get_member(all, info_members[i].key);

                if (!node)
                        continue;
                if (!info_members[i].valid(node)) {
                        *ret_problem = g_strdup_printf("%s has a wrong type or is too long", info_members[i].key);
                        return NULL;
                }
                json_object_set_member(info, info_members[i].key, clean_copy(node));
        }
        return g_steal_pointer(&info);
}

/* Anything else is as if it were not there. */
static char *short_text(JsonObject *properties, const char *member) {
        const char *text = json_get_string(properties, member, NULL);

        return text && strlen(text) <= NAME_MAX_BYTES ? line_of(text) : NULL;
}

int provider_description_read(sd_bus_message *reply, ProviderDescription *ret, char **ret_problem) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) properties = NULL;
        g_autofree char *effect = NULL;

        if (dictionary_read(reply, &dictionary_limits_default, &properties, &error) < 0) {
                *ret_problem = g_strdup(error.message ?: "not a{sv}");
                return -EBADMSG;
        }
        effect = short_text(properties, "StopEffect");
        *ret = (ProviderDescription) {
                .name = short_text(properties, "ProviderName"),
                .version = short_text(properties, "ProviderVersion"),
                .stop_effect = g_strdup(effect && stop_effect_known(effect) ? effect : "unknown"),
        };
        return 0;
}

void provider_description_clear(ProviderDescription *description) {
        g_clear_pointer(&description->name, g_free);
        g_clear_pointer(&description->version, g_free);
        g_clear_pointer(&description->stop_effect, g_free);
}

int detection_read(sd_bus_message *reply, gboolean *ret_detected, char **ret_problem) {
        int detected;

        if (sd_bus_message_read(reply, "b", &detected) < 0) {
                *ret_problem = g_strdup("not b");
                return -EBADMSG;
        }
        *ret_detected = detected;
        return 0;
}

gboolean permission_of_another(const char *name, const char *action) {
        return stop_action_known(name) && !g_str_equal(name, action);
}

JsonArray *permissions_read(sd_bus_message *reply, char **ret_problem) {
        g_autoptr(JsonArray) permissions = json_array_new();
        const char *name, *explanation;
        int granted, r;

        r = sd_bus_message_enter_container(reply, 'a', "(sbs)");
        while (r >= 0 && (r = sd_bus_message_read(reply, "(sbs)", &name, &granted, &explanation)) > 0) {
                g_autofree char *name_line = NULL, *explanation_line = NULL;
                JsonObject *row;

                if (json_array_get_length(permissions) >= PERMISSIONS_MAX || strlen(name) > TEXT_MAX ||
                    strlen(explanation) > TEXT_MAX) {
                        *ret_problem = g_strdup_printf("more than %u permissions, or texts above %u bytes",
                                                       PERMISSIONS_MAX, TEXT_MAX);
                        return NULL;
                }
                name_line = line_of(name);
                explanation_line = line_of(explanation);
                row = json_object_new();
                json_object_set_string_member(row, "name", name_line);
                json_object_set_boolean_member(row, "granted", granted);
                json_object_set_string_member(row, "explanation", explanation_line);
                json_array_add_object_element(permissions, row);
        }
        if (r < 0) {
                *ret_problem = g_strdup("not a(sbs)");
                return NULL;
        }
        return g_steal_pointer(&permissions);
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
