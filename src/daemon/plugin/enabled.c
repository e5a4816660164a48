/* SPDX-License-Identifier: Apache-2.0 */

/* Which plugins may run, as files that systemd's units can test (ConditionPathExists): STATE/enabled/<id>. What is
 * official, asks for it by `enabled_by_default` and was never disabled is enabled; STATE/disabled/<id> keeps
 * somebody's "no" over restarts and upgrades.
 *
 * The store's thread makes and removes these marks, because they have to be durable before anybody is told so; they
 * are looked at from the loop, but only when a plugin is found: what was changed since is known. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "util/file.h"

#define DISABLED_DIRECTORY "disabled"
/* Of callers, that wait for the disk; the daemon's own for official plugins are as many as these. */
#define CHANGES_MAX 64U

/* The thread's. */
typedef struct Mark {
        char *state_directory, *id;
        gboolean enabled;
} Mark;

/* The loop's. By id: a plugin may be gone meanwhile. */
typedef struct Change {
        Plugins *plugins;
        char *id;
        gboolean enabled;
        PluginEnabled done;
        void *userdata;
} Change;

static void mark_free(void *data) {
        Mark *mark = data;

        g_free(mark->state_directory);
        g_free(mark->id);
        g_free(mark);
}

static void change_free(Change *change) {
        g_free(change->id);
        g_free(change);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Change, change_free)

static gboolean mark_exists(const char *state_directory, const char *kind, const char *id) {
        g_autofree char *path = g_build_filename(state_directory, kind, id, NULL);

        return access(path, F_OK) == 0;
}

static gboolean fail(const char *path, int number, GError **error) {
        g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(number), "%s: %s", path, g_strerror(number));
        return FALSE;
}

static gboolean sync_directory(const char *path, GError **error) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        return fd >= 0 && fsync(fd) >= 0 ? TRUE : fail(path, errno, error);
}

static gboolean make_directory(const Mark *mark, const char *path, GError **error) {
        if (mkdir(path, 0755) >= 0)
                return sync_directory(mark->state_directory, error);
        return errno == EEXIST ? TRUE : fail(path, errno, error);
}

static gboolean mark_make(const Mark *mark, const char *kind, GError **error) {
        g_autofree char *directory = g_build_filename(mark->state_directory, kind, NULL);
        g_autofree char *path = g_build_filename(directory, mark->id, NULL);

        if (mark_exists(mark->state_directory, kind, mark->id))
                return TRUE;
        return make_directory(mark, directory, error) && file_write(path, "", 0, 0644, error);
}

static gboolean mark_remove(const Mark *mark, const char *kind, GError **error) {
        g_autofree char *directory = g_build_filename(mark->state_directory, kind, NULL);
        g_autofree char *path = g_build_filename(directory, mark->id, NULL);

        if (unlink(path) < 0)
                return errno == ENOENT ? TRUE : fail(path, errno, error);
        return sync_directory(directory, error);
}

/* The new mark is made before the old one goes: killed in between, both are there, and "enabled" is then what counts,
 * until the caller, who got no answer, asks again. */
static gboolean write_marks(void *data, GError **error) {
        const Mark *mark = data;

        return mark_make(mark, mark->enabled ? ENABLED_DIRECTORY : DISABLED_DIRECTORY, error) &&
               mark_remove(mark, mark->enabled ? DISABLED_DIRECTORY : ENABLED_DIRECTORY, error);
}

/* Somebody's "no" stays, also one that came in before this. */
static gboolean write_official_mark(void *data, GError **error) {
        const Mark *mark = data;

        return mark_exists(mark->state_directory, DISABLED_DIRECTORY, mark->id) ||
               mark_make(mark, ENABLED_DIRECTORY, error);
}

static gboolean remove_marks(void *data, GError **error) {
        const Mark *mark = data;

        return mark_remove(mark, ENABLED_DIRECTORY, error) && mark_remove(mark, DISABLED_DIRECTORY, error);
}

int enabled_forget(Plugins *plugins, const char *id, StoreDone done, void *userdata) {
        Mark *mark = g_new(Mark, 1);

        *mark = (Mark) { g_strdup(plugins->state_directory), g_strdup(id), FALSE };
        return store_run(plugins->parameters.store, remove_marks, mark, mark_free, done, userdata);
}

static int write_in_thread(Plugin *plugin, StoreRun run, gboolean enabled, StoreDone done, Change *change) {
        g_autoptr(Change) owned = change;
        Mark *mark = g_new(Mark, 1);
        int r;

        *mark = (Mark) { g_strdup(plugin->plugins->state_directory), g_strdup(plugin->id), enabled };
        r = store_run(plugin->plugins->parameters.store, run, mark, mark_free, done, change);
        if (r >= 0)
                steal(owned);
        return r;
}

static Change *change_new(Plugin *plugin, gboolean enabled, PluginEnabled done, void *userdata) {
        Change *change = g_new(Change, 1);

        *change = (Change) { plugin->plugins, g_strdup(plugin->id), enabled, done, userdata };
        return change;
}

static void written(const GError *error, void *userdata) {
        g_autoptr(Change) change = userdata;
        Plugin *plugin = plugins_find(change->plugins, change->id);

        change->plugins->enabled_changes--;
        if (plugin && !error)
                plugin_enabled_changed(plugin, change->enabled);
        if (change->done)
                change->done(error, change->userdata);
}

int plugin_set_enabled(Plugin *plugin, gboolean enabled, PluginEnabled done, void *userdata) {
        int r;

        if (plugin->plugins->enabled_changes >= CHANGES_MAX)
                return -EDQUOT;
        r = write_in_thread(plugin, write_marks, enabled, written, change_new(plugin, enabled, done, userdata));
        if (r >= 0)
                plugin->plugins->enabled_changes++;
        return r;
}

/* Without its mark systemd does not start it, and says so; it may still be asked whether it can. */
static void official_written(const GError *error, void *userdata) {
        g_autoptr(Change) change = userdata;
        Plugin *plugin = plugins_find(change->plugins, change->id);

        if (error)
                log_warning("Plugin %s could not be enabled: %s", change->id, error->message);
        if (plugin)
                plugin_mark_made(plugin);
}

void enabled_learn(Plugin *plugin) {
        const char *state_directory = plugin->plugins->state_directory;
        int r;

        if (plugin->mark_missing)
                return;
        plugin->enabled = mark_exists(state_directory, ENABLED_DIRECTORY, plugin->id);
        if (plugin->enabled || !plugin_official(plugin->manifest) || !plugin->manifest->enabled_by_default ||
            mark_exists(state_directory, DISABLED_DIRECTORY, plugin->id))
                return;
        plugin->enabled = TRUE;
        plugin->mark_missing = TRUE;
        r = write_in_thread(plugin, write_official_mark, TRUE, official_written, change_new(plugin, TRUE, NULL, NULL));
        if (r < 0) {
                log_warning("Plugin %s could not be enabled: %s", plugin->id, g_strerror(-r));
                plugin->mark_missing = FALSE;
        }
}
