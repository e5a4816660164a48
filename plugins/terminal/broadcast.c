/* SPDX-License-Identifier: Apache-2.0 */

#include "broadcast.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-login.h>

#include "base/cleanup.h"

static void tell(const char *path, const char *text, size_t length, Broadcast *result) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        ssize_t n;

        fd = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0) {
                if (errno == EACCES || errno == EPERM)
                        result->closed++;
                return;
        }
        if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || !isatty(fd))
                return;
        /* Root and the owner could write all the same; who said mesg n is left alone. */
        if (!(st.st_mode & S_IWGRP)) {
                result->closed++;
                return;
        }
        n = write(fd, text, length);
        if (n > 0)
                result->told++;
        else if (n < 0 && errno == EAGAIN)
                result->stopped++;
}

static int tell_pseudo_terminals(const char *devices, const char *text, size_t length, Broadcast *result) {
        _cleanup_(closedirp) DIR *folder = NULL;
        char path[PATH_MAX];
        struct dirent *entry;
        unsigned n = 0;

        snprintf(path, sizeof(path), "%s/pts", devices);
        folder = opendir(path);
        if (!folder)
                return errno == ENOENT ? 0 : -errno;
        while (n < BROADCAST_TERMINALS_MAX && (entry = readdir(folder))) {
                if (!isdigit((unsigned char) entry->d_name[0]))
                        continue;
                if (snprintf(path, sizeof(path), "%s/pts/%s", devices, entry->d_name) < (int) sizeof(path))
                        tell(path, text, length, result);
                n++;
        }
        return 0;
}

/* Consoles and serial lines have no folder to list: there are thousands, and nobody at most of them. */
static void tell_session(const char *devices, const char *session, const char *text, size_t length,
                         Broadcast *result) {
        _cleanup_free_ char *terminal = NULL;
        char path[PATH_MAX];

        if (sd_session_get_tty(session, &terminal) < 0)
                return;
        if (strncmp(terminal, "pts/", 4) == 0 || strchr(terminal, '/'))
                return;
        if (snprintf(path, sizeof(path), "%s/%s", devices, terminal) < (int) sizeof(path))
                tell(path, text, length, result);
}

int broadcast(const char *devices, const char *text, size_t length, Broadcast *ret) {
        Broadcast result = { .told = 0 };
        char **sessions = NULL;
        int n, r;

        r = tell_pseudo_terminals(devices, text, length, &result);
        if (r < 0)
                return r;
        n = sd_get_sessions(&sessions);
        for (int i = 0; i < n; i++) {
                tell_session(devices, sessions[i], text, length, &result);
                free(sessions[i]);
        }
        free(sessions);
        *ret = result;
        return 0;
}
