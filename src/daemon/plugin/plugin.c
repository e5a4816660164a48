/* SPDX-License-Identifier: Apache-2.0 */

/* What the rest of the daemon sees of a plugin, and how one is made and unmade. */

#include "daemon/plugin/plugin.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/names.h"

const char *plugin_id(const Plugin *plugin) {
        return plugin->id;
}

const char *plugin_display_name(const Plugin *plugin) {
        return plugin->manifest ? plugin->manifest->display_name : plugin->id;
}

const char *plugin_object_path(const Plugin *plugin) {
        return plugin->path;
}

PluginState plugin_state(const Plugin *plugin) {
        return plugin->state;
}

gboolean plugin_enabled(const Plugin *plugin) {
        return plugin_may_run(plugin);
}

gboolean plugin_has_contract(const Plugin *plugin, const char *contract) {
        return plugin->manifest && manifest_has_contract(plugin->manifest, contract);
}

const Manifest *plugin_manifest(const Plugin *plugin) {
        return plugin->manifest;
}

const Manifest *plugin_next_manifest(const Plugin *plugin) {
        if (plugin->refused && !plugin->refused->versioned)
                return plugin->refused;
        return plugin->next_manifest ?: plugin->manifest;
}

const char *plugin_broken(const Plugin *plugin) {
        return plugin_active(plugin) ? plugin->broken_told : NULL;
}

const char *plugin_last_error(const Plugin *plugin) {
        const char *broken = plugin_broken(plugin);

        return broken && !*plugin->last_error ? broken : plugin->last_error;
}

static gboolean is_native(const Manifest *manifest) {
        return g_str_equal(manifest->runtime, "native");
}

gboolean plugin_is_native(const Plugin *plugin) {
        return plugin->manifest && is_native(plugin->manifest);
}

const char *plugin_native_obstacle(const Manifest *manifest, const Config *config) {
        if (!manifest || !is_native(manifest))
                return NULL;
        if (!config->plugins_native_enabled)
                return "it would run inside the daemon (runtime native), and plugins.native_enabled is false";
        return plugin_official(manifest)
                       ? NULL
                       : "only what came with CloudSnooze may run inside the daemon (runtime native)";
}

gboolean plugin_may_run_by(const Plugin *plugin, const Config *config) {
        return plugin->enabled && config->plugins_enabled && !plugin_native_obstacle(plugin->manifest, config);
}

gboolean plugin_may_run(const Plugin *plugin) {
        return plugin_may_run_by(plugin, plugin->plugins->config);
}

gboolean plugin_votes(const Plugin *plugin) {
        return plugin_may_run(plugin) &&
                (plugin->manifest ? plugin_has_contract(plugin, "IdleCheck") : plugin->was_check);
}

char *plugin_why_not(const Plugin *plugin) {
        const char *obstacle = plugin_native_obstacle(plugin->manifest, plugin->plugins->config);

        if (obstacle)
                return g_strdup_printf("%s may not run: %s", plugin->id, obstacle);
        return plugin->plugins->config->plugins_enabled
                       ? g_strdup_printf("%s is not enabled; " SNOOZE_COMMAND " plugin enable %s", plugin->id,
                                         plugin->id)
                       : g_strdup_printf("%s may not run: plugins.enabled is false, see " SNOOZE_COMMAND
                                         " config get plugins.enabled",
                                         plugin->id);
}

uint64_t plugins_timeout(const Plugins *plugins, const Manifest *manifest, PluginTimeout timeout) {
        uint64_t configured = config_timeout(plugins->config, manifest->id, timeout);

        return configured > 0 ? configured : manifest->timeouts[timeout];
}

uint64_t plugin_timeout(const Plugin *plugin, PluginTimeout timeout) {
        return plugin->manifest ? plugins_timeout(plugin->plugins, plugin->manifest, timeout) : USEC_PER_SEC;
}

gboolean plugin_active(const Plugin *plugin) {
        return plugin->state == PLUGIN_LOADING || plugin->state == PLUGIN_INITIALIZING ||
                plugin->state == PLUGIN_RUNNING || plugin->state == PLUGIN_DRAINING;
}

const char *plugin_unit(const Plugin *plugin) {
        return plugin->process ? plugin->process->unit : plugin->units[PLUGIN_SLOT_A];
}

pid_t plugin_pid(const Plugin *plugin) {
        return plugin->process ? plugin->process->pid : 0;
}

void plugin_set_error(Plugin *plugin, const char *message) {
        g_free(plugin->last_error);
        plugin->last_error = plugin_words(message);
}

gboolean plugin_refused(const Plugin *plugin) {
        return !plugin_active(plugin) && (plugin->misconfigured || plugin->lacking) && *plugin->last_error;
}

static void replace_error(Plugin *plugin, const char *error) {
        if (g_str_equal(error, plugin->last_error))
                return;
        plugin_set_error(plugin, error);
        plugin_bus_changed(plugin, "LastError", NULL);
}

void plugin_set_healthy(Plugin *plugin, gboolean healthy, const char *error) {
        gboolean changed = healthy != plugin->healthy;

        if (!healthy)
                plugin->faults++;
        if (error)
                replace_error(plugin, error);
        else if (changed && healthy)
                replace_error(plugin, "");
        plugin->healthy = healthy;
        if (!changed)
                return;
        plugin_bus_changed(plugin, "Healthy", NULL);
        if (!healthy && plugin->state == PLUGIN_RUNNING)
                plugin_check_failed(plugin, plugin->last_error);
}

void plugin_tell_obstacle(Plugin *plugin) {
        const char *obstacle = plugin_native_obstacle(plugin->manifest, plugin->plugins->config);

        if (obstacle)
                replace_error(plugin, obstacle);
}

void plugin_tell_broken(Plugin *plugin, const char *broken) {
        g_autofree char *words = broken ? plugin_words(broken) : NULL, *message = NULL;

        /* Anybody may have it read again and again. */
        if (g_strcmp0(words, plugin->broken_told) == 0)
                return;
        g_free(plugin->broken_told);
        plugin->broken_told = g_steal_pointer(&words);
        plugin_bus_changed(plugin, "LastError", NULL);
        if (!plugin->broken_told)
                return;
        message = g_strdup_printf("the running version stays, for what is there now is broken: %s",
                                  plugin->broken_told);
        plugins_problem(plugin->plugins, plugin->id, message);
}

/* It was refused for something that no setting of its own mends. NULL: it was not. Caller frees. */
static char *refusal_advice(const Plugin *plugin) {
        g_autofree char *unserved = NULL, *limits = NULL;

        if (plugin->lacking)
                return g_strdup("It needs no restart once that is mended. See " SNOOZE_COMMAND " plugin list");
        if (!plugin->misconfigured)
                return NULL;
        unserved = manifest_unserved(plugin->manifest);
        if (unserved)
                return g_strdup_printf("Another version of it may be served; or disable it: sudo " SNOOZE_COMMAND
                                       " plugin disable %s",
                                       plugin->id);
        limits = manifest_obstacle(plugin, plugin->manifest) ?: limits_obstacle(plugin, plugin->manifest);
        return limits ? g_strdup("It needs no restart once less is configured. See " SNOOZE_COMMAND
                                 " config get plugins.limits")
                      : NULL;
}

char *plugin_advice(const Plugin *plugin) {
        char *advice;

        if (!plugin->manifest)
                return g_strdup_printf("Mend the file, or disable it: sudo " SNOOZE_COMMAND " plugin disable %s",
                                       plugin->id);
        /* It is looked at again as soon as something of that changes. */
        advice = refusal_advice(plugin);
        if (advice)
                return advice;
        if (plugin->misconfigured)
                return g_strdup_printf("It needs no restart once that is mended. See " SNOOZE_COMMAND
                                       " plugin info %s; what may be configured: " SNOOZE_COMMAND
                                       " plugin configure %s",
                                       plugin->id, plugin->id);
        if (strstr(plugin->last_error, "nobody has approved"))
                return g_strdup_printf("See " SNOOZE_COMMAND " plugin permissions %s; approve: sudo " SNOOZE_COMMAND
                                       " plugin permissions %s --all",
                                       plugin->id, plugin->id);
        return g_strdup_printf("See its journal: journalctl -u 'snooze-plugin*@%s.service'; start it again: "
                               "sudo " SNOOZE_COMMAND " plugin restart %s",
                               plugin->id, plugin->id);
}

void plugin_tell_changed(Plugin *plugin, PluginState previous, const char *reason) {
        const PluginsParameters *parameters = &plugin->plugins->parameters;

        if (parameters->changed)
                parameters->changed(plugin, previous, reason, parameters->userdata);
}

/* What no start would change is told to whoever lets it run, and not first to whoever asks it something. One that may
 * run yet is not to be refused; nor is one that lacks a setting, which may come in a file that nobody watches. One
 * that has failed was begun meanwhile, and knows why. */
static void foresee(Plugin *plugin) {
        g_autofree char *problem = NULL;

        plugin->unforeseen = FALSE;
        if (!plugin->manifest || !plugin_may_run(plugin) || plugin_active(plugin) || plugin_awaited(plugin) ||
            plugin->behind || plugin->dismissed || plugin->state == PLUGIN_FAILED ||
            plugin->state == PLUGIN_QUARANTINED || (!plugin->looked && origin_known(plugin)))
                return;
        problem = manifest_obstacle(plugin, plugin->manifest) ?: limits_obstacle(plugin, plugin->manifest);
        plugin->misconfigured = problem != NULL;
        if (problem)
                plugin_refuse(plugin, problem);
        else
                (void) dependencies_refuse(plugin);
}

static void foresee_all(void *data) {
        Plugins *plugins = data;

        plugins->foreseeing = FALSE;
        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (plugin->unforeseen)
                        foresee(plugin);
        }
}

void plugin_foresee_later(Plugin *plugin) {
        if (!plugin->plugins->foreseeing)
                plugins_defer(plugin->plugins, foresee_all, NULL, plugin->plugins);
        plugin->plugins->foreseeing = TRUE;
        plugin->unforeseen = TRUE;
}

void plugin_enabled_changed(Plugin *plugin, gboolean enabled) {
        /* The helper may take away what it made, now that it is not enabled. */
        if (!enabled)
                provision_forget(plugin);
        if (plugin->enabled == enabled)
                return;
        plugin->enabled = enabled;
        plugin_bus_changed(plugin, "Enabled", NULL);
        if (enabled) {
                plugin_forget_failures(plugin);
                plugin_may_again(plugin, "was enabled");
        } else
                plugin_leave(plugin, "was disabled");
        plugin_tell_changed(plugin, plugin->state, enabled ? "was enabled" : "was disabled");
        dependencies_review(plugin->plugins);
        foresee(plugin);
}

void plugin_mark_made(Plugin *plugin) {
        gboolean begin = plugin->begin_wanted;

        plugin->mark_missing = FALSE;
        plugin->begin_wanted = FALSE;
        if (begin)
                plugin_begin(plugin);
}

void plugin_load(Plugin *plugin, PluginSettled done, void *userdata) {
        if (!plugin->manifest || !plugin_may_run(plugin) || plugin->state == PLUGIN_QUARANTINED) {
                g_autofree char *why = plugin->manifest && !plugin_may_run(plugin) ? plugin_why_not(plugin)
                                                                                   : g_strdup(plugin->last_error);

                plugin_settle_refused(plugin, done, userdata, ERROR_NOT_RUNNING, why);
                return;
        }
        plugin_settle_later(plugin, TRUE, done, userdata);
        if (plugin->state == PLUGIN_RUNNING)
                plugin_settle_reached(plugin);
        else if (plugin->state == PLUGIN_DRAINING || plugin->dismissed)
                plugin->restart_wanted = TRUE;
        else
                plugin_begin(plugin);
}

void plugin_unload(Plugin *plugin, PluginSettled done, void *userdata) {
        /* One that is disabled leaves in any case. */
        g_autofree char *others = plugin->enabled ? dependencies_of_others(plugin, plugin_active) : NULL;

        if (others) {
                g_autofree char *why = g_strdup_printf("%s is needed by running plugins: %s; unload those first.",
                                                       plugin->id, others);

                plugin_settle_refused(plugin, done, userdata, ERROR_REFUSED, why);
                return;
        }
        plugin_settle_later(plugin, FALSE, done, userdata);
        drain_end(plugin, "was unloaded");
        plugin->restart_wanted = FALSE;
        if (plugin_active(plugin) || plugin_awaited(plugin) || plugin->state == PLUGIN_FAILED)
                plugin_leave(plugin, "was unloaded");
        else
                (void) plugin_dismiss(plugin);
        if (!plugin_active(plugin))
                plugin_settle_reached(plugin);
}

void plugin_look_again(Plugin *plugin) {
        if (plugin->stale && !plugin->plugins->freeing)
                watch_touch(plugin->plugins->watch, plugin->id);
}

char *plugin_directory_of(const Manifest *manifest) {
        return g_strdup(manifest->directory);
}

void plugin_set_manifest(Plugin *plugin, const char *directory, Manifest *manifest, const char *broken) {
        /* May be the plugin's own string: an upgrade stays where it is. */
        G_GNUC_UNUSED g_autofree char *previous = g_steal_pointer(&plugin->directory);

        plugins_search_forget(plugin->plugins);
        upgrade_forget(plugin);
        limits_forget(plugin);
        if (plugin->manifest)
                plugin->was_check = plugin_has_contract(plugin, "IdleCheck");
        g_clear_pointer(&plugin->manifest, manifest_free);
        g_clear_pointer(&plugin->broken_told, g_free);
        plugin->manifest = manifest;
        plugin->behind = plugin->misconfigured = FALSE;
        plugin->directory = g_strdup(directory);
        plugin_set_error(plugin, broken ?: plugin_native_obstacle(plugin->manifest, plugin->plugins->config) ?: "");
}

void plugin_reset(Plugin *plugin, const char *directory, Manifest *manifest, const char *broken) {
        plugin_set_manifest(plugin, directory, manifest, broken);
        plugin->state = manifest ? PLUGIN_DISCOVERED : PLUGIN_FAILED;
}

Plugin *plugin_new(Plugins *plugins, const char *directory, const char *id, Manifest *manifest, const char *broken) {
        Plugin *plugin = g_new0(Plugin, 1);
        _cleanup_free_ char *path = NULL;

        plugin->plugins = plugins;
        plugin->id = g_strdup(id);
        plugin->name = g_strconcat(PLUGIN_NAME_PREFIX, id, NULL);
        plugin->units[PLUGIN_SLOT_A] = g_strdup_printf(PLUGIN_UNIT_PREFIX "%s.service", id);
        plugin->units[PLUGIN_SLOT_B] = g_strdup_printf(PLUGIN_B_UNIT_PREFIX "%s.service", id);
        plugin->slot_names[PLUGIN_SLOT_A] = g_strconcat(plugin->name, ".a", NULL);
        plugin->slot_names[PLUGIN_SLOT_B] = g_strconcat(plugin->name, ".b", NULL);
        if (sd_bus_path_encode(SNOOZE_PLUGIN_PATH, id, &path) >= 0)
                plugin->path = g_strdup(path);
        g_queue_init(&plugin->calls);
        plugin->settlers = g_ptr_array_new_with_free_func(plugin_settler_free);
        plugin->provisionings = g_ptr_array_new_with_free_func(provisioning_free);
        plugin_check_init(plugin);
        plugin->was_check = TRUE;
        plugin_reset(plugin, directory, manifest, broken);
        return plugin;
}

void plugin_free(Plugin *plugin) {
        if (!plugin)
                return;
        process_free(plugin->process);
        process_free(plugin->next);
        native_free(plugin->native);
        process_free(plugin->previous);
        swap_free(plugin->swap);
        version_switch_forget(plugin);
        sd_bus_slot_unref(plugin->settle_question);
        for (size_t i = 0; i < G_N_ELEMENTS(plugin->owner_questions); i++)
                sd_bus_slot_unref(plugin->owner_questions[i]);
        g_ptr_array_unref(plugin->provisionings);
        sd_bus_slot_unref(plugin->owner_question);
        sd_bus_slot_unref(plugin->leftover_question);
        plugin->timer = sd_event_source_disable_unref(plugin->timer);
        plugin_keep_cancel(plugin);
        plugin_calls_free(plugin);
        plugin_check_clear(plugin);
        g_ptr_array_unref(plugin->settlers);
        plugin_forget_failures(plugin);
        limits_watch_free(plugin->watch);
        limits_cancel(plugin->limiting);
        g_free(plugin->limits_told);
        manifest_free(plugin->manifest);
        manifest_free(plugin->next_manifest);
        upgrade_forget(plugin);
        g_free(plugin->owner);
        g_free(plugin->origin);
        for (size_t i = 0; i < G_N_ELEMENTS(plugin->gone); i++)
                g_free(plugin->gone[i]);
        g_free(plugin->last_error);
        g_free(plugin->dependency_error);
        g_free(plugin->broken_told);
        g_free(plugin->id);
        g_free(plugin->name);
        g_free(plugin->path);
        for (size_t i = 0; i < PLUGIN_SLOT_COUNT; i++) {
                g_free(plugin->units[i]);
                g_free(plugin->slot_names[i]);
                g_free(plugin->slot_owners[i]);
                g_free(plugin->provisioned[i]);
        }
        g_free(plugin->directory);
        g_free(plugin);
}
