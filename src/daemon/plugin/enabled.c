/* SPDX-License-Identifier: Apache-2.0 */

/* Which plugins may run, as files that systemd's units can test (ConditionPathExists): STATE/enabled/<id>. What is official and was
 * never disabled is enabled; STATE/disabled/<id> keeps somebody's "no" over restarts and upgrades. */

#include <errno.h>
#include <sys/stat.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"
#include "util/file.h"

#define DISABLED_DIRECTORY "disabled"

static char *mark_path(Plugins *plugins, const char *kind, const char *id) {
        return g_build_filename(plugins->state_directory, kind, id, NULL);
}

static gboolean mark_exists(Plugins *plugins, const char *kind, const char *id) {
        g_autofree char *path = mark_path(plugins, kind, id);

        return access(path, F_OK) == 0;
}

static int mark_set(Plugins *plugins, const char *kind, const char *id) {
        g_autofree char *directory = g_build_filename(plugins->state_directory, kind, NULL);
        g_autofree char *path = mark_path(plugins, kind, id);
        g_autoptr(GError) error = NULL;

        if (access(path, F_OK) == 0)
                return 0;
        if (mkdir(directory, 0755) < 0 && errno != EEXIST)
                return -errno;
        if (!file_write(path, "", 0, 0644, &error))
                return error->domain == G_FILE_ERROR && error->code == G_FILE_ERROR_NOSPC ? -ENOSPC : -EIO;
        return 0;
}

static int mark_remove(Plugins *plugins, const char *kind, const char *id) {
        g_autofree char *directory = g_build_filename(plugins->state_directory, kind, NULL);
        _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return errno == ENOENT ? 0 : -errno;
        if (unlinkat(fd, id, 0) < 0)
                return errno == ENOENT ? 0 : -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

gboolean enabled_on_disk(Plugins *plugins, const char *id) {
        return mark_exists(plugins, ENABLED_DIRECTORY, id);
}

int enabled_ensure_official(Plugins *plugins, const char *id) {
        if (mark_exists(plugins, DISABLED_DIRECTORY, id))
                return 0;
        return mark_set(plugins, ENABLED_DIRECTORY, id);
}

/* The new mark is made before the old one goes: killed in between, both are there, and "enabled" is then what counts, until the
 * caller, who got no answer, asks again. */
int enabled_write(Plugins *plugins, const char *id, gboolean enabled) {
        int r = mark_set(plugins, enabled ? ENABLED_DIRECTORY : DISABLED_DIRECTORY, id);

        return r < 0 ? r : mark_remove(plugins, enabled ? DISABLED_DIRECTORY : ENABLED_DIRECTORY, id);
}
