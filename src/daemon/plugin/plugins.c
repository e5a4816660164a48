/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/owner.h"
#include "daemon/plugin/plugin.h"
#include "util/file.h"

#define ENVIRONMENT_MAX 65536U

typedef struct Deferred {
        void (*run)(void *data);
        void (*destroy)(void *data);
        void *data;
} Deferred;

static void deferred_free(void *data) {
        Deferred *deferred = data;

        if (deferred->destroy)
                deferred->destroy(deferred->data);
        g_free(deferred);
}

static int on_deferral(sd_event_source *source, void *userdata) {
        Plugins *plugins = userdata;
        /* What is deferred from here on has to wait for the next iteration. */
        guint n = g_queue_get_length(&plugins->deferred);

        for (guint i = 0; i < n; i++) {
                Deferred *deferred = g_queue_pop_head(&plugins->deferred);

                deferred->run(deferred->data);
                deferred_free(deferred);
        }
        if (g_queue_is_empty(&plugins->deferred))
                (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        return 0;
}

void plugins_defer(Plugins *plugins, void (*run)(void *data), void (*destroy)(void *data), void *data) {
        Deferred *deferred = g_new(Deferred, 1);

        *deferred = (Deferred) { .run = run, .destroy = destroy, .data = data };
        g_queue_push_tail(&plugins->deferred, deferred);
        (void) sd_event_source_set_enabled(plugins->deferral, SD_EVENT_ON);
}

void plugins_problem(Plugins *plugins, const char *source, const char *message) {
        if (plugins->parameters.problem && !plugins->freeing)
                plugins->parameters.problem(source, message, plugins->parameters.userdata);
}

static void on_owner_changed(const char *name, const char *old_owner, const char *new_owner, void *userdata) {
        Plugins *plugins = userdata;
        Plugin *plugin;

        if (!g_str_has_prefix(name, PLUGIN_NAME_PREFIX))
                return;
        plugin = g_hash_table_lookup(plugins->by_id, name + strlen(PLUGIN_NAME_PREFIX));
        if (plugin)
                plugin_owner_changed(plugin, new_owner);
}

/* The administrator's secrets for one plugin. A file that others can read or write is refused, not used quietly. */
static gboolean read_environment(Plugin *plugin, char **ret, GError **error) {
        g_autofree char *file = g_strdup_printf("%s.env", plugin->id);
        g_autofree char *path = g_build_filename(plugin->plugins->config_directory, "plugins", file, NULL);
        struct stat st;

        *ret = NULL;
        if (stat(path, &st) < 0) {
                if (errno == ENOENT || errno == ENOTDIR)
                        return TRUE;
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE, "%s: %s", path, g_strerror(errno));
                return FALSE;
        }
        if (!file_trusted(path, plugin->plugins->trusted_uid, error))
                return FALSE;
        if (st.st_mode & S_IRWXO || (st.st_mode & S_IRWXG && st.st_gid != 0 && st.st_gid != getegid())) {
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE,
                            "%s: can be read by %s, expected mode 0640 and the daemon's group", path,
                            st.st_mode & S_IRWXO ? "everybody" : "another group than the daemon's");
                return FALSE;
        }
        /* Root's alone: the daemon is somebody else. */
        if (access(path, R_OK) < 0 && errno == EACCES) {
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE,
                            "%s: the daemon cannot read it, expected mode 0640 and the daemon's group", path);
                return FALSE;
        }
        return file_read(path, ENVIRONMENT_MAX, ret, NULL, error);
}

static void add_member(JsonObject *object, const char *name, JsonNode *value, void *userdata) {
        json_object_set_member(userdata, name, json_node_ref(value));
}

/* Before all is one, in which nobody can say any more where a value stands. */
static gboolean check_provider(const Plugin *plugin, const Manifest *manifest, GError **error) {
        g_autofree char *name = g_strdup_printf("/providers/%s", plugin->id);
        JsonObject *values = config_provider(plugin->plugins->config, plugin->id);

        return !values || schema_check(manifest->schema, name, values, error);
}

Settings *plugin_settings_with(Plugin *plugin, const Manifest *manifest, JsonObject *values, GError **error) {
        g_autoptr(JsonObject) configured = config_plugin(plugin->plugins->config, plugin->id);
        g_autoptr(JsonObject) both = json_object_new();
        g_autofree char *environment = NULL;

        if (configured)
                json_object_foreach_member(configured, add_member, both);
        json_object_foreach_member(values, add_member, both);
        if (!read_environment(plugin, &environment, error))
                return NULL;
        return schema_resolve(manifest->schema, plugin->id, both, environment, error);
}

typedef Settings *(*SettingsResolve)(const Schema *schema, const char *id, JsonObject *configured,
                                     const char *environment, GError **error);

static Settings *settings_by(Plugin *plugin, const Manifest *manifest, SettingsResolve resolve, GError **error) {
        g_autoptr(JsonObject) configured = config_plugin(plugin->plugins->config, plugin->id);
        g_autofree char *environment = NULL;

        if (!check_provider(plugin, manifest, error) || !read_environment(plugin, &environment, error))
                return NULL;
        return resolve(manifest->schema, plugin->id, configured, environment, error);
}

Settings *plugin_settings(Plugin *plugin, const Manifest *manifest, GError **error) {
        return settings_by(plugin, manifest, schema_resolve, error);
}

Settings *plugin_settings_to_show(Plugin *plugin, GError **error) {
        return settings_by(plugin, plugin->manifest, schema_resolve_to_show, error);
}

Plugin *plugins_find(Plugins *plugins, const char *id) {
        return g_hash_table_lookup(plugins->by_id, id);
}

GPtrArray *plugins_list(Plugins *plugins) {
        return plugins->list;
}

static gboolean same_directories(const Config *a, const Config *b) {
        const char *const none[] = { NULL };

        return g_strv_equal(a->plugin_directories ? (const char *const *) a->plugin_directories : none,
                            b->plugin_directories ? (const char *const *) b->plugin_directories : none);
}

/* Whoever asks for it next has it started, if nothing else is in the way. */
static void review_misconfigured(Plugin *plugin) {
        g_autofree char *obstacle = NULL;

        if (!plugin->misconfigured)
                return;
        /* It does not run, as far as is known: what was foreseen counts. */
        obstacle = configuration_obstacle(plugin) ?: limits_obstacle(plugin, plugin->manifest);
        if (obstacle)
                return;
        plugin->misconfigured = FALSE;
        plugin_may_again(plugin, "was configured");
}

void plugins_set_config(Plugins *plugins, Config *config) {
        Config *previous = plugins->config;

        plugins->config = config_ref(config);
        if (!same_directories(config, previous))
                watch_touch(plugins->watch, NULL);
        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);
                gboolean may_run = plugin_may_run(plugin);

                if (!config_event_handlers_equal(previous, config, plugin->id))
                        plugin_bus_changed(plugin, "Events", NULL);
                plugin_reconfigure(plugin);
                if (may_run)
                        review_misconfigured(plugin);
                if (may_run == plugin_may_run_by(plugin, previous))
                        continue;
                if (may_run)
                        plugin_may_again(plugin, "may run by the new configuration");
                else
                        (void) plugin_dismiss(plugin);
                /* Most of those that do not run change no state by that. */
                plugin_tell_changed(plugin, plugin->state,
                                    may_run ? "may run by the new configuration"
                                            : "may not run by the new configuration");
        }
        upgrades_review(plugins);
        config_unref(previous);
}

static Plugins *plugins_allocate(const PluginsParameters *parameters) {
        Plugins *plugins = g_new0(Plugins, 1);

        plugins->parameters = *parameters;
        plugins->parameters.bus = sd_bus_ref(parameters->bus);
        plugins->parameters.event = sd_event_ref(parameters->event);
        plugins->config = config_ref(parameters->config);
        plugins->state_directory = g_strdup(parameters->state_directory);
        plugins->config_directory = g_strdup(parameters->config_directory ?: PKGSYSCONFDIR);
        if (parameters->runtime_directory)
                plugins->origins_directory = g_build_filename(parameters->runtime_directory, ORIGINS_DIRECTORY, NULL);
        plugins->directories = g_strdupv((char **) parameters->directories);
        plugins->trusted_uid = manifest_trusted_uid();
        plugins->by_id = g_hash_table_new(g_str_hash, g_str_equal);
        plugins->list = g_ptr_array_new_with_free_func((GDestroyNotify) plugin_free);
        plugins->gone = g_ptr_array_new_with_free_func((GDestroyNotify) plugin_free);
        plugins->endings = g_ptr_array_new_with_free_func(ending_free);
        plugins->rounds = g_ptr_array_new_with_free_func(round_free);
        plugins->dispatches = g_ptr_array_new_with_free_func(dispatch_free);
        plugins->requests = g_ptr_array_new_with_free_func(plugin_request_free);
        g_queue_init(&plugins->blocked);
        g_queue_init(&plugins->provisionings);
        g_queue_init(&plugins->deferred);
        return plugins;
}

int plugins_new(const PluginsParameters *parameters, Plugins **ret) {
        Plugins *plugins = plugins_allocate(parameters);
        g_auto(GStrv) added = NULL;
        int r;

        r = sd_event_add_defer(parameters->event, &plugins->deferral, on_deferral, plugins);
        if (r >= 0)
                r = sd_event_source_set_enabled(plugins->deferral, SD_EVENT_OFF);
        if (r >= 0)
                r = owner_watch(parameters->bus, PLUGIN_NAME, on_owner_changed, plugins, &plugins->owner_slot);
        if (r >= 0)
                r = starter_new(parameters->bus, &plugins->starter);
        if (r >= 0)
                r = watch_new(parameters->event, registry_settled, plugins, &plugins->watch);
        if (r < 0) {
                plugins_free(plugins);
                return r;
        }
        added = plugins_discover(plugins);
        origins_follow(plugins);
        *ret = plugins;
        return 0;
}

Plugins *plugins_free(Plugins *plugins) {
        if (!plugins)
                return NULL;
        plugins->freeing = TRUE;
        sd_bus_slot_unref(plugins->owner_slot);
        sd_bus_slot_unref(plugins->vtable_slot);
        sd_bus_slot_unref(plugins->enumerator_slot);
        g_queue_clear_full(&plugins->deferred, deferred_free);
        g_ptr_array_unref(plugins->endings);
        g_queue_clear(&plugins->blocked);
        watch_free(plugins->watch);
        plugins_search_forget(plugins);
        g_ptr_array_unref(plugins->list);
        g_ptr_array_unref(plugins->gone);
        g_hash_table_unref(plugins->by_id);
        g_clear_pointer(&plugins->approvals, g_hash_table_unref);
        g_clear_pointer(&plugins->telling, g_hash_table_unref);
        g_clear_pointer(&plugins->told, g_hash_table_unref);
        g_ptr_array_unref(plugins->rounds);
        g_ptr_array_unref(plugins->dispatches);
        g_ptr_array_unref(plugins->requests);
        state_saving_free(plugins->saving);
        starter_free(plugins->starter);
        sd_event_source_disable_unref(plugins->deferral);
        sd_event_source_disable_unref(plugins->care);
        sd_event_source_disable_unref(plugins->hearing);
        g_strfreev(plugins->directories);
        g_free(plugins->state_directory);
        g_free(plugins->origins_directory);
        g_free(plugins->config_directory);
        config_unref(plugins->config);
        sd_event_unref(plugins->parameters.event);
        sd_bus_unref(plugins->parameters.bus);
        g_free(plugins);
        return NULL;
}
