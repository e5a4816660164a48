/* SPDX-License-Identifier: Apache-2.0 */

#include "scan.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define KTHREADD 2

/* The fields behind the name that are of use, by their number in proc(5). */
enum {
        FIELD_STATE = 3,
        FIELD_PARENT = 4,
        FIELD_USER_TIME = 14,
        FIELD_CHILDREN_SYSTEM_TIME = 17,
        FIELD_START = 22,
};

int scan_parse_stat(const char *line, long ticks, ScannedProcess *ret) {
        /* A name may hold blanks and brackets: it ends at the last one. */
        const char *open = strchr(line, '('), *close = strrchr(line, ')'), *p;
        long long fields[FIELD_START + 1] = { 0 }, used = 0;
        char *end;
        long pid;

        errno = 0;
        pid = strtol(line, &end, 10);
        if (errno != 0 || pid <= 0 || pid > INT_MAX || ticks <= 0 || !open || !close || close < open || close[1] != ' ' ||
            !isalpha((unsigned char) close[2]))
                return -EBADMSG;
        p = close + 3;
        for (int i = FIELD_PARENT; i <= FIELD_START; i++) {
                errno = 0;
                fields[i] = strtoll(p, &end, 10);
                if (end == p || errno != 0)
                        return -EBADMSG;
                p = end;
        }
        for (int i = FIELD_USER_TIME; i <= FIELD_CHILDREN_SYSTEM_TIME; i++) {
                /* No counter of a real kernel comes near; the sum has to fit. */
                if (fields[i] < 0 || fields[i] > LLONG_MAX / 8)
                        return -EBADMSG;
                used += fields[i];
        }
        if (fields[FIELD_PARENT] < 0 || fields[FIELD_PARENT] > INT_MAX || fields[FIELD_START] < 0)
                return -EBADMSG;
        *ret = (ScannedProcess) {
                .pid = (pid_t) pid,
                .parent = (pid_t) fields[FIELD_PARENT],
                .state = close[2],
                .started = (uint64_t) ((double) fields[FIELD_START] * 1e6 / (double) ticks),
                .cpu = (uint64_t) ((double) used * 1e6 / (double) ticks),
        };
        memcpy(ret->name, open + 1, MIN((size_t) (close - open - 1), sizeof(ret->name) - 1));
        return 0;
}

/* NUL-terminated; the number of bytes, or a negative errno. */
static ssize_t read_file(int folder, const char *name, char *text, size_t size) {
        _cleanup_close_ int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, text, size - 1);
        if (n < 0)
                return -errno;
        text[n] = 0;
        return n;
}

/* Not the folder's owner: that is root for programs that the kernel protects from their own users. */
static int read_owner(int folder, uid_t *ret) {
        char text[2048];
        const char *line;
        unsigned uid;

        if (read_file(folder, "status", text, sizeof(text)) <= 0)
                return -ESRCH;
        line = strstr(text, "\nUid:");
        if (!line || sscanf(line, "\nUid: %u", &uid) != 1)
                return -EBADMSG;
        *ret = (uid_t) uid;
        return 0;
}

/* NULL where there is none. */
static const char *read_cmdline(int folder, char *text, size_t size) {
        ssize_t n = read_file(folder, "cmdline", text, size);

        if (n <= 0)
                return NULL;
        for (ssize_t i = 0; i + 1 < n; i++)
                if (text[i] == '\0')
                        text[i] = ' ';
        return text;
}

static gboolean is_of_interest(const ScannedProcess *process) {
        return process->pid != KTHREADD && process->parent != KTHREADD && process->pid != getpid() && process->state != 'Z' &&
                process->state != 'X';
}

int scan(const char *root, gboolean cmdlines, ScanFunction function, void *userdata) {
        g_autofree char *path = g_strconcat(root, "/proc", NULL), *cmdline = g_malloc(SCAN_CMDLINE_SIZE);
        _cleanup_(closedirp) DIR *proc = opendir(path);
        long ticks = sysconf(_SC_CLK_TCK);
        gboolean first = FALSE;
        struct dirent *entry;
        unsigned n = 0;

        if (!proc)
                return -errno;
        while ((entry = readdir(proc))) {
                _cleanup_close_ int folder = -1;
                ScannedProcess process;
                char line[1024];

                if (!isdigit((unsigned char) entry->d_name[0]))
                        continue;
                if (++n > SCAN_PROCESSES_MAX)
                        return 0;
                folder = openat(dirfd(proc), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (folder < 0 || read_file(folder, "stat", line, sizeof(line)) <= 0 || scan_parse_stat(line, ticks, &process) < 0)
                        continue;
                first = first || process.pid == 1;
                if (!is_of_interest(&process) || read_owner(folder, &process.owner) < 0)
                        continue;
                if (cmdlines)
                        process.cmdline = read_cmdline(folder, cmdline, SCAN_CMDLINE_SIZE);
                function(&process, userdata);
        }
        /* Without the permission a plugin sees its own processes only; the first one is never among them. */
        return first;
}
