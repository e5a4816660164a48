/* SPDX-License-Identifier: Apache-2.0 */

/* io.cloudsnooze.Snooze1.Provider, one object for each plugin with CloudProvider. Handlers whose caller polkit has to
 * be asked about run twice. A stop of this machine is the manager's affair, with its holds and stages; one of another
 * goes to the plugin. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/arguments.h"
#include "bus/dictionary.h"
#include "bus/nodes.h"
#include "bus/objects.h"
#include "daemon/provider/provider.h"
#include "util/json.h"
#include "util/line.h"

#define INSTANCE_ID_MAX 256U
#define TAGS_MAX 64U
#define TAG_NAME_MAX 128U
#define TAG_VALUE_MAX 256U
#define WAKE_MIN USEC_PER_MINUTE
#define WAKE_MAX (365 * USEC_PER_DAY)

static int authorize_call(Provider *provider, sd_bus_message *call, const char *instance_id, sd_bus_error *error) {
        const ProvidersParameters *parameters = &provider->providers->parameters;
        const char *instance = *instance_id ? instance_id : "this machine";
        g_autofree char *what = g_strdup_printf("%s, %s", provider_id(provider), instance);
        const char *const details[] = { "provider", provider_id(provider),           "instance", instance,
                                        "method",   sd_bus_message_get_member(call), NULL };

        if (!parameters->admit)
                return sd_bus_error_set(error, ERROR_ACCESS_DENIED, "Nobody is authorized to do this.");
        return parameters->admit(call, details, what, error, parameters->userdata);
}

/* As authorize_call(). */
static int take_check(Provider *provider, sd_bus_message *call, sd_bus_error *error) {
        const ProvidersParameters *parameters = &provider->providers->parameters;

        return parameters->take_check ? parameters->take_check(call, error, parameters->userdata) : 1;
}

static int read_instance_id(sd_bus_message *call, const char **ret_id, sd_bus_error *error) {
        int r = sd_bus_message_read(call, "s", ret_id);

        if (r < 0)
                return r;
        if (strlen(*ret_id) > INSTANCE_ID_MAX)
                return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "instance_id: longer than %u bytes.",
                                         INSTANCE_ID_MAX);
        for (const char *c = *ret_id; *c; c++)
                if (!g_ascii_isgraph(*c))
                        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                                "instance_id: expected printable ASCII without spaces.");
        return 0;
}

/* As a method handler returns. */
static int call_for(Provider *provider, sd_bus_message *call, const char *instance_id, JsonObject *options,
                    gboolean without_effect, PluginCallAppend append, PluginCallDone done, sd_bus_error *error) {
        Operation *operation;
        int r = operation_begin(provider, call, instance_id, options, &operation, error);

        if (r < 0)
                return r;
        operation_call(operation, sd_bus_message_get_member(call), without_effect, append, done);
        return 1;
}

static int reply_info(sd_bus_message *call, JsonObject *info) {
        static const char *const hints[] = { "launch-time", "t", "tags", "a{ss}", NULL };
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = dictionary_append(reply, info, hints);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void on_info(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        g_autoptr(JsonObject) info = NULL;
        g_autofree char *problem = NULL;
        int r = 0;

        if (!error)
                info = instance_info_read(reply, &problem);
        if (info)
                r = reply_info(operation->request->call, info);
        if (error)
                (void) sd_bus_reply_method_error(operation->request->call, error);
        else if (!info || r == -ERANGE || r == -EINVAL)
                (void) sd_bus_reply_method_errorf(operation->request->call, ERROR_PLUGIN_FAILED,
                                                  "%s answered with rubbish: %s.", plugin_id(plugin),
                                                  problem ?: "values out of range");
        else if (r < 0)
                request_unanswered(operation->request, r);
        operation_end(operation);
}

static int method_get_instance_info(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Provider *provider = userdata;
        const char *instance_id;
        int r;

        r = read_instance_id(call, &instance_id, error);
        if (r < 0)
                return r;
        r = authorize_call(provider, call, instance_id, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = take_check(provider, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return call_for(provider, call, instance_id, NULL, TRUE, append_instance_id, on_info, error);
}

static void on_done(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;

        if (error)
                (void) sd_bus_reply_method_error(operation->request->call, error);
        else
                (void) sd_bus_reply_method_return(operation->request->call, NULL);
        operation_end(operation);
}

static gboolean is_this_machine(const Provider *provider, const char *instance_id) {
        return !*instance_id || g_str_equal(instance_id, provider->instance_id);
}

/* Behind the stop: it must not come before the machine is off, nor beyond what clocks can be set to. */
int provider_check_wake(JsonObject *options, uint64_t stop, sd_bus_error *error) {
        uint64_t wake = (uint64_t) MAX(json_get_int(options, "wake", 0), 0), first = usec_add(stop, WAKE_MIN);

        if (!json_object_has_member(options, "wake") || (wake >= first && wake <= usec_add(first, WAKE_MAX)))
                return 0;
        return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                "options.wake: expected µs since the epoch, a minute to a year behind the stop.");
}

static int check_action(JsonObject *options, sd_bus_error *error) {
        const char *action = json_get_string(options, "action", "stop");

        if (stop_action_known(action))
                return 0;
        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT,
                                 "action: got %.*s, expected " STOP_ACTIONS_EXPECTED ".", line_cut(action, 32),
                                 action);
}

static int method_stop_instance(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const char *const known[] = { "action", "s", "reason", "s", "dry-run", "b", "wake", "t", NULL };
        Provider *provider = userdata;
        const ProvidersParameters *parameters = &provider->providers->parameters;
        g_autoptr(JsonObject) options = NULL;
        const char *instance_id;
        int r;

        r = read_instance_id(call, &instance_id, error);
        if (r >= 0)
                r = options_read(call, known, &options, error);
        if (r >= 0)
                r = check_action(options, error);
        if (r < 0)
                return r;
        if (is_this_machine(provider, instance_id)) {
                if (!parameters->stop_this_machine)
                        return sd_bus_error_set(error, ERROR_NOT_SUPPORTED,
                                                "This daemon does not stop its own machine.");
                if (provider != provider->providers->active)
                        return sd_bus_error_setf(error, ERROR_REFUSED,
                                                 "%s is not the provider of this machine; " SNOOZE_COMMAND
                                                 " provider list",
                                                 provider_id(provider));
                return parameters->stop_this_machine(provider, call, json_get_string(options, "reason", ""), options,
                                                     error, parameters->userdata);
        }
        r = check_text("options.reason", json_get_string(options, "reason", ""), STOP_REASON_MAX, TRUE, error);
        if (r >= 0)
                r = provider_check_wake(options, clock_realtime(), error);
        if (r < 0)
                return r;
        r = authorize_call(provider, call, instance_id, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return call_for(provider, call, instance_id, options, FALSE, append_instance_and_options, on_done, error);
}

static int method_start_instance(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        static const char *const known[] = { NULL };
        Provider *provider = userdata;
        g_autoptr(JsonObject) options = NULL;
        const char *instance_id;
        int r;

        r = read_instance_id(call, &instance_id, error);
        if (r >= 0)
                r = options_read(call, known, &options, error);
        if (r < 0)
                return r;
        if (is_this_machine(provider, instance_id))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                        "instance_id: this machine runs already, expected another one's.");
        r = authorize_call(provider, call, instance_id, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return call_for(provider, call, instance_id, options, FALSE, append_instance_and_options, on_done, error);
}

/* What the machine cannot be made to do besides what a stop is to do is left out, for nobody asks it to. */
static int reply_permissions(sd_bus_message *call, const char *action, JsonArray *permissions) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "(sbs)");
        for (guint i = 0; r >= 0 && i < json_array_get_length(permissions); i++) {
                JsonObject *row = json_array_get_object_element(permissions, i);
                const char *name = json_get_string(row, "name", "");
                gboolean granted = json_get_boolean(row, "granted", FALSE);

                if (granted || !permission_of_another(name, action))
                        r = sd_bus_message_append(reply, "(sbs)", name, (int) granted,
                                                  json_get_string(row, "explanation", ""));
        }
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static void answer_permissions(const Provider *provider, const Request *request, JsonArray *permissions,
                               const sd_bus_error *error, const char *problem) {
        int r = 0;

        if (error)
                (void) sd_bus_reply_method_error(request->call, error);
        else if (!permissions)
                (void) sd_bus_reply_method_errorf(request->call, ERROR_PLUGIN_FAILED, "%s answered with rubbish: %s.",
                                                  provider_id(provider), problem);
        else
                r = reply_permissions(request->call, provider->providers->config->stop_action, permissions);
        if (r < 0)
                request_unanswered(request, r);
}

/* From the end: what takes the place of one that ends was looked at. */
static void answer_all(Provider *provider, JsonArray *permissions, const sd_bus_error *error, const char *problem) {
        GPtrArray *operations = provider->providers->operations;

        for (guint i = operations->len; i-- > 0;) {
                Operation *operation = g_ptr_array_index(operations, i);

                if (operation->provider != provider || !operation->wants_permissions)
                        continue;
                answer_permissions(provider, operation->request, permissions, error, problem);
                operation_end(operation);
        }
}

static void on_permissions(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        Operation *operation = userdata;
        Provider *provider = operation->provider;
        g_autoptr(JsonArray) permissions = NULL;
        g_autofree char *problem = NULL;

        if (!error)
                permissions = permissions_read(reply, &problem);
        operation_end(operation);
        provider->asking_permissions = FALSE;
        answer_all(provider, permissions, error, problem);
        if (permissions) {
                provider_learn_permissions(provider, permissions);
                providers_choose(provider->providers);
        }
}

/* It takes the provider several calls of its cloud: whoever comes while it is being asked gets the same answer. */
static int method_check_permissions(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Provider *provider = userdata;
        int r = authorize_call(provider, call, "", error);
        Operation *operation;

        if (r > 0)
                r = take_check(provider, call, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = operation_begin(provider, call, "", NULL, &operation, error);
        if (r < 0)
                return r;
        operation->wants_permissions = TRUE;
        if (!provider->asking_permissions) {
                provider->asking_permissions = TRUE;
                operation_call(operation_new(provider), "CheckPermissions", TRUE, NULL, on_permissions);
        }
        return 1;
}

static int read_tags(sd_bus_message *call, JsonObject **ret, sd_bus_error *error) {
        g_autoptr(JsonObject) tags = json_object_new();
        const char *name, *value;
        int r;

        r = sd_bus_message_enter_container(call, 'a', "{ss}");
        while (r >= 0 && (r = sd_bus_message_read(call, "{ss}", &name, &value)) > 0) {
                if (json_object_get_size(tags) >= TAGS_MAX)
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "tags: expected at most %u.",
                                                 TAGS_MAX);
                r = check_text("The name of a tag", name, TAG_NAME_MAX, FALSE, error);
                if (r >= 0)
                        r = check_text("The value of a tag", value, TAG_VALUE_MAX, TRUE, error);
                if (r < 0)
                        return r;
                if (json_object_has_member(tags, name))
                        return sd_bus_error_setf(error, ERROR_INVALID_ARGUMENT, "tags: %s stands there twice.", name);
                json_object_set_string_member(tags, name, value);
        }
        if (r >= 0)
                *ret = g_steal_pointer(&tags);
        return r;
}

static int method_set_tags(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        Provider *provider = userdata;
        g_autoptr(JsonObject) tags = NULL;
        int r;

        r = read_tags(call, &tags, error);
        if (r < 0)
                return r;
        r = authorize_call(provider, call, "", error);
        if (r <= 0)
                return r < 0 ? r : 1;
        return call_for(provider, call, "", tags, FALSE, append_tags, on_done, error);
}

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
                        sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        const Provider *provider = userdata;

        if (g_str_equal(property, "Plugin"))
                return sd_bus_message_append(reply, "o", plugin_object_path(provider->plugin));
        if (g_str_equal(property, "ProviderName"))
                return sd_bus_message_append(reply, "s", provider->name);
        if (g_str_equal(property, "ProviderVersion"))
                return sd_bus_message_append(reply, "s", provider->version);
        if (g_str_equal(property, "Detected"))
                return sd_bus_message_append(reply, "b", (int) provider->detected);
        if (g_str_equal(property, "InstanceId"))
                return sd_bus_message_append(reply, "s", provider->instance_id);
        if (g_str_equal(property, "StopEffect"))
                return sd_bus_message_append(reply, "s", provider->stop_effect);
        return -ENOENT;
}

#define CHANGING(name, signature)                                                                                     \
        SD_BUS_PROPERTY(name, signature, get_property, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE)
#define FREE SD_BUS_VTABLE_UNPRIVILEGED /* polkit decides, not a capability of the caller */

static const sd_bus_vtable provider_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("Plugin", "o", get_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
        CHANGING("ProviderName", "s"),
        CHANGING("ProviderVersion", "s"),
        CHANGING("Detected", "b"),
        CHANGING("InstanceId", "s"),
        CHANGING("StopEffect", "s"),
        SD_BUS_METHOD_WITH_ARGS("GetInstanceInfo", SD_BUS_ARGS("s", instance_id), SD_BUS_RESULT("a{sv}", info),
                                method_get_instance_info, FREE),
        SD_BUS_METHOD_WITH_ARGS("StopInstance", SD_BUS_ARGS("s", instance_id, "a{sv}", options), SD_BUS_NO_RESULT,
                                method_stop_instance, FREE),
        SD_BUS_METHOD_WITH_ARGS("StartInstance", SD_BUS_ARGS("s", instance_id, "a{sv}", options), SD_BUS_NO_RESULT,
                                method_start_instance, FREE),
        SD_BUS_METHOD_WITH_ARGS("CheckPermissions", SD_BUS_NO_ARGS, SD_BUS_RESULT("a(sbs)", permissions),
                                method_check_permissions, FREE),
        SD_BUS_METHOD_WITH_ARGS("SetTags", SD_BUS_ARGS("a{ss}", tags), SD_BUS_NO_RESULT, method_set_tags, FREE),
        SD_BUS_VTABLE_END,
};

static int find_provider(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found,
                         sd_bus_error *error) {
        Providers *providers = userdata;
        _cleanup_free_ char *id = NULL;
        int r;

        r = sd_bus_path_decode(path, SNOOZE_PROVIDER_PATH, &id);
        if (r <= 0)
                return r;
        *ret_found = providers_find(providers, id);
        return *ret_found ? 1 : 0;
}

static char *path_of(const void *provider) {
        return g_strdup(((const Provider *) provider)->path);
}

static int enumerate_providers(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
                               sd_bus_error *error) {
        *ret_nodes = node_paths(((Providers *) userdata)->list, path_of);
        return 0;
}

int providers_append_objects(Providers *providers, sd_bus_message *reply, sd_bus_error *error) {
        int r = 0;

        for (guint i = 0; r >= 0 && i < providers->list->len; i++) {
                Provider *provider = g_ptr_array_index(providers->list, i);

                r = object_append(reply, provider->path, SNOOZE_PROVIDER_INTERFACE, provider_vtable, provider, error);
        }
        return r;
}

int providers_export(Providers *providers) {
        sd_bus *bus = providers->parameters.bus;
        int r;

        r = sd_bus_add_fallback_vtable(bus, &providers->vtable_slot, SNOOZE_PROVIDER_PATH, SNOOZE_PROVIDER_INTERFACE,
                                       provider_vtable, find_provider, providers);
        if (r < 0)
                return r;
        r = sd_bus_add_node_enumerator(bus, &providers->enumerator_slot, SNOOZE_PROVIDER_PATH, enumerate_providers,
                                       providers);
        if (r < 0)
                return r;
        providers->exported = TRUE;
        return 0;
}

void provider_bus_added(Provider *provider) {
        if (provider->providers->exported)
                (void) sd_bus_emit_object_added(provider->providers->parameters.bus, provider->path);
}

void provider_bus_changed(Provider *provider) {
        if (provider->providers->exported)
                (void) sd_bus_emit_properties_changed(provider->providers->parameters.bus, provider->path,
                                                      SNOOZE_PROVIDER_INTERFACE, "ProviderName", "ProviderVersion",
                                                      "Detected", "InstanceId", "StopEffect", NULL);
}
