/* SPDX-License-Identifier: Apache-2.0 */

#include "helper/place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/access-list.h"
#include "base/cleanup.h"
#include "base/names.h"
#include "manifest/manifest.h"
#include "util/file.h"

#define TEXT_MAX 65536U
#define LOCAL "/usr/local"
#define LINKS_MAX 40U /* as the kernel follows */

char *place_path(const Places *places, const char *path) {
        return g_strconcat(places->root, path, NULL);
}

G_GNUC_PRINTF(3, 4)
static gboolean unsafe(GError **error, const char *path, const char *format, ...) {
        g_autofree char *what = NULL;
        va_list ap;

        va_start(ap, format);
        what = g_strdup_vprintf(format, ap);
        va_end(ap);
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE, "%s: %s", path, what);
        return FALSE;
}

static gboolean owner_trusted(const Places *places, const struct stat *st) {
        return st->st_uid == 0 || st->st_uid == places->also;
}

/* Debian lets group staff write /usr/local and what is below it; who is in it can put programs and services there that
 * run as root. A directory there that somebody gave to another group is that group's. */
static gboolean group_of_local(const Places *places, const char *path, const struct stat *st) {
        g_autofree char *real = place_path(places, LOCAL);
        struct stat local;

        if (!g_str_equal(path, LOCAL) && !g_str_has_prefix(path, LOCAL "/"))
                return FALSE;
        return lstat(real, &local) == 0 && S_ISDIR(local.st_mode) && local.st_mode & S_IWGRP &&
               local.st_gid == st->st_gid;
}

/* In the state directory the daemon may put what is its own beside what is root's; the sticky bit keeps it from moving
 * that away. */
static gboolean is_shared_with_daemon(const char *path, const struct stat *st) {
        return st->st_mode & S_ISVTX && g_str_equal(path, STATE_DIRECTORY);
}

static gboolean mode_trusted(const Places *places, int fd, const char *path, const struct stat *st) {
        g_autofree char *opened = g_strdup_printf("/proc/self/fd/%d", fd);

        if (st->st_mode & S_IWOTH)
                return FALSE;
        if (!(st->st_mode & S_IWGRP))
                return TRUE;
        if (access_list_present(opened))
                return FALSE;
        if (st->st_gid == 0)
                return TRUE;
        return is_shared_with_daemon(path, st) || group_of_local(places, path, st) ||
                (places->also != 0 && st->st_uid == places->also && st->st_gid == getegid());
}

/* Opens the next part of the way below `parent`, and checks it. `path` is what it is called without the root. */
static int step(const Places *places, int parent, const char *name, const char *path, GError **error) {
        _cleanup_close_ int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0) {
                int number = errno;

                unsafe(error, path, "%s",
                       number == ELOOP || number == ENOTDIR ? "is a link or no directory" : g_strerror(number));
                return -number;
        }
        if (!owner_trusted(places, &st)) {
                unsafe(error, path, "belongs to user %u, expected root", (unsigned) st.st_uid);
                return -EPERM;
        }
        if (!mode_trusted(places, fd, path, &st)) {
                unsafe(error, path, "can be written by others than its owner");
                return -EPERM;
        }
        return steal_fd(&fd);
}

gboolean place_trusted(const Places *places, const char *directory, GError **error) {
        const char *start = *places->root ? places->root : "/";
        _cleanup_close_ int fd = open(start, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_auto(GStrv) parts = g_strsplit(directory + 1, "/", -1);
        g_autoptr(GString) path = g_string_new(NULL);

        if (fd < 0)
                return unsafe(error, start, "%s", g_strerror(errno));
        if (directory[0] != '/')
                return unsafe(error, directory, "expected an absolute path");
        for (char **part = parts; *part; part++) {
                int next;

                if (!**part || g_str_equal(*part, ".") || g_str_equal(*part, ".."))
                        return unsafe(error, directory, "expected a path without . and ..");
                g_string_append_printf(path, "/%s", *part);
                next = step(places, fd, *part, path->str, error);
                if (next < 0)
                        return FALSE;
                (void) safe_close(fd);
                fd = next;
        }
        return TRUE;
}

/* What is in a directory with the sticky bit can be moved away by its owner alone, who is root, too. */
static gboolean is_roots(const Places *places, const char *real, const struct stat *st) {
        const char *path = g_str_has_prefix(real, places->root) ? real + strlen(places->root) : real;

        if (S_ISLNK(st->st_mode) || file_status_trusted(real, st, places->also, NULL))
                return owner_trusted(places, st);
        return owner_trusted(places, st) && !(st->st_mode & S_IWOTH) && !access_list_present(real) &&
                (is_shared_with_daemon(path, st) || group_of_local(places, path, st));
}

/* What the link stands for, with what comes behind it. */
static char *follow(const char *link, const char *rest) {
        g_autofree char *target = g_file_read_link(link, NULL), *parent = g_path_get_dirname(link);
        const char *start = target && !g_path_is_absolute(target) ? parent : "/";

        return target ? g_build_filename(start, target, rest, NULL) : NULL;
}

/* From the root down: what has been looked at already is root's, so what lies in it stays what it is. ".." leads to
 * what was looked at. */
static gboolean leads_to_roots(const Places *places, const char *real, unsigned links) {
        g_auto(GStrv) parts = g_strsplit(real, "/", -1);
        g_autofree char *path = g_strdup("");

        for (char **part = parts; *part; part++) {
                g_autofree char *parent = g_steal_pointer(&path);
                struct stat st;

                path = **part ? g_strconcat(parent, "/", *part, NULL) : g_strdup(parent);
                if (!**part)
                        continue;
                if (lstat(path, &st) < 0 || !is_roots(places, path, &st))
                        return FALSE;
                if (S_ISLNK(st.st_mode)) {
                        g_autofree char *rest = g_strjoinv("/", part + 1), *next = follow(path, rest);

                        return next && links > 0 && leads_to_roots(places, next, links - 1);
                }
        }
        return TRUE;
}

gboolean place_leads_to_roots(const Places *places, const char *real) {
        return g_path_is_absolute(real) && leads_to_roots(places, real, LINKS_MAX);
}

static gboolean same_content(const char *path, const char *text) {
        g_autofree char *present = NULL;
        struct stat st;

        /* A link is replaced by a file. */
        return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == 0644 &&
                file_read(path, TEXT_MAX, &present, NULL, NULL) && g_str_equal(present, text);
}

gboolean place_make_directory(const Places *places, const char *directory, GError **error) {
        g_autofree char *real = place_path(places, directory), *parent = g_path_get_dirname(directory);

        if (!place_trusted(places, parent, error))
                return FALSE;
        if (mkdir(real, 0755) < 0 && errno != EEXIST)
                return unsafe(error, directory, "cannot be made: %s", g_strerror(errno));
        return place_trusted(places, directory, error);
}

gboolean place_write(const Places *places, const char *path, const char *text, gboolean *changed, GError **error) {
        g_autofree char *real = place_path(places, path), *directory = g_path_get_dirname(path);

        if (!*text)
                return place_remove(places, path, TRUE, changed, error);
        if (!place_make_directory(places, directory, error))
                return FALSE;
        if (same_content(real, text))
                return TRUE;
        if (!file_write(real, text, strlen(text), 0644, error))
                return FALSE;
        *changed = TRUE;
        return TRUE;
}

gboolean place_remove(const Places *places, const char *path, gboolean with_directory, gboolean *changed,
                      GError **error) {
        g_autofree char *real = place_path(places, path), *directory = g_path_get_dirname(path);
        g_autofree char *real_directory = place_path(places, directory);
        struct stat st;

        if (lstat(real, &st) < 0 && errno == ENOENT)
                return TRUE;
        if (!place_trusted(places, directory, error))
                return FALSE;
        if (unlink(real) < 0 && errno != ENOENT)
                return unsafe(error, path, "cannot be removed: %s", g_strerror(errno));
        *changed = TRUE;
        if (with_directory && rmdir(real_directory) < 0 && errno != ENOTEMPTY && errno != EEXIST)
                return unsafe(error, directory, "cannot be removed: %s", g_strerror(errno));
        return TRUE;
}
