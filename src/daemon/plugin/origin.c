/* SPDX-License-Identifier: Apache-2.0 */

/* What the process that serves was started from, kept below /run for the daemon after this one: that finds the process
 * running, and perhaps other files than it was started from. It serves on by the manifest that it has, and what is
 * there now takes its place as it would have done had the daemon seen it come.
 *
 * One file for each plugin: a line that says whose it is, and the manifest's text behind it. Whose: of a connection to
 * a bus, by names that no bus gives twice. No clock has a part in it, nor an id of a process. */

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "daemon/plugin/plugin.h"
#include "util/file.h"
#include "util/json.h"

#define ORIGIN_LINE_MAX (16U * 1024U)

/* NULL: nothing is kept. */
static char *origin_path(const Plugin *plugin) {
        g_autofree char *name = g_strconcat(plugin->id, ".origin", NULL);

        return plugin->plugins->origins_directory ? g_build_filename(plugin->plugins->origins_directory, name, NULL)
                                                  : NULL;
}

static char *digest_of(const char *text, gsize length) {
        return g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) text, length);
}

/* The bus that the daemon is connected to, for as long as that runs. */
static gboolean bus_identity(const Plugin *plugin, char ret[SD_ID128_STRING_MAX]) {
        sd_id128_t bus;

        if (sd_bus_get_bus_id(plugin->plugins->parameters.bus, &bus) < 0)
                return FALSE;
        sd_id128_to_string(bus, ret);
        return TRUE;
}

static char *origin_line(const PluginProcess *process) {
        const Manifest *manifest = process->manifest;
        g_autoptr(JsonObject) line = json_object_new();
        char bus[SD_ID128_STRING_MAX];

        if (!bus_identity(process->plugin, bus))
                return NULL;
        json_object_set_string_member(line, "bus", bus);
        json_object_set_string_member(line, "owner", process->peer);
        json_object_set_string_member(line, "directory", manifest->directory);
        json_object_set_string_member(line, "path", manifest->path);
        json_object_set_string_member(line, "exec", manifest->exec);
        json_object_set_boolean_member(line, "versioned", manifest->versioned);
        return json_object_text(line);
}

/* NULL: the manifest that it was started with is not there any more. */
static char *origin_text(const PluginProcess *process) {
        g_autofree char *line = origin_line(process), *text = NULL, *digest = NULL;
        gsize length;

        if (!line || !file_read(process->manifest->path, JSON_SIZE_MAX, &text, &length, NULL))
                return NULL;
        digest = digest_of(text, length);
        return g_str_equal(digest, process->manifest->digest) ? g_strconcat(line, "\n", text, NULL) : NULL;
}

void origin_drop(Plugin *plugin) {
        g_autofree char *path = origin_path(plugin);

        g_clear_pointer(&plugin->origin, g_free);
        if (path)
                (void) unlink(path);
}

void origin_keep(PluginProcess *process) {
        Plugin *plugin = process->plugin;
        g_autofree char *path = origin_path(plugin), *text = NULL;
        g_autoptr(GError) error = NULL;

        if (!path || process->native || g_strcmp0(plugin->origin, process->peer) == 0)
                return;
        text = origin_text(process);
        (void) mkdir(plugin->plugins->origins_directory, 0700);
        if (text && file_replace(path, text, strlen(text), 0600, &error)) {
                plugin->origin = (g_free(plugin->origin), g_strdup(process->peer));
                return;
        }
        /* Of the one before it. */
        origin_drop(plugin);
        if (error)
                log_warning("Plugin %s: a daemon after this one will not know what it was started from: %s",
                            plugin->id, error->message);
}

void origin_forget(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        if (!plugin->plugins->freeing && process->peer && g_strcmp0(plugin->origin, process->peer) == 0)
                origin_drop(plugin);
}

static gboolean is_of_this_bus(const Plugin *plugin, JsonObject *line) {
        char bus[SD_ID128_STRING_MAX];

        return bus_identity(plugin, bus) && g_str_equal(json_get_string(line, "bus", ""), bus);
}

/* Written by this program or an earlier one: what is not as it should be is as good as nothing. */
static Manifest *parse(const Plugin *plugin, JsonObject *line, const char *text) {
        const char *path = json_get_string(line, "path", ""), *directory = json_get_string(line, "directory", NULL),
                   *exec = json_get_string(line, "exec", NULL);
        g_autoptr(JsonNode) root = directory && exec ? json_text_parse(path, text, -1, NULL) : NULL;
        Manifest *manifest = root ? manifest_parse(path, plugin->id, root, NULL) : NULL;

        if (!manifest)
                return NULL;
        manifest->directory = g_strdup(directory);
        manifest->versioned = json_get_boolean(line, "versioned", FALSE);
        manifest->digest = digest_of(text, strlen(text));
        g_free(manifest->exec);
        manifest->exec = g_strdup(exec);
        return manifest;
}

/* NULL: there is none. ret_owner: the unique name whose it is. */
static Manifest *origin_read(const Plugin *plugin, char **ret_owner) {
        g_autofree char *path = origin_path(plugin), *text = NULL;
        g_autoptr(JsonNode) root = NULL;
        Manifest *manifest;
        JsonObject *line;
        char *end;

        if (!path || !file_read(path, ORIGIN_LINE_MAX + JSON_SIZE_MAX, &text, NULL, NULL))
                return NULL;
        end = strchr(text, '\n');
        root = end ? json_text_parse(path, text, end - text, NULL) : NULL;
        if (!root || !JSON_NODE_HOLDS_OBJECT(root))
                return NULL;
        line = json_node_get_object(root);
        manifest = is_of_this_bus(plugin, line) ? parse(plugin, line, end + 1) : NULL;
        if (manifest)
                *ret_owner = g_strdup(json_get_string(line, "owner", ""));
        return manifest;
}

void origin_learn(Plugin *plugin) {
        g_clear_pointer(&plugin->origin, g_free);
        manifest_free(origin_read(plugin, &plugin->origin));
}

gboolean origin_known(const Plugin *plugin) {
        g_autofree char *owner = NULL;

        manifest_free(origin_read(plugin, &owner));
        return owner != NULL;
}

/* Than what is there, which may be broken. */
static gboolean is_another(const Plugin *plugin, const Manifest *manifest) {
        return manifest && !(plugin->manifest && g_str_equal(manifest->digest, plugin->manifest->digest));
}

/* Told with the state that follows. */
void origin_take(Plugin *plugin) {
        g_autoptr(Manifest) manifest = NULL, there = NULL;

        g_clear_pointer(&plugin->origin, g_free);
        manifest = origin_read(plugin, &plugin->origin);
        if (!is_another(plugin, manifest))
                return;
        there = g_steal_pointer(&plugin->manifest);
        plugin_set_manifest(plugin, manifest->directory, manifest, NULL);
        steal(manifest);
        g_clear_pointer(&plugin->next_manifest, manifest_free);
        plugin->next_manifest = g_steal_pointer(&there);
        plugin->behind = TRUE;
        plugin_bus_manifest_changed(plugin);
}

gboolean origin_is(const Plugin *plugin, const char *unique_name) {
        return g_strcmp0(plugin->origin, unique_name) == 0;
}

static gboolean other_version_is_next(const Plugin *plugin) {
        return plugin->next_manifest && !g_str_equal(plugin->next_manifest->version, plugin->manifest->version);
}

/* A change of its own version waits until it ends, as ever. */
void origin_about_to_serve(Plugin *plugin) {
        plugin->behind = other_version_is_next(plugin);
}

void origin_serves(PluginProcess *process) {
        Plugin *plugin = process->plugin;

        origin_keep(process);
        if (!plugin->behind || !other_version_is_next(plugin))
                return;
        plugin_upgrade(plugin, g_steal_pointer(&plugin->next_manifest), NULL, NULL);
        /* The link may have to be switched first: on_ready_to_replace() says then how that went. */
        if (!plugin->swap && !plugin->switching)
                origin_caught_up(plugin);
}

static void settle(void *data) {
        Plugin *plugin = data;

        /* Who has it restarted waits for the next one. */
        if (!plugin->restart_wanted)
                plugin_settle_reached(plugin);
}

/* It may have been given up because the one that serves has fallen, which shows in the state as soon as that is done.
 */
void origin_caught_up(Plugin *plugin) {
        if (!plugin->behind)
                return;
        plugin->behind = FALSE;
        plugins_defer(plugin->plugins, settle, NULL, plugin);
}

/* It runs, and what is there now is broken: it serves on, as it would have done had the daemon seen that come. Takes
 * the manifest. */
static void serve_on(Plugin *plugin, Manifest *manifest) {
        g_autofree char *broken = g_strdup(plugin->last_error);

        plugin_set_manifest(plugin, manifest->directory, manifest, NULL);
        plugin->behind = TRUE;
        plugin->stale = TRUE;
        plugin_manifest_taken(plugin);
        plugin_begin(plugin);
        plugin_tell_broken(plugin, broken);
}

static int on_owner(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Plugin *plugin = userdata;
        g_autoptr(Manifest) manifest = NULL;
        g_autofree char *kept = NULL;
        const char *owner;

        if (sd_bus_message_is_method_error(reply, NULL) || sd_bus_message_read(reply, "s", &owner) < 0)
                return 1;
        manifest = origin_read(plugin, &kept);
        if (!is_another(plugin, manifest) || !g_str_equal(owner, kept))
                return 1;
        if (plugin->manifest)
                plugin_begin(plugin);
        else if (plugin_may_run(plugin) && !plugin_active(plugin))
                serve_on(plugin, g_steal_pointer(&manifest));
        return 1;
}

void origins_follow(Plugins *plugins) {
        /* After a boot nothing is there, for none of a thousand. */
        if (!plugins->origins_directory || access(plugins->origins_directory, F_OK) < 0)
                return;
        for (guint i = 0; i < plugins->list->len; i++) {
                Plugin *plugin = g_ptr_array_index(plugins->list, i);
                g_autoptr(Manifest) manifest = NULL;
                g_autofree char *owner = NULL;

                manifest = origin_read(plugin, &owner);
                if (manifest && !plugin_may_run(plugin))
                        (void) plugin_dismiss(plugin);
                else if (is_another(plugin, manifest))
                        (void) sd_bus_call_method_async(plugins->parameters.bus, &plugin->owner_question,
                                                        "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                                        "org.freedesktop.DBus", "GetNameOwner", on_owner, plugin, "s",
                                                        plugin->name);
        }
}
