/* SPDX-License-Identifier: Apache-2.0 */

/* Which plugins there are: the manifests in the directories, of which the first that has an id wins. What was read is
 * read again only if its files are not the same any more. One that runs keeps what it was started with until it ends,
 * but for another version, which takes its place. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

static int compare_ids(const void *a, const void *b) {
        const Plugin *const *left = a, *const *right = b;

        return strcmp((*left)->id, (*right)->id);
}

/* Anybody may have the directories read again and again: what is so was told once, until it was not so once. */
static void tell(Plugins *plugins, const char *message) {
        if (g_hash_table_add(plugins->telling, g_strdup(message)) &&
            !(plugins->told && g_hash_table_contains(plugins->told, message)))
                plugins_problem(plugins, "plugins", message);
}

/* What can be in the way of an id is not worth an object. */
static gboolean id_usable(Plugins *plugins, const char *directory, const char *id) {
        g_autofree char *message = NULL;

        if (plugin_id_valid(id))
                return TRUE;
        message = g_strdup_printf("%s/%s: a plugin's directory is named " PLUGIN_ID_EXPECTED, directory, id);
        tell(plugins, message);
        return FALSE;
}

/* One that is broken is read each time: what it lacks may be anywhere. */
static gboolean is_unchanged(const Plugin *plugin, const char *directory) {
        const Manifest *there = plugin->refused ?: plugin->next_manifest ?: plugin->manifest;
        FileStamp now[MANIFEST_FILES];

        if (!plugin->manifest ||
            !g_str_equal(directory, plugin->refused ? plugin->refused->directory : plugin->directory) ||
            ((plugin->refused || plugin->next_manifest) && !plugin_active(plugin)))
                return FALSE;
        manifest_stamp(directory, plugin->id, there->exec, now);
        return memcmp(now, plugin->stamp, sizeof(now)) == 0;
}

static gboolean manifest_same(const Plugin *plugin, const char *directory, const Manifest *manifest,
                              const char *broken) {
        if (!manifest || !plugin->manifest)
                return !manifest && !plugin->manifest && g_strcmp0(plugin->last_error, broken) == 0;
        return g_str_equal(directory, plugin->directory) && g_str_equal(manifest->digest, plugin->manifest->digest) &&
               g_str_equal(manifest->exec, plugin->manifest->exec);
}

/* It runs on, and could not be started again: whoever put the files there hears that now. */
static void tell_excess(Plugin *plugin, const Manifest *manifest) {
        g_autofree char *excess = limits_obstacle(plugin, manifest), *message = NULL;

        if (!excess)
                return;
        message = g_strdup_printf("runs on, and is not started again so: %s", excess);
        plugins_problem(plugin->plugins, plugin->id, message);
}

/* It runs. */
static void refresh_active(Plugin *plugin, const char *directory, Manifest *manifest, const char *broken) {
        g_autoptr(Manifest) owned = manifest;

        if (!manifest || g_str_equal(manifest->version, plugin->manifest->version))
                upgrade_forget(plugin);
        if (!manifest) {
                plugin->stale = TRUE;
                /* What was seen before that is not there any more. */
                if (plugin->next_manifest && !plugin->next_manifest->versioned)
                        g_clear_pointer(&plugin->next_manifest, manifest_free);
                plugin_tell_broken(plugin, broken);
                return;
        }
        if (g_str_equal(manifest->version, plugin->manifest->version)) {
                if (!g_str_equal(directory, plugin->directory)) {
                        g_free(plugin->directory);
                        plugin->directory = g_strdup(directory);
                }
                tell_excess(plugin, owned);
                g_clear_pointer(&plugin->next_manifest, manifest_free);
                plugin->next_manifest = g_steal_pointer(&owned);
                return;
        }
        plugin_upgrade(plugin, g_steal_pointer(&owned), NULL, NULL);
}

static void refresh(Plugin *plugin, const char *directory, Manifest *manifest, const char *broken,
                    gboolean other_program) {
        g_autoptr(Manifest) owned = manifest;
        /* What nobody starts any more may have been waiting for its program. */
        gboolean awaited = other_program && plugin->state == PLUGIN_QUARANTINED;

        plugin->stale = FALSE;
        if (manifest)
                plugin_tell_broken(plugin, NULL);
        if (awaited)
                plugin_forget_failures(plugin);
        if (!awaited && manifest_same(plugin, directory, manifest, broken)) {
                upgrade_forget(plugin);
                /* What was seen there before is there no more. */
                if (plugin->next_manifest && !plugin->next_manifest->versioned) {
                        if (plugin_active(plugin))
                                tell_excess(plugin, plugin->manifest);
                        g_clear_pointer(&plugin->next_manifest, manifest_free);
                }
                return;
        }
        /* The link names a version that does not serve, and is about to name another. */
        if (plugin->switching) {
                plugin->stale = TRUE;
                return;
        }
        if (plugin_active(plugin)) {
                refresh_active(plugin, directory, g_steal_pointer(&owned), broken);
                return;
        }
        g_clear_pointer(&plugin->next_manifest, manifest_free);
        plugin_set_manifest(plugin, directory, g_steal_pointer(&owned), broken);
        enabled_learn(plugin);
        plugin_manifest_taken(plugin);
        /* What it said while it could be asked counts no more. */
        if (!plugin->manifest) {
                g_autofree char *reason = g_strdup_printf("%s is broken: %s", plugin->id, plugin->last_error);

                plugin_check_failed(plugin, reason);
        }
}

static void insert(Plugins *plugins, Plugin *plugin) {
        g_hash_table_insert(plugins->by_id, plugin->id, plugin);
        g_ptr_array_add(plugins->list, plugin);
        enabled_learn(plugin);
        plugin_quarantine_recall(plugin);
        plugin_bus_added(plugin);
        if (plugins->exported)
                plugin_tell_changed(plugin, plugin->state, "was found");
        plugin_foresee_later(plugin);
}

/* One that was there before is the same object: others may have kept it. */
static Plugin *take_back(Plugins *plugins, const char *id) {
        for (guint i = 0; i < plugins->gone->len; i++)
                if (g_str_equal(((Plugin *) g_ptr_array_index(plugins->gone, i))->id, id))
                        return g_ptr_array_steal_index_fast(plugins->gone, i);
        return NULL;
}

/* What is missing may be its program alone, which is copied last and may lie anywhere. That it comes is noticed from
 * the watch on, so it is looked for once more. */
static Manifest *load(Plugins *plugins, const char *directory, const char *id, GError **error) {
        g_autofree char *missing = NULL;
        g_autoptr(GError) e = NULL;
        Manifest *manifest = manifest_load_or_miss(directory, id, plugins->trusted_uid, &missing, &e);

        if (manifest) {
                watch_program(plugins->watch, directory, id, manifest->exec);
                /* Of a version it lies beside its program at most. */
                watch_program(plugins->watch, directory, id, manifest->path);
        }
        if (missing) {
                watch_program(plugins->watch, directory, id, missing);
                return manifest_load(directory, id, plugins->trusted_uid, error);
        }
        if (!manifest)
                g_propagate_error(error, g_steal_pointer(&e));
        return manifest;
}

static void look_at(Plugins *plugins, const char *directory, const char *id, GStrvBuilder *added) {
        Plugin *plugin = g_hash_table_lookup(plugins->by_id, id);
        g_autoptr(GError) error = NULL;
        Manifest *manifest;
        FileStamp stamp[MANIFEST_FILES] = {};

        if (plugin && is_unchanged(plugin, directory)) {
                plugin->stale = FALSE;
                return;
        }
        manifest = load(plugins, directory, id, &error);
        if (manifest)
                memcpy(stamp, manifest->stamp, sizeof(stamp));
        if (error && (!plugin || g_strcmp0(plugin->last_error, error->message) != 0))
                log_warning("Plugin %s is broken: %s", id, error->message);
        if (!plugin) {
                plugin = take_back(plugins, id);
                if (plugin)
                        plugin_reset(plugin, directory, manifest, error ? error->message : NULL);
                else
                        plugin = plugin_new(plugins, directory, id, manifest, error ? error->message : NULL);
                insert(plugins, plugin);
                g_strv_builder_add(added, id);
        } else
                refresh(plugin, directory, manifest, error ? error->message : NULL,
                        memcmp(&stamp[MANIFEST_PROGRAM], &plugin->stamp[MANIFEST_PROGRAM], sizeof(*stamp)) != 0);
        /* What was not taken is to be read again. */
        if (plugin->stale)
                memset(plugin->stamp, 0, sizeof(plugin->stamp));
        else
                memcpy(plugin->stamp, stamp, sizeof(stamp));
}

/* First its end is waited for, also that of one that ran before the daemon did; the last to hear of it are those who
 * could still call it. */
static void remove_plugin(Plugin *plugin) {
        static const char reason[] = "its plugin.json is gone";
        Plugins *plugins = plugin->plugins;
        PluginState previous = plugin->state;
        guint index;

        drain_end(plugin, reason);
        plugin->stale = TRUE;
        if (plugin_active(plugin) || plugin_awaited(plugin))
                plugin_leave(plugin, reason);
        else if (!plugin->looked && origin_known(plugin))
                (void) plugin_dismiss(plugin);
        if (plugin_active(plugin) || plugin->dismissed)
                return;
        if (!g_ptr_array_find(plugins->list, plugin, &index))
                return;
        plugin->enabled = FALSE;
        plugin->timer = sd_event_source_disable_unref(plugin->timer);
        plugin_calls_fail(plugin, ERROR_NO_SUCH_PLUGIN, reason);
        provision_abandon(plugin);
        /* One that comes again may have been uninstalled meanwhile. */
        provision_forget(plugin);
        version_switch_abandon(plugin);
        plugin_quarantine_drop(plugin);
        plugin_tell_changed(plugin, previous, reason);
        plugin_bus_removed(plugin);
        (void) g_ptr_array_steal_index(plugins->list, index);
        (void) g_hash_table_remove(plugins->by_id, plugin->id);
        g_ptr_array_add(plugins->gone, plugin);
        g_clear_pointer(&plugin->next_manifest, manifest_free);
        plugin_reset(plugin, plugin->directory, NULL, reason);
        memset(plugin->stamp, 0, sizeof(plugin->stamp));
        g_clear_pointer(&plugin->owner, g_free);
        g_ptr_array_set_size(plugin->check.votes, 0);
        plugin->check.valid_until = 0;
}

static GPtrArray *directories(const Plugins *plugins) {
        GPtrArray *all = g_ptr_array_new();

        for (char **directory = plugins->directories; *directory; directory++)
                g_ptr_array_add(all, *directory);
        for (char **directory = plugins->config->plugin_directories; directory && *directory; directory++)
                g_ptr_array_add(all, *directory);
        return all;
}

/* A directory that cannot be read takes no plugin away: a check that is missed is not idle. */
static void keep_those_of(Plugins *plugins, const char *directory, GHashTable *seen) {
        for (guint i = 0; i < plugins->list->len; i++) {
                const Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (g_str_equal(plugin->directory, directory))
                        (void) g_hash_table_add(seen, g_strdup(plugin->id));
        }
}

/* Once, for all that are beyond. */
static void tell_crowded(Plugins *plugins, const char *directory) {
        g_autofree char *message = NULL;

        if (plugins->crowded)
                return;
        plugins->crowded = TRUE;
        message = g_strdup_printf("%s: there are %u plugins already, and no more are taken", directory, PLUGINS_MAX);
        tell(plugins, message);
}

static int compare_names(const void *a, const void *b) {
        const char *const *left = a, *const *right = b;

        return strcmp(*left, *right);
}

/* In their order, so that it depends on nothing else which are taken where there are too many. */
static GPtrArray *names_in(DIR *handle) {
        GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
        struct dirent *entry;

        while ((entry = readdir(handle)))
                if (entry->d_name[0] != '.' && entry->d_type != DT_REG)
                        g_ptr_array_add(names, g_strdup(entry->d_name));
        g_ptr_array_sort(names, compare_names);
        return names;
}

static void scan_directory(Plugins *plugins, const char *directory, GHashTable *seen, GStrvBuilder *added) {
        _cleanup_(closedirp) DIR *handle = NULL;
        g_autoptr(GPtrArray) names = NULL;
        g_autoptr(GError) error = NULL;
        struct stat st;

        watch_directory(plugins->watch, directory);
        handle = opendir(directory);
        if (!handle || fstat(dirfd(handle), &st) < 0) {
                if (errno != ENOENT && errno != ENOTDIR)
                        keep_those_of(plugins, directory, seen);
                return;
        }
        /* Before it is read: whose it is may have put anything there, and anybody may have it read again and again. */
        if (!file_status_trusted(directory, &st, plugins->trusted_uid, &error)) {
                tell(plugins, error->message);
                keep_those_of(plugins, directory, seen);
                return;
        }
        names = names_in(handle);
        for (guint i = 0; i < names->len && !plugins->crowded; i++) {
                const char *name = g_ptr_array_index(names, i);

                if (g_hash_table_size(seen) >= PLUGINS_MAX) {
                        if (plugin_id_valid(name) && !g_hash_table_contains(seen, name) &&
                            manifest_there(directory, name))
                                tell_crowded(plugins, directory);
                        continue;
                }
                if (plugin_id_valid(name))
                        watch_plugin(plugins->watch, directory, name);
                if (!manifest_there(directory, name) || !id_usable(plugins, directory, name) ||
                    !g_hash_table_add(seen, g_strdup(name)))
                        continue;
                look_at(plugins, directory, name, added);
        }
}

static void remove_missing(Plugins *plugins, GHashTable *seen) {
        g_autoptr(GPtrArray) all = g_ptr_array_copy(plugins->list, NULL, NULL);

        g_ptr_array_set_free_func(all, NULL);
        for (guint i = 0; i < all->len; i++) {
                Plugin *plugin = g_ptr_array_index(all, i);

                if (!g_hash_table_contains(seen, plugin->id))
                        remove_plugin(plugin);
        }
}

char **plugins_discover(Plugins *plugins) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_autoptr(GStrvBuilder) added = g_strv_builder_new();
        g_autoptr(GPtrArray) all = directories(plugins);

        plugins->crowded = FALSE;
        g_clear_pointer(&plugins->told, g_hash_table_unref);
        plugins->told = g_steal_pointer(&plugins->telling);
        plugins->telling = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        watch_begin(plugins->watch);
        for (guint i = 0; i < all->len; i++)
                scan_directory(plugins, g_ptr_array_index(all, i), seen, added);
        remove_missing(plugins, seen);
        g_ptr_array_sort(plugins->list, compare_ids);
        dependencies_review(plugins);
        return g_strv_builder_end(added);
}

/* Whose a directory is can be told of one that is there. */
static gboolean is_gone(const char *directory) {
        return access(directory, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* One of them. */
static void look_for(Plugins *plugins, const char *id) {
        g_autoptr(GStrvBuilder) added = g_strv_builder_new();
        g_autoptr(GPtrArray) all = directories(plugins);
        Plugin *plugin;
        gboolean found = FALSE;

        if (!plugin_id_valid(id))
                return;
        for (guint i = 0; i < all->len; i++) {
                const char *directory = g_ptr_array_index(all, i);

                if (!file_trusted(directory, plugins->trusted_uid, NULL)) {
                        plugin = g_hash_table_lookup(plugins->by_id, id);
                        found = found ||
                                (plugin && g_str_equal(plugin->directory, directory) && !is_gone(directory));
                        continue;
                }
                watch_plugin(plugins->watch, directory, id);
                if (!found && manifest_there(directory, id)) {
                        found = TRUE;
                        if (plugins->list->len < PLUGINS_MAX || g_hash_table_contains(plugins->by_id, id))
                                look_at(plugins, directory, id, added);
                        else
                                tell_crowded(plugins, directory);
                }
        }
        plugin = g_hash_table_lookup(plugins->by_id, id);
        if (!found && plugin)
                remove_plugin(plugin);
}

void registry_settled(GHashTable *ids, void *userdata) {
        Plugins *plugins = userdata;
        GHashTableIter iter;
        void *id;

        if (!ids) {
                g_strfreev(plugins_discover(plugins));
                return;
        }
        g_hash_table_iter_init(&iter, ids);
        while (g_hash_table_iter_next(&iter, &id, NULL))
                look_for(plugins, id);
        g_ptr_array_sort(plugins->list, compare_ids);
        dependencies_review(plugins);
}
