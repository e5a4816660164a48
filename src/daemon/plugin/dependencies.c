/* SPDX-License-Identifier: Apache-2.0 */

/* What a plugin needs of others: they are started before it is, and not switched off while it may run. One that lacks
 * something says what, and stands in nobody's way. */

#include "daemon/plugin/plugin.h"
#include "config.h"
#include "util/version-range.h"

static const ManifestDependency *dependency_at(const Manifest *manifest, guint i) {
        return g_ptr_array_index(manifest->dependencies, i);
}

static const Manifest *version_of(const Plugin *plugin) {
        return plugin->as_if ?: plugin->manifest;
}

/* "a → b → a", or NULL. way: from `plugin` on, whose manifest is to be this one; the others have theirs. */
static char *find_cycle(const Plugin *plugin, const Manifest *manifest, GPtrArray *way, GHashTable *seen) {
        g_ptr_array_add(way, (void *) plugin);
        (void) g_hash_table_add(seen, (void *) plugin);
        for (guint i = 0; manifest && i < manifest->dependencies->len; i++) {
                const Plugin *next = plugins_find(plugin->plugins, dependency_at(manifest, i)->name);
                char *cycle;

                if (next && next == g_ptr_array_index(way, 0)) {
                        GString *text = g_string_new(NULL);

                        for (guint k = 0; k < way->len; k++)
                                g_string_append_printf(text, "%s → ",
                                                       ((const Plugin *) g_ptr_array_index(way, k))->id);
                        g_string_append(text, next->id);
                        return g_string_free(text, FALSE);
                }
                if (!next || g_hash_table_contains(seen, next))
                        continue;
                cycle = find_cycle(next, version_of(next), way, seen);
                if (cycle)
                        return cycle;
        }
        g_ptr_array_set_size(way, (int) way->len - 1);
        return NULL;
}

static char *problem_with(const Plugin *plugin, const ManifestDependency *dependency) {
        const Plugin *other = plugins_find(plugin->plugins, dependency->name);

        if (!other)
                return g_strdup_printf("needs the plugin %s %s, which is not installed", dependency->name,
                                       dependency->version);
        if (!other->manifest)
                return g_strdup_printf("needs the plugin %s, which is broken: %s", other->id, other->last_error);
        if (!version_range_has(dependency->version, version_of(other)->version))
                return g_strdup_printf("needs the plugin %s %s, and %s is there", other->id, dependency->version,
                                       version_of(other)->version);
        if (!plugin_may_run(other))
                return g_strdup_printf("needs the plugin %s, which is not enabled; " SNOOZE_COMMAND
                                       " plugin enable %s",
                                       other->id, other->id);
        return NULL;
}

/* With this manifest, which need not be its own yet. */
static char *dependencies_problem(const Plugin *plugin, const Manifest *manifest) {
        g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
        g_autoptr(GPtrArray) way = g_ptr_array_new();
        g_autofree char *cycle = NULL;

        for (guint i = 0; i < manifest->dependencies->len; i++) {
                char *problem = problem_with(plugin, dependency_at(manifest, i));

                if (problem)
                        return problem;
        }
        cycle = find_cycle(plugin, manifest, way, seen);
        return cycle ? g_strdup_printf("plugins need each other: %s", cycle) : NULL;
}

static void refuse(Plugin *plugin, const char *problem) {
        plugin->lacking = TRUE;
        plugin_refuse(plugin, problem);
}

gboolean dependencies_refuse(Plugin *plugin) {
        g_autofree char *problem = dependencies_problem(plugin, plugin->manifest);

        plugin->lacking = problem != NULL;
        if (problem)
                plugin_refuse(plugin, problem);
        return plugin->lacking;
}

gboolean dependencies_awaited(const Plugin *plugin) {
        return plugin->waiting_for > 0 && !plugin->called_off;
}

void dependencies_call_off(Plugin *plugin) {
        plugin->called_off = plugin->waiting_for > 0;
}

static void on_settled(Plugin *dependency, const sd_bus_error *error, void *userdata) {
        Plugin *plugin = userdata;
        g_autofree char *problem = NULL;

        plugin->waiting_for--;
        if (error && !plugin->dependency_error)
                plugin->dependency_error = g_strdup_printf("needs the plugin %s, which could not be started: %s",
                                                           dependency->id, error->message);
        if (plugin->waiting_for > 0)
                return;
        problem = g_steal_pointer(&plugin->dependency_error);
        if (plugin->called_off)
                plugin->called_off = FALSE;
        else if (problem)
                refuse(plugin, problem);
        else
                plugin_begin(plugin);
}

gboolean dependencies_ready(Plugin *plugin) {
        g_autoptr(GPtrArray) missing = g_ptr_array_new();

        if (plugin->manifest->dependencies->len == 0)
                return TRUE;
        if (plugin->waiting_for > 0) {
                plugin->called_off = FALSE;
                return FALSE;
        }
        if (dependencies_refuse(plugin))
                return FALSE;
        for (guint i = 0; i < plugin->manifest->dependencies->len; i++) {
                Plugin *other = plugins_find(plugin->plugins, dependency_at(plugin->manifest, i)->name);

                if (other->state != PLUGIN_RUNNING)
                        g_ptr_array_add(missing, other);
        }
        /* Before the first of them is asked, which may be up or down at once. */
        plugin->waiting_for = missing->len;
        for (guint i = 0; i < missing->len; i++)
                plugin_load(g_ptr_array_index(missing, i), on_settled, plugin);
        return missing->len == 0;
}

void dependencies_wake(Plugin *plugin) {
        for (guint i = 0; i < plugin->manifest->dependencies->len; i++) {
                Plugin *other = plugins_find(plugin->plugins, dependency_at(plugin->manifest, i)->name);

                if (other)
                        plugin_load(other, NULL, NULL);
        }
}

void dependencies_review(Plugins *plugins) {
        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);
                g_autofree char *problem = NULL;

                if (!plugin->manifest || plugin_active(plugin) ||
                    (plugin->manifest->dependencies->len == 0 && !plugin->lacking))
                        continue;
                problem = plugin_may_run(plugin) ? dependencies_problem(plugin, plugin->manifest) : NULL;
                if (!problem && !plugin->lacking)
                        continue;
                plugin->lacking = problem != NULL;
                if (g_str_equal(plugin->last_error, problem ?: ""))
                        continue;
                plugin_set_error(plugin, problem ?: "");
                plugin_bus_changed(plugin, "LastError", NULL);
                /* Refused before, and not about to be started again: whoever asks it next is served. */
                if (!problem && plugin->state == PLUGIN_FAILED && !plugin->timer)
                        plugin_set_state(plugin, PLUGIN_DISCOVERED, "lacks nothing any more");
        }
        upgrades_review(plugins);
}

static gboolean needs(const Plugin *plugin, const char *id) {
        for (guint i = 0; plugin->manifest && i < plugin->manifest->dependencies->len; i++)
                if (g_str_equal(dependency_at(plugin->manifest, i)->name, id))
                        return TRUE;
        return FALSE;
}

static void review(void *data) {
        Plugins *plugins = data;

        plugins->review_deferred = FALSE;
        dependencies_review(plugins);
}

void dependencies_up(const Plugin *plugin) {
        Plugins *plugins = plugin->plugins;

        for (guint i = 0; !plugins->review_deferred && i < plugins->list->len; i++) {
                const Plugin *other = g_ptr_array_index(plugins->list, i);

                if (other->lacking && needs(other, plugin->id)) {
                        plugins->review_deferred = TRUE;
                        plugins_defer(plugins, review, NULL, plugins);
                }
        }
}

char *dependencies_of_others(const Plugin *plugin, gboolean (*which)(const Plugin *other)) {
        g_autoptr(GString) ids = g_string_new(NULL);

        for (guint i = 0; i < plugin->plugins->list->len; i++) {
                const Plugin *other = g_ptr_array_index(plugin->plugins->list, i);

                if (needs(other, plugin->id) && which(other))
                        g_string_append_printf(ids, "%s%s", ids->len > 0 ? ", " : "", other->id);
        }
        return ids->len > 0 ? g_strdup(ids->str) : NULL;
}

/* The enabled plugins that would lack it: those that it suits as it is, and that have no version to follow with. */
static char *dependants_problem(Plugin *plugin, const Manifest *manifest) {
        for (guint i = 0; i < plugin->plugins->list->len; i++) {
                Plugin *other = g_ptr_array_index(plugin->plugins->list, i);
                const Manifest *theirs = version_of(other);

                if (!theirs || !plugin_may_run(other))
                        continue;
                for (guint k = 0; k < theirs->dependencies->len; k++) {
                        const ManifestDependency *dependency = dependency_at(theirs, k);

                        if (g_str_equal(dependency->name, plugin->id) &&
                            version_range_has(dependency->version, plugin->manifest->version) &&
                            !version_range_has(dependency->version, manifest->version) &&
                            !upgrade_would_follow(other, plugin, manifest))
                                return g_strdup_printf("the plugin %s, which is enabled, needs %s %s", other->id,
                                                       plugin->id, dependency->version);
                }
        }
        return NULL;
}

char *dependencies_obstacle(Plugin *plugin, const Manifest *manifest) {
        return dependencies_problem(plugin, manifest) ?: dependants_problem(plugin, manifest);
}

Plugin *dependencies_missing(const Plugin *plugin, const Manifest *manifest) {
        for (guint i = 0; i < manifest->dependencies->len; i++) {
                Plugin *other = plugins_find(plugin->plugins, dependency_at(manifest, i)->name);

                if (other && other->state != PLUGIN_RUNNING)
                        return other;
        }
        return NULL;
}
