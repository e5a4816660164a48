/* SPDX-License-Identifier: Apache-2.0 */

#include "manifest/manifest.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#include "base/access-list.h"
#include "base/cleanup.h"
#include "base/names.h"

#define DAEMON_USER "snooze"

int local_user(const char *name, uid_t *ret_uid) {
        _cleanup_(fclosep) FILE *file = fopen("/etc/passwd", "re");
        const struct passwd *entry;

        if (!file)
                return -errno;
        while ((entry = fgetpwent(file)))
                if (strcmp(entry->pw_name, name) == 0) {
                        *ret_uid = entry->pw_uid;
                        return 0;
                }
        return -ENOENT;
}

uid_t manifest_trusted_uid(void) {
        uid_t service;

        return local_user(DAEMON_USER, &service) == 0 && service == geteuid() ? 0 : geteuid();
}

static gboolean unsafe(GError **error, const char *path, const char *what) {
        g_set_error(error, MANIFEST_ERROR, MANIFEST_ERROR_UNSAFE, "%s: %s", path, what);
        return FALSE;
}

/* Where users have a group of their own (umask 002), group-writable is not writable by others. */
static gboolean writable_by_others(const char *path, const struct stat *st, uid_t also) {
        if (st->st_mode & S_IWOTH)
                return !(S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX));
        if (!(st->st_mode & S_IWGRP))
                return FALSE;
        return (st->st_gid != 0 && !(also != 0 && st->st_uid == also && st->st_gid == getegid())) ||
               access_list_present(path);
}

gboolean file_status_trusted(const char *path, const struct stat *st, uid_t also, GError **error) {
        if (st->st_uid != 0 && st->st_uid != also)
                return unsafe(error, path, "belongs to another user, expected root");
        if (writable_by_others(path, st, also))
                return unsafe(error, path, "can be written by others than its owner");
        return TRUE;
}

gboolean file_trusted(const char *path, uid_t also, GError **error) {
        struct stat st;

        if (stat(path, &st) < 0)
                return unsafe(error, path, g_strerror(errno));
        return file_status_trusted(path, &st, also, error);
}

/* The head of this very program, as the linker knows it. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

/* Scripts have no architecture; what the kernel makes of their first line is its own affair. */
static gboolean architecture_fits(const char *path, GError **error) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ElfW(Ehdr) header = {};

        if (fd < 0)
                return unsafe(error, path, g_strerror(errno));
        if (read(fd, &header, sizeof(header)) < 2)
                return unsafe(error, path, "is no program");
        if (memcmp(&header, "#!", 2) == 0)
                return TRUE;
        if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
                return unsafe(error, path, "is neither a program of this system nor a script");
        if (header.e_machine != __ehdr_start.e_machine || header.e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS])
                return unsafe(error, path, "was built for another architecture");
        return TRUE;
}

static gboolean has_dot_dot(const char *path) {
        g_auto(GStrv) parts = NULL;

        if (!strstr(path, ".."))
                return FALSE;
        parts = g_strsplit(path, "/", -1);

        return g_strv_contains((const char *const *) parts, "..");
}

static gboolean is_program(const char *path, const struct stat *st, GError **error) {
        if (!S_ISREG(st->st_mode) || !(st->st_mode & S_IXUSR))
                return unsafe(error, path, "is not executable");
        if (st->st_mode & (S_ISUID | S_ISGID))
                return unsafe(error, path, "is setuid or setgid");
        return architecture_fits(path, error);
}

/* Without links on the way. directory: that of the manifest, without any already. */
static char *real_program(const char *directory, const char *exec, struct stat *ret_status) {
        g_autofree char *path = g_path_is_absolute(exec) ? g_strdup(exec) : g_build_filename(directory, exec, NULL);
        _cleanup_free_ char *real = NULL;

        /* Nearly every program lies beside its manifest, where there is no way to follow. */
        if (!strchr(exec, '/')) {
                if (lstat(path, ret_status) < 0)
                        return NULL;
                if (!S_ISLNK(ret_status->st_mode))
                        return g_steal_pointer(&path);
        }
        real = realpath(path, NULL);
        return real && stat(real, ret_status) >= 0 ? g_strdup(real) : NULL;
}

char *program_resolve(const char *directory, const char *exec, uid_t also, struct stat *ret_status, GError **error) {
        g_autofree char *path = g_path_is_absolute(exec) ? g_strdup(exec) : g_build_filename(directory, exec, NULL);
        g_autofree char *real = NULL, *parent = NULL;
        _cleanup_free_ char *real_directory = NULL;

        if (!*exec || has_dot_dot(exec)) {
                unsafe(error, path, "expected a file below the manifest's directory or an absolute path, without ..");
                return NULL;
        }
        real_directory = realpath(directory, NULL);
        real = real_directory ? real_program(real_directory, exec, ret_status) : NULL;
        if (!real) {
                unsafe(error, path, g_strerror(errno));
                return NULL;
        }
        if (!g_path_is_absolute(exec) &&
            !(g_str_has_prefix(real, real_directory) && real[strlen(real_directory)] == '/')) {
                unsafe(error, path, "is a link that leaves the manifest's directory");
                return NULL;
        }
        parent = g_path_get_dirname(real);
        if (!file_trusted(parent, also, error) || !file_status_trusted(real, ret_status, also, error) ||
            !is_program(real, ret_status, error))
                return NULL;
        return g_steal_pointer(&real);
}
