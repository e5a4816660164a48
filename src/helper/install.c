/* SPDX-License-Identifier: Apache-2.0 */

/* Installed plugins:
 *
 *   INSTALLED_PLUGINS/.work-XXXXXX/new/…                 copied, bounded, synced
 *                    /.work-XXXXXX/ID/VERSION/…           read as the daemon will read it
 *                    /ID/VERSION/                         by one rename: it is there, whole
 *                    /ID/current -> VERSION               which one counts
 *
 * Killed at any instant it leaves at most a directory of work, which the next installation removes; the daemon looks
 * at no name with a dot in front. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "base/names.h"
#include "helper/helper.h"
#include "manifest/permission.h"
#include "util/file.h"
#include "util/json.h"
#include "util/tree.h"

#define WORK ".work-"
#define LINK_WORK ".current"
#define CURRENT "current"
#define VERSIONS_MAX 32U /* of one plugin */

typedef struct Work {
        const Places *places;
        int installed, directory; /* INSTALLED_PLUGINS, and our own below it */
        char *name, *path;        /* of the latter; path without the root */
} Work;

static void work_clear(Work *work) {
        g_autoptr(GError) error = NULL;

        if (work->name && !tree_remove(work->installed, work->name, &error))
                log_warning("%s/%s stays behind: %s", INSTALLED_PLUGINS, work->name, error->message);
        work->installed = safe_close(work->installed);
        work->directory = safe_close(work->directory);
        g_free(work->name);
        g_free(work->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Work, work_clear)

static gboolean fail(GError **error, const char *path, const char *doing) {
        int number = errno;

        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_IO, "%s %s: %s", path, doing, g_strerror(number));
        return FALSE;
}

/* IO: it is not what was brought that is wrong. */
static gboolean fail_place(GError **error, const GError *e) {
        g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_IO, e->message);
        return FALSE;
}

/* Checked before: it is root's, and nobody else can put another one in its place. */
static int open_trusted(const Places *places, const char *path) {
        g_autofree char *real = place_path(places, path);

        return open(real, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void remove_leftovers(int installed) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        int copy = openat(installed, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_(closedirp) DIR *list = copy >= 0 ? fdopendir(copy) : NULL;
        struct dirent *entry;

        while (list && (entry = readdir(list)))
                if (g_str_has_prefix(entry->d_name, WORK))
                        g_ptr_array_add(names, g_strdup(entry->d_name));
        if (!list)
                (void) safe_close(copy);
        for (guint i = 0; i < names->len; i++)
                (void) tree_remove(installed, g_ptr_array_index(names, i), NULL);
}

static gboolean work_begin(const Places *places, Work *work, GError **error) {
        g_autofree char *real = place_path(places, INSTALLED_PLUGINS "/" WORK "XXXXXX");
        g_autoptr(GError) e = NULL;

        work->places = places;
        if (!place_make_directory(places, INSTALLED_PLUGINS, &e))
                return fail_place(error, e);
        work->installed = open_trusted(places, INSTALLED_PLUGINS);
        if (work->installed < 0)
                return fail(error, INSTALLED_PLUGINS, "cannot be opened");
        remove_leftovers(work->installed);
        if (!mkdtemp(real))
                return fail(error, INSTALLED_PLUGINS, "takes no directory");
        work->name = g_path_get_basename(real);
        work->path = g_build_filename(INSTALLED_PLUGINS, work->name, NULL);
        work->directory = open_trusted(places, work->path);
        return work->directory >= 0 || fail(error, work->path, "cannot be opened");
}

static gboolean copy(Work *work, int source, uid_t caller, GError **error) {
        g_autoptr(GError) e = NULL;
        _cleanup_close_ int fd = -1;
        TreeWriter writer;

        if (mkdirat(work->directory, "new", 0755) < 0)
                return fail(error, work->path, "takes no directory");
        fd = openat(work->directory, "new", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return fail(error, work->path, "cannot be opened");
        writer = (TreeWriter) { .directory = fd };
        if (tree_copy(source, caller, &writer, &e))
                return TRUE;
        g_set_error_literal(error, G_FILE_ERROR, writer.failed ? G_FILE_ERROR_IO : G_FILE_ERROR_FAILED, e->message);
        return FALSE;
}

/* What it says it is; whether that may be is looked at when it lies where that says. */
static Manifest *read_name(const Work *work, GError **error) {
        g_autofree char *real = place_path(work->places, work->path),
                        *path = g_build_filename(real, "new", "plugin.json", NULL);
        g_autofree char *text = NULL;
        g_autoptr(JsonNode) root = NULL;
        struct stat st;
        gsize length;

        if (lstat(path, &st) < 0 || !S_ISREG(st.st_mode)) {
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID, "There is no plugin.json at its top.");
                return NULL;
        }
        if (!file_read(path, JSON_SIZE_MAX, &text, &length, error))
                return NULL;
        root = json_text_parse("plugin.json", text, (gssize) length, error);
        return root ? manifest_parse("plugin.json", NULL, root, error) : manifest_refused(error);
}

/* An error names the file as whoever wrote it knows it. */
static void name_as_theirs(const Work *work, const Manifest *named, GError **error) {
        g_autofree char *real = place_path(work->places, work->path);
        g_autofree char *prefix = g_strdup_printf("%s/%s/%s/", real, named->id, named->version);
        g_autoptr(GString) message = NULL;

        if (!error || !*error)
                return;
        message = g_string_new((*error)->message);
        g_string_replace(message, prefix, "", 0);
        g_free((*error)->message);
        (*error)->message = g_string_free(g_steal_pointer(&message), FALSE);
}

static gboolean check_whole(const Work *work, const Manifest *named, GError **error) {
        g_autoptr(Manifest) manifest = plugin_load(work->places, work->path, named->id, named->version, error);

        if (!manifest) {
                name_as_theirs(work, named, error);
                return FALSE;
        }
        if (permission_path_plain(manifest->exec))
                return TRUE;
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE,
                    "/exec: expected a path of letters, digits and ._+=@,- that can stand in a unit, not %s",
                    named->exec);
        return FALSE;
}

/* new → ID/VERSION, with the link to it. */
static gboolean arrange(const Work *work, const Manifest *named, GError **error) {
        g_autofree char *place = g_build_filename(named->id, named->version, NULL);
        g_autofree char *link = g_build_filename(named->id, CURRENT, NULL);

        if (mkdirat(work->directory, named->id, 0755) < 0 ||
            renameat(work->directory, "new", work->directory, place) < 0 ||
            symlinkat(named->version, work->directory, link) < 0)
                return fail(error, work->path, "cannot be arranged");
        /* At once: file by file it would be a commit for each. */
        return syncfs(work->directory) == 0 || fail(error, work->path, "cannot be synced");
}

/* What lies in an earlier directory would stay the one that counts. */
static gboolean check_elsewhere(const Work *work, const char *id, GError **error) {
        static const char *const earlier[] = { PKGPLUGINDIR, PKGSYSCONFDIR "/plugins" };

        for (size_t i = 0; i < G_N_ELEMENTS(earlier); i++) {
                g_autofree char *real = place_path(work->places, earlier[i]);

                if (manifest_there(real, id)) {
                        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
                                    "%s is there already, in %s/%s, which counts before what is installed.", id,
                                    earlier[i], id);
                        return FALSE;
                }
        }
        return TRUE;
}

/* TRUE: it is what is there already. */
static gboolean check_same(const Work *work, const Manifest *named, int own, GError **error) {
        _cleanup_close_ int there = openat(own, named->version, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC),
                            ours = -1;
        g_autofree char *place = g_build_filename(named->id, named->version, NULL);
        GError *e = NULL;

        ours = openat(work->directory, place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (there < 0 || ours < 0)
                return fail(error, named->version, "cannot be compared with what is installed");
        if (tree_equal(there, ours, &e))
                return TRUE;
        if (e)
                g_propagate_error(error, e);
        else
                g_set_error(
                        error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
                        "Version %s of %s is installed already, with other files: give this one a version of its own.",
                        named->version, named->id);
        return FALSE;
}

static gboolean switch_link(int own, const char *version, GError **error) {
        (void) unlinkat(own, LINK_WORK, 0);
        if (symlinkat(version, own, LINK_WORK) < 0 || renameat(own, LINK_WORK, own, CURRENT) < 0 || fsync(own) < 0)
                return fail(error, CURRENT, "cannot be switched");
        return TRUE;
}

/* Before it can be read as one of those that ask. */
static gboolean narrow(const Work *work, const char *id, GError **error) {
        g_autoptr(GError) e = NULL;

        return provision_narrow_installed(work->places, id, &e) || fail_place(error, e);
}

/* Beside the others. */
static gboolean add(const Work *work, const Manifest *named, Installed *ret, GError **error) {
        g_autofree char *path = g_build_filename(INSTALLED_PLUGINS, named->id, NULL),
                        *real = place_path(work->places, INSTALLED_PLUGINS);
        g_autofree char *place = g_build_filename(named->id, named->version, NULL),
                        *current = manifest_current(real, named->id);
        g_auto(GStrv) versions = manifest_versions(real, named->id);
        g_autoptr(GError) e = NULL;
        _cleanup_close_ int own = -1;

        if (!place_trusted(work->places, path, &e))
                return fail_place(error, e);
        own = open_trusted(work->places, path);
        if (own < 0)
                return fail(error, path, "cannot be opened");
        if (g_strv_contains((const char *const *) versions, named->version)) {
                *ret = INSTALLED_ALREADY;
                return check_same(work, named, own, error);
        }
        if (g_strv_length(versions) >= VERSIONS_MAX) {
                g_set_error(
                        error, G_FILE_ERROR, G_FILE_ERROR_EXIST,
                        "%u versions of %s are installed, which is all that there may be; first: sudo " SNOOZE_COMMAND
                        " plugin uninstall %s VERSION",
                        VERSIONS_MAX, named->id, named->id);
                return FALSE;
        }
        if (!narrow(work, named->id, error))
                return FALSE;
        if (renameat2(work->directory, place, own, named->version, RENAME_NOREPLACE) < 0 || fsync(own) < 0)
                return fail(error, path, "takes no version");
        *ret = INSTALLED_NEW;
        return current || switch_link(own, named->version, error);
}

static gboolean put_in_place(const Work *work, const Manifest *named, Installed *ret, GError **error) {
        *ret = INSTALLED_NEW;
        if (faccessat(work->installed, named->id, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
                return add(work, named, ret, error);
        /* What was approved of an earlier plugin of its name is nobody's. */
        if (!narrow(work, named->id, error))
                return FALSE;
        if (renameat2(work->directory, named->id, work->installed, named->id, RENAME_NOREPLACE) < 0)
                return fail(error, INSTALLED_PLUGINS, "takes no plugin");
        return fsync(work->installed) == 0 || fail(error, INSTALLED_PLUGINS, "cannot be synced");
}

static gboolean check_claim(const Manifest *named, const InstallClaim *claim, GError **error) {
        if ((!claim->id || g_str_equal(claim->id, named->id)) &&
            (!claim->version || g_str_equal(claim->version, named->version)))
                return TRUE;
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID,
                    "plugin.json is that of %s %s, and not of %s %s, which was asked for", named->id, named->version,
                    claim->id ?: named->id, claim->version ?: named->version);
        return FALSE;
}

Manifest *install_version(const Places *places, int source, uid_t caller, const InstallClaim *claim, Installed *ret,
                          GError **error) {
        g_auto(Work) work = { .installed = -1, .directory = -1 };
        g_autoptr(Manifest) named = NULL;

        if (!work_begin(places, &work, error) || !copy(&work, source, caller, error))
                return NULL;
        named = read_name(&work, error);
        if (!named || !check_claim(named, claim, error) || !check_elsewhere(&work, named->id, error) ||
            !arrange(&work, named, error) || !check_whole(&work, named, error) ||
            !put_in_place(&work, named, ret, error))
                return NULL;
        return plugin_load(places, INSTALLED_PLUGINS, named->id, named->version, error);
}

static gboolean remove_all(const Places *places, int installed, const char *id, GError **error) {
        g_autofree char *gone = g_strconcat(WORK, id, NULL);

        /* At once, whatever becomes of the rest. */
        if (!tree_remove(installed, gone, error))
                return FALSE;
        if (renameat(installed, id, installed, gone) < 0 || fsync(installed) < 0)
                return fail(error, id, "cannot be removed");
        return tree_remove(installed, gone, error);
}

static gboolean in_use(const Places *places, const char *id, const char *version, GError **error) {
        g_autofree char *real = place_path(places, INSTALLED_PLUGINS), *current = manifest_current(real, id);
        g_autofree char *a = provision_pinned(places, id, SLOT_A), *b = provision_pinned(places, id, SLOT_B);

        if (g_strcmp0(version, current) != 0 && g_strcmp0(version, a) != 0 && g_strcmp0(version, b) != 0)
                return FALSE;
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL,
                    "Version %s of %s is in use; first: sudo " SNOOZE_COMMAND " plugin update %s OTHER-VERSION",
                    version, id, id);
        return TRUE;
}

gboolean install_remove(const Places *places, const char *id, const char *version, GError **error) {
        g_autofree char *path = g_build_filename(INSTALLED_PLUGINS, id, NULL), *real = place_path(places, path);
        g_autofree char *gone = g_strdup_printf(WORK "%s-%s", id, version);
        _cleanup_close_ int installed = -1, own = -1;
        struct stat st;

        if (lstat(real, &st) < 0 && errno == ENOENT) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "No version of %s is installed.", id);
                return FALSE;
        }
        if (!place_trusted(places, path, error))
                return FALSE;
        installed = open_trusted(places, INSTALLED_PLUGINS);
        own = open_trusted(places, path);
        if (installed < 0 || own < 0)
                return fail(error, path, "cannot be opened");
        if (!*version)
                return remove_all(places, installed, id, error);
        if (fstatat(own, version, &st, AT_SYMLINK_NOFOLLOW) < 0) {
                g_auto(GStrv) versions = plugin_versions(places, id);
                g_autofree char *list = g_strjoinv(", ", versions);

                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                            "Version %s of %s is not installed; installed: %s.", version, id, list);
                return FALSE;
        }
        if (in_use(places, id, version, error))
                return FALSE;
        if (renameat(own, version, installed, gone) < 0 || fsync(own) < 0)
                return fail(error, path, "cannot be changed");
        return tree_remove(installed, gone, error);
}

gboolean install_switch(const Places *places, const char *id, const char *version, GError **error) {
        gboolean packaged;
        g_autofree char *directory = plugin_directory(places, id, &packaged, error);
        g_autofree char *path = directory ? g_build_filename(directory, id, NULL) : NULL, *real = NULL,
                        *current = NULL;
        _cleanup_close_ int own = -1;

        if (!directory || !place_trusted(places, path, error))
                return FALSE;
        real = place_path(places, directory);
        current = manifest_current(real, id);
        if (g_strcmp0(current, version) == 0)
                return TRUE;
        own = open_trusted(places, path);
        return own >= 0 ? switch_link(own, version, error) : fail(error, path, "cannot be opened");
}
