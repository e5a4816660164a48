/* SPDX-License-Identifier: Apache-2.0 */

/* The Manager's methods on plugins and providers: find, search, load, unload. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "bus/dictionary.h"
#include "bus/nodes.h"
#include "config.h"
#include "daemon/manager-bus.h"
#include "daemon/plugin/provision.h"
#include "daemon/plugin/request.h"
#include "manifest/manifest.h"
#include "util/json.h"

#define QUERY_MAX 128U

/* What may be a message's whole length is not told back: the bus closes the connection of who sends more than it
 * takes. */
static const char *shown(const char *id) {
        return plugin_id_valid(id) ? id : "…";
}

/* The plugin that the call names first. */
static int read_plugin(Manager *manager, sd_bus_message *message, Plugin **ret, sd_bus_error *error) {
        const char *id;
        int r;

        r = sd_bus_message_read(message, "s", &id);
        if (r < 0)
                return r;
        *ret = plugins_find(manager->plugins, id);
        if (!*ret)
                return sd_bus_error_setf(error, ERROR_NO_SUCH_PLUGIN,
                                         "There is no plugin '%s'; " SNOOZE_COMMAND " plugin list shows them.",
                                         shown(id));
        return 0;
}

static int reply_paths(sd_bus_message *message, char **paths) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, SD_BUS_TYPE_ARRAY, "o");
        for (char **path = paths; r >= 0 && *path; path++)
                r = sd_bus_message_append(reply, "o", *path);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static char *path_of_plugin(const void *plugin) {
        return g_strdup(plugin_object_path(plugin));
}

static char *path_of_provider(const void *provider) {
        return g_strdup(provider_object_path(provider));
}

int method_list_plugins(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_auto(GStrv) paths = node_paths(plugins_list(manager->plugins), path_of_plugin);

        return reply_paths(message, paths);
}

int method_list_providers(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        g_auto(GStrv) paths = node_paths(providers_list(manager->providers), path_of_provider);

        return reply_paths(message, paths);
}

int method_get_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Plugin *plugin;
        int r;

        r = read_plugin(userdata, message, &plugin, error);
        if (r < 0)
                return r;
        return sd_bus_reply_method_return(message, "o", plugin_object_path(plugin));
}

int method_get_provider(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        Provider *provider;
        const char *id;
        int r;

        r = sd_bus_message_read(message, "s", &id);
        if (r < 0)
                return r;
        provider = providers_find(manager->providers, id);
        if (!provider)
                return sd_bus_error_setf(error, ERROR_NO_SUCH_PROVIDER,
                                         "There is no provider '%s'; " SNOOZE_COMMAND " provider list shows them.",
                                         shown(id));
        return sd_bus_reply_method_return(message, "o", provider_object_path(provider));
}

/* Anybody may have the directories read again; it changes nothing that would not be noticed at the next start. */
int method_discover_plugins(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        Manager *manager = userdata;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_auto(GStrv) ids = NULL;
        uid_t uid;
        int r;

        r = manager_caller(manager, message, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        if (!sender_limits_take(manager->check_limits, sd_bus_message_get_sender(message), clock_monotonic()))
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED, "Once a second and caller; ask again.");
        r = manager_take_look(manager, uid, error);
        if (r < 0)
                return r;
        ids = plugins_discover(manager->plugins);
        r = sd_bus_message_new_method_return(message, &reply);
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, ids);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static int append_string(sd_bus_message *reply, const char *key, const char *value) {
        return sd_bus_message_append(reply, "{sv}", key, "s", value ?: "");
}

static int append_strings(sd_bus_message *reply, const char *key, char **values) {
        int r = sd_bus_message_open_container(reply, 'e', "sv");

        if (r >= 0)
                r = sd_bus_message_append_basic(reply, 's', key);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'v', "as");
        if (r >= 0)
                r = sd_bus_message_append_strv(reply, values);
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_description(sd_bus_message *reply, Plugin *plugin) {
        const Manifest *manifest = plugin_manifest(plugin);
        const struct {
                const char *key, *value;
        } texts[] = {
                { "id", manifest->id },
                { "display_name", manifest->display_name },
                { "version", manifest->version },
                { "category", manifest->category },
                { "author", manifest->author },
                { "description", manifest->description },
                { "state", plugin_state_name(plugin_state(plugin)) },
        };
        int r = sd_bus_message_open_container(reply, 'a', "{sv}");

        for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(texts); i++)
                r = append_string(reply, texts[i].key, texts[i].value);
        if (r >= 0)
                r = append_strings(reply, "tags", manifest->tags);
        if (r >= 0)
                r = append_strings(reply, "contracts", manifest->contracts);
        if (r >= 0)
                r = sd_bus_message_append(reply, "{sv}", "enabled", "b", (int) plugin_enabled(plugin));
        return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int reply_descriptions(sd_bus_message *call, GPtrArray *plugins) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        int r;

        r = sd_bus_message_new_method_return(call, &reply);
        if (r >= 0)
                r = sd_bus_message_open_container(reply, 'a', "a{sv}");
        for (guint i = 0; r >= 0 && i < plugins->len; i++)
                r = append_description(reply, g_ptr_array_index(plugins, i));
        if (r >= 0)
                r = sd_bus_message_close_container(reply);
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int method_search_plugins(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        static const char *const filters[] = { "capability", "s", "category", "s", "author", "s", "tag", "s", NULL };
        Manager *manager = userdata;
        g_autoptr(JsonObject) given = NULL;
        g_autoptr(GPtrArray) found = NULL;
        PluginsFilter filter;
        const char *query;
        int r;

        r = sd_bus_message_read(message, "s", &query);
        if (r >= 0)
                r = options_read(message, filters, &given, error);
        if (r >= 0)
                r = check_text("query", query, QUERY_MAX, TRUE, error);
        if (r < 0)
                return r;
        filter = (PluginsFilter) {
                .capability = json_get_string(given, "capability", NULL),
                .category = json_get_string(given, "category", NULL),
                .author = json_get_string(given, "author", NULL),
                .tag = json_get_string(given, "tag", NULL),
        };
        found = plugins_search(manager->plugins, &filter, query);
        return reply_descriptions(message, found);
}

static void load_done(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        g_autoptr(Request) request = userdata;

        if (error)
                (void) sd_bus_reply_method_error(request->call, error);
        else
                (void) sd_bus_reply_method_return(request->call, "o", plugin_object_path(plugin));
}

static void unload_done(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        g_autoptr(Request) request = userdata;

        (void) (error ? sd_bus_reply_method_error(request->call, error)
                      : sd_bus_reply_method_return(request->call, NULL));
}

static int load_or_unload(Manager *manager, sd_bus_message *message, gboolean load, sd_bus_error *error) {
        Request *request;
        Plugin *plugin;
        uid_t uid;
        int r;

        r = read_plugin(manager, message, &plugin, error);
        if (r < 0)
                return r;
        r = manager_authorize_caller(manager, message, (const char *[]) { "plugin", plugin_id(plugin), NULL },
                                     &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;

        r = manager_take_turn(manager, uid, error);
        if (r >= 0)
                r = request_begin(plugin, message, NULL, NULL, &request, error);
        if (r < 0)
                return r;
        manager_record_call(manager, uid, load ? "LoadPlugin" : "UnloadPlugin", plugin_id(plugin));
        if (load)
                plugin_load(plugin, load_done, request);
        else
                plugin_unload(plugin, unload_done, request);
        return 1;
}

int method_load_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return load_or_unload(userdata, message, TRUE, error);
}

int method_unload_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        return load_or_unload(userdata, message, FALSE, error);
}

typedef struct Forgetting {
        Manager *manager;
        sd_bus_message *call;
        char *id;
        uid_t uid;
} Forgetting;

static void forgetting_free(Forgetting *forgetting) {
        sd_bus_message_unref(forgetting->call);
        g_free(forgetting->id);
        g_free(forgetting);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Forgetting, forgetting_free)

static void configuration_forgotten(Manager *manager, const ConfigCaller *caller, const GError *error) {
        config_change_reply(caller->call, error);
}

/* The configuration goes last: its files may be wrong. */
static void on_forgotten(const GError *error, void *userdata) {
        g_autoptr(Forgetting) forgetting = userdata;
        Manager *manager = forgetting->manager;
        g_autofree char *patch = error || manager->freeing ? NULL
                                                           : config_forget_plugin(manager->config, forgetting->id);
        _cleanup_bus_error_ sd_bus_error refusal = SD_BUS_ERROR_NULL;
        ConfigCaller caller = { forgetting->call, forgetting->uid, clock_monotonic() };
        int r;

        if (error || manager->freeing) {
                (void) sd_bus_reply_method_errorf(forgetting->call, ERROR_STORE,
                                                  "What is kept of %s could not be removed: %s", forgetting->id,
                                                  error ? error->message : "this daemon ends");
                return;
        }
        if (!patch) {
                (void) sd_bus_reply_method_return(forgetting->call, NULL);
                return;
        }
        r = manager_change_config(manager, patch, &caller, configuration_forgotten);
        if (r < 0) {
                (void) config_change_refused(r, &refusal);
                (void) sd_bus_reply_method_error(forgetting->call, &refusal);
        }
}

static int refuse_to_forget(int r, const Plugin *plugin, const char *id, sd_bus_error *error) {
        if (r == -EAGAIN)
                return sd_bus_error_set(error, ERROR_BUSY, "A plugin is just being enabled or disabled; try again.");
        if (r == -ENOBUFS)
                return sd_bus_error_set(error, ERROR_LIMITS_EXCEEDED,
                                        "Too many changes wait for the disk; try again.");
        if (r != -EBUSY)
                return sd_bus_error_setf(error, ERROR_STORE, "What is kept of %s could not be removed: %s", id,
                                         strerror(-r));
        if (plugin_enabled(plugin))
                return sd_bus_error_setf(error, ERROR_BUSY,
                                         "%s is enabled; first: sudo " SNOOZE_COMMAND " plugin disable %s", id, id);
        return sd_bus_error_setf(error, ERROR_BUSY,
                                 "%s still runs, or it is not known yet whether it does; try again when it has ended.",
                                 id);
}

int method_forget_plugin(sd_bus_message *message, void *userdata, sd_bus_error *error) {
        g_autoptr(Forgetting) forgetting = NULL;
        Manager *manager = userdata;
        const Plugin *plugin;
        const char *id;
        uid_t uid;
        int r;

        r = sd_bus_message_read(message, "s", &id);
        if (r < 0)
                return r;
        if (!plugin_id_valid(id))
                return sd_bus_error_set(error, ERROR_INVALID_ARGUMENT,
                                        "That is no plugin's id; expected " PLUGIN_ID_EXPECTED ".");
        plugin = plugins_find(manager->plugins, id);
        if (plugin && plugin_packaged(plugin))
                return sd_bus_error_setf(error, ERROR_NOT_SUPPORTED,
                                         "%s came with a package, which is what to remove.", id);
        r = manager_authorize_caller(manager, message, (const char *[]) { "plugin", id, NULL }, &uid, error);
        if (r <= 0)
                return r < 0 ? r : 1;
        r = manager_take_turn(manager, uid, error);
        if (r < 0)
                return r;
        forgetting = g_new0(Forgetting, 1);
        *forgetting = (Forgetting) { manager, sd_bus_message_ref(message), g_strdup(id), uid };
        r = plugins_forget(manager->plugins, id, on_forgotten, forgetting);
        if (r < 0)
                return refuse_to_forget(r, plugins_find(manager->plugins, id), id, error);
        steal(forgetting);
        manager_record_call(manager, uid, "ForgetPlugin", id);
        return 1;
}
