/* SPDX-License-Identifier: Apache-2.0 */

#include "run/program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/access-list.h"
#include "base/cleanup.h"

uid_t program_owner_also(void) {
        return getenv("SNOOZE_TRUST_OWN_PROGRAMS") ? geteuid() : 0;
}

static gboolean fail(GError **error, const char *path, const char *what) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_PERM, "%s %s", path, what);
        return FALSE;
}

static gboolean step_trusted(const char *path, uid_t also, GError **error) {
        struct stat st;

        if (lstat(path, &st) < 0) {
                g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(errno), "%s: %s", path,
                            g_strerror(errno));
                return FALSE;
        }
        if (st.st_uid != 0 && st.st_uid != also)
                return fail(error, path, "belongs to another user, expected root");
        /* In a directory with the sticky bit nobody replaces another's files. */
        if (S_ISDIR(st.st_mode) && st.st_mode & S_ISVTX)
                return TRUE;
        if (st.st_mode & S_IWOTH)
                return fail(error, path, "can be written by everybody");
        /* Where users have a group of their own (umask 002), group-writable is not writable by others. */
        if (!(st.st_mode & S_IWGRP))
                return TRUE;
        if (st.st_gid != 0 && !(also != 0 && st.st_uid == also))
                return fail(error, path, "can be written by its group");
        if (access_list_present(path))
                return fail(error, path, "can be written by others: it has an access control list");
        return TRUE;
}

char *path_trusted(const char *path, uid_t also, GError **error) {
        _cleanup_free_ char *resolved = realpath(path, NULL);

        if (!resolved) {
                g_set_error(error, G_FILE_ERROR, (gint) g_file_error_from_errno(errno), "%s: %s", path,
                            g_strerror(errno));
                return NULL;
        }
        for (char *slash = resolved; slash; slash = strchr(slash + 1, '/')) {
                g_autofree char *step = g_strndup(resolved, slash == resolved ? 1 : (gsize) (slash - resolved));

                if (!step_trusted(step, also, error))
                        return NULL;
        }
        return step_trusted(resolved, also, error) ? g_strdup(resolved) : NULL;
}

char *program_trusted(const char *path, uid_t also, GError **error) {
        g_autofree char *resolved = NULL;
        struct stat st;

        if (!g_path_is_absolute(path)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "“%s”: expected the program's absolute path",
                            path);
                return NULL;
        }
        resolved = path_trusted(path, also, error);
        if (!resolved)
                return NULL;
        if (stat(resolved, &st) < 0 || !S_ISREG(st.st_mode) || !(st.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH))) {
                fail(error, resolved, "is no executable file");
                return NULL;
        }
        return g_steal_pointer(&resolved);
}
