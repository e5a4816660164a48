/* SPDX-License-Identifier: Apache-2.0 */

/* Another version of a plugin is to run. What would be refused when it starts is refused here, while the one that
 * works still does: an update that could not be started again would keep the machine on from the next boot at the
 * latest. */

#include "base/errors.h"
#include "base/journal.h"
#include "config.h"
#include "daemon/plugin/plugin.h"
#include "manifest/limits.h"

/* What would follow is looked at along every way that leads from one to another, of which a few dozen plugins may have
 * millions. Beyond so many steps nothing follows. */
#define FOLLOWERS_MAX 256U

char *manifest_obstacle(const Plugin *plugin, const Manifest *manifest) {
        JsonObject *configured = config_limits(plugin->plugins->config, plugin->id);
        MachineSize machine = machine_size();

        return manifest_unserved(manifest) ?: limits_impossible(manifest, configured, &machine);
}

char *limits_obstacle(const Plugin *plugin, const Manifest *manifest) {
        JsonObject *limits = config_limits(plugin->plugins->config, plugin->id);
        g_autofree char *excess = limits ? limits_excess(manifest, limits) : NULL;

        return excess ? g_strdup_printf("plugins.limits.%s.%s", plugin->id, excess) : NULL;
}

static char *settings_obstacle(Plugin *plugin, const Manifest *manifest) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Settings) settings = plugin_settings(plugin, manifest, &error);

        return settings ? NULL : g_strdup_printf("is not configured well: %s", error->message);
}

char *configuration_obstacle(Plugin *plugin) {
        char *obstacle = manifest_obstacle(plugin, plugin->manifest);

        /* One that ran before the daemon did has its limits, and is started by nobody. */
        if (!obstacle && plugin->looked)
                obstacle = limits_obstacle(plugin, plugin->manifest);
        return obstacle ?: settings_obstacle(plugin, plugin->manifest);
}

/* What was loaded into the daemon stays there, and is not there twice. */
static char *loading_obstacle(const Plugin *plugin, const Manifest *manifest) {
        if (!plugin->native || !g_str_equal(manifest->runtime, "native"))
                return g_strdup(plugin_native_obstacle(manifest, plugin->plugins->config));
        return g_strdup("the daemon has the code of an earlier one (runtime native), and loads this one when it is "
                        "started again: systemctl restart snoozed");
}

/* NULL: nothing stands against it. */
static char *obstacle_of(Plugin *plugin, const Manifest *manifest) {
        g_autofree char *obstacle = NULL;

        if (g_str_equal(manifest->digest, plugin->manifest->digest))
                return NULL;
        obstacle = manifest_obstacle(plugin, manifest) ?: loading_obstacle(plugin, manifest) ?:
                dependencies_obstacle(plugin, manifest) ?: limits_obstacle(plugin, manifest) ?:
                settings_obstacle(plugin, manifest);
        if (!obstacle)
                return NULL;
        return g_strdup_printf("version %s cannot replace version %s, which %s: %s", manifest->version,
                               plugin->manifest->version, plugin_active(plugin) ? "runs on" : "stays", obstacle);
}

/* Two that need each other's new versions are refused each for the other's old one. The one that is needed goes first,
 * and the other follows when it is there (upgrades_review()). Should that fail, nothing is worse than it was: of
 * versions that do not lie side by side the next start has the new one of both in any case. */
gboolean upgrade_would_follow(Plugin *other, Plugin *plugin, const Manifest *manifest) {
        Plugins *plugins = plugin->plugins;
        g_autofree char *obstacle = NULL;

        if (other->as_if || plugin->as_if || manifest->versioned)
                return FALSE;
        /* One that is being tried again has none meanwhile. */
        if (!other->refusal || !other->refused || other->refused->versioned)
                return FALSE;
        if (plugins->follow_depth == 0)
                plugins->followers = 0;
        if (++plugins->followers > FOLLOWERS_MAX)
                return FALSE;
        plugins->follow_depth++;
        plugin->as_if = manifest;
        obstacle = obstacle_of(other, other->refused);
        plugin->as_if = NULL;
        plugins->follow_depth--;
        return !obstacle;
}

void upgrade_forget(Plugin *plugin) {
        g_clear_pointer(&plugin->refused, manifest_free);
        g_clear_pointer(&plugin->refusal, g_free);
}

void upgrade_taken(Plugin *plugin, const Manifest *manifest) {
        upgrade_forget(plugin);
        /* What was seen of the version before is not there any more. */
        if (!manifest->versioned)
                g_clear_pointer(&plugin->next_manifest, manifest_free);
}

void upgrade_take_refused(Plugin *plugin) {
        g_autofree char *directory = NULL;
        Manifest *manifest;

        if (!plugin->refused || plugin->refused->versioned)
                return;
        manifest = g_steal_pointer(&plugin->refused);
        directory = plugin_directory_of(manifest);
        plugin_set_manifest(plugin, directory, manifest, NULL);
        plugin_manifest_taken(plugin);
}

/* Where it lies alone its program is what is started next, and must not be taken for the one before. What was seen
 * since came to the same place, and is newer: a change of the running version, or one that was refused. */
void upgrade_failed(Plugin *plugin, Manifest *manifest) {
        g_autoptr(Manifest) owned = manifest;

        if (manifest->versioned || plugin->next_manifest || plugin->refused)
                return;
        upgrade_forget(plugin);
        plugin->refused = g_steal_pointer(&owned);
}

/* Takes the manifest. The watch sees it again and again: everybody is told once. */
static void refuse(Plugin *plugin, Manifest *manifest, const char *reason, PluginSettled done, void *userdata) {
        if (done) {
                manifest_free(manifest);
                plugin_settle_refused(plugin, done, userdata, ERROR_REFUSED, reason);
                return;
        }
        g_clear_pointer(&plugin->refused, manifest_free);
        if (!manifest->versioned)
                g_clear_pointer(&plugin->next_manifest, manifest_free);
        plugin->refused = manifest;
        plugin->stale = TRUE;
        if (g_strcmp0(plugin->refusal, reason) == 0)
                return;
        g_free(plugin->refusal);
        plugin->refusal = g_strdup(reason);
        plugins_problem(plugin->plugins, plugin->id, reason);
}

static gboolean may_be_swapped(const Plugin *plugin, const Manifest *manifest) {
        return plugin->state == PLUGIN_RUNNING && !plugin_is_native(plugin) &&
                g_str_equal(manifest->runtime, plugin->manifest->runtime);
}

void plugin_upgrade(Plugin *plugin, Manifest *manifest, PluginSettled done, void *userdata) {
        g_autofree char *obstacle = NULL;

        if (plugin_adopting(plugin)) {
                g_clear_pointer(&plugin->next_manifest, manifest_free);
                plugin->next_manifest = manifest;
                plugin_settle_later(plugin, TRUE, done, userdata);
                return;
        }
        /* Of one that does not run, and lies alone, there is nothing else that could be started. */
        if (plugin_active(plugin) || manifest->versioned)
                obstacle = obstacle_of(plugin, manifest);
        if (obstacle) {
                refuse(plugin, manifest, obstacle, done, userdata);
                return;
        }
        if (!done && !plugin->previous)
                log_info("Plugin %s: version %s takes the place of %s", plugin->id, manifest->version,
                         plugin->manifest->version);
        if (may_be_swapped(plugin, manifest))
                plugin_swap(plugin, manifest, done, userdata);
        else if (plugin->previous && plugin_active(plugin))
                swap_put_off(plugin, manifest, done, userdata);
        else {
                upgrade_taken(plugin, manifest);
                version_replace(plugin, manifest, done, userdata);
        }
}

static void try_again(Plugin *plugin) {
        g_autofree char *obstacle = plugin_active(plugin) ? obstacle_of(plugin, plugin->refused) : NULL;

        if (plugin_active(plugin) && !obstacle)
                plugin_upgrade(plugin, g_steal_pointer(&plugin->refused), NULL, NULL);
}

void upgrades_review(Plugins *plugins) {
        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);

                if (plugin->refused && plugin->refusal)
                        try_again(plugin);
        }
}
