/* SPDX-License-Identifier: Apache-2.0 */

/* Where a plugin's manifest lies, alone or in one of several versions side by side, and what has to be true of the
 * files there. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manifest/manifest.h"
#include "util/file.h"
#include "util/json.h"
#include "util/version.h"

#define CURRENT "current"
#define VERSION_TEXT_MAX 64U
#define VERSIONS_MAX 256U

/* Of a version beside the link; NULL: there is no such link. */
static char *current_version(const char *link, GError **error) {
        char version[VERSION_TEXT_MAX + 1];
        ssize_t length = readlink(link, version, sizeof(version));

        if (length < 0)
                return NULL;
        if ((size_t) length < sizeof(version)) {
                version[length] = 0;
                if (version_valid(version) && !strchr(version, '/'))
                        return g_strdup(version);
        }
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE, "%s: expected a link to a version beside it", link);
        return NULL;
}

char *manifest_place(const char *directory, const char *id, GError **error) {
        g_autofree char *own = g_build_filename(directory, id, NULL), *link = g_build_filename(own, CURRENT, NULL);
        g_autofree char *version = NULL;
        GError *e = NULL;

        version = current_version(link, &e);
        if (e) {
                g_propagate_error(error, e);
                return NULL;
        }
        return version ? g_build_filename(own, version, NULL) : g_steal_pointer(&own);
}

gboolean manifest_there(const char *directory, const char *id) {
        g_autofree char *file = g_build_filename(directory, id, "plugin.json", NULL),
                        *link = g_build_filename(directory, id, CURRENT, NULL);
        struct stat st;

        return access(file, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR) || lstat(link, &st) == 0;
}

char *manifest_current(const char *directory, const char *id) {
        g_autofree char *link = g_build_filename(directory, id, CURRENT, NULL);

        return current_version(link, NULL);
}

static int compare_versions(const void *a, const void *b) {
        const char *left = *(const char *const *) a, *right = *(const char *const *) b;
        int order = version_compare(left, right);

        return order != 0 ? order : strcmp(left, right);
}

char **manifest_versions(const char *directory, const char *id) {
        g_autofree char *own = g_build_filename(directory, id, NULL);
        g_autoptr(GPtrArray) versions = g_ptr_array_new_with_free_func(g_free);
        _cleanup_(closedirp) DIR *list = opendir(own);
        struct dirent *entry;

        while (list && (entry = readdir(list)) && versions->len < VERSIONS_MAX) {
                struct stat st;

                if (version_valid(entry->d_name) &&
                    fstatat(dirfd(list), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
                        g_ptr_array_add(versions, g_strdup(entry->d_name));
        }
        g_ptr_array_sort(versions, compare_versions);
        g_ptr_array_set_free_func(versions, NULL);
        g_ptr_array_add(versions, NULL);
        return (char **) g_ptr_array_free(g_steal_pointer(&versions), FALSE);
}

static gboolean check_place(Manifest *manifest, const char *place, GError **error) {
        g_autofree char *name = g_path_get_basename(place);

        manifest->versioned = g_str_equal(name, manifest->version);
        if (manifest->versioned || g_str_equal(name, manifest->id))
                return TRUE;
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID,
                    "%s: /version: got %s, expected the directory's name, %s", manifest->path, manifest->version,
                    name);
        return FALSE;
}

/* Trusts what it has open, not what has the name by then. */
static gboolean read_text(const char *path, uid_t also, char **ret_text, gsize *ret_length, FileStamp *ret_stamp,
                          GError **error) {
        g_autofree char *text = NULL;
        struct stat st;

        if (!file_read_status(path, JSON_SIZE_MAX, &text, ret_length, &st, error) ||
            !file_status_trusted(path, &st, also, error))
                return FALSE;
        file_stamp(&st, ret_stamp);
        *ret_text = g_steal_pointer(&text);
        return TRUE;
}

static gboolean trust_place(const char *place, uid_t also, FileStamp *ret_stamp, GError **error) {
        struct stat st;

        if (stat(place, &st) < 0) {
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE, "%s: %s", place, g_strerror(errno));
                return FALSE;
        }
        file_stamp(&st, ret_stamp);
        return file_status_trusted(place, &st, also, error);
}

/* place: is trusted, and its stamp is known. */
static Manifest *load(const char *directory, const char *id, const char *place, const FileStamp *stamp, uid_t also,
                      char **ret_missing, GError **error) {
        g_autofree char *path = g_build_filename(place, "plugin.json", NULL), *program = NULL, *text = NULL;
        g_autoptr(Manifest) manifest = NULL;
        g_autoptr(JsonNode) root = NULL;
        FileStamp text_stamp;
        struct stat st;
        gsize length;

        if (!read_text(path, also, &text, &length, &text_stamp, error))
                return NULL;
        root = json_text_parse(path, text, (gssize) length, error);
        if (!root)
                return manifest_refused(error);
        manifest = manifest_parse(path, id, root, error);
        if (!manifest)
                return NULL;
        if (!check_place(manifest, place, error))
                return manifest_refused(error);
        manifest->directory = g_strdup(directory);
        manifest->digest = g_compute_checksum_for_data(G_CHECKSUM_SHA256, (const guchar *) text, length);

        program = program_resolve(place, manifest->exec, also, &st, error);
        if (!program) {
                g_prefix_error(error, "%s: /exec: ", path);
                if (ret_missing)
                        *ret_missing = g_path_is_absolute(manifest->exec)
                                               ? g_strdup(manifest->exec)
                                               : g_build_filename(place, manifest->exec, NULL);
                return manifest_refused(error);
        }
        g_free(manifest->exec);
        manifest->exec = g_steal_pointer(&program);
        manifest->stamp[MANIFEST_PLACE] = *stamp;
        manifest->stamp[MANIFEST_TEXT] = text_stamp;
        file_stamp(&st, &manifest->stamp[MANIFEST_PROGRAM]);
        return g_steal_pointer(&manifest);
}

/* In one of the versions that lie side by side. */
static Manifest *load_version(const char *directory, const char *id, const char *version, uid_t also,
                              char **ret_missing, GError **error) {
        g_autofree char *place = g_build_filename(directory, id, version, NULL);
        FileStamp stamp;

        return trust_place(place, also, &stamp, error) ? load(directory, id, place, &stamp, also, ret_missing, error)
                                                       : NULL;
}

Manifest *manifest_load_or_miss(const char *directory, const char *id, uid_t also, char **ret_missing,
                                GError **error) {
        g_autofree char *own = g_build_filename(directory, id, NULL), *link = g_build_filename(own, CURRENT, NULL);
        g_autofree char *version = NULL;
        GError *e = NULL;
        FileStamp stamp;

        if (!trust_place(own, also, &stamp, error))
                return NULL;
        version = current_version(link, &e);
        if (e) {
                g_propagate_error(error, e);
                return NULL;
        }
        return version ? load_version(directory, id, version, also, ret_missing, error)
                       : load(directory, id, own, &stamp, also, ret_missing, error);
}

Manifest *manifest_load(const char *directory, const char *id, uid_t also, GError **error) {
        return manifest_load_or_miss(directory, id, also, NULL, error);
}

Manifest *manifest_load_version(const char *directory, const char *id, const char *version, uid_t also,
                                GError **error) {
        g_autofree char *plugin = g_build_filename(directory, id, NULL);

        if (!version_valid(version)) {
                g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_INVALID,
                            "that is no version; expected MAJOR.MINOR.PATCH");
                return NULL;
        }
        if (!file_trusted(plugin, also, error))
                return NULL;
        return load_version(directory, id, version, also, NULL, error);
}
