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
#include "base/process-stat.h"

#define KTHREADD 2

/* Not the folder's owner: that is root for programs that the kernel protects from their own users. */
static int read_owner(int folder, uid_t *ret) {
        char text[2048];
        const char *line;
        unsigned uid;

        if (process_file_read(folder, "status", text, sizeof(text)) <= 0)
                return -ESRCH;
        line = strstr(text, "\nUid:");
        if (!line || sscanf(line, "\nUid: %u", &uid) != 1)
                return -EBADMSG;
        *ret = (uid_t) uid;
        return 0;
}

/* NULL where there is none. */
static const char *read_cmdline(int folder, char *text, size_t size) {
        ssize_t n = process_file_read(folder, "cmdline", text, size);

        if (n <= 0)
                return NULL;
        for (ssize_t i = 0; i + 1 < n; i++)
                if (text[i] == '\0')
                        text[i] = ' ';
        return text;
}

static ScannedProcess scanned(const ProcessStat *stat) {
        ScannedProcess process = {
                .pid = stat->pid,
                .parent = stat->parent,
                .state = stat->state,
                .started = stat->started,
                .cpu = stat->cpu + stat->children_cpu,
        };

        g_strlcpy(process.name, stat->name, sizeof(process.name));
        return process;
}

static gboolean is_of_interest(const ScannedProcess *process) {
        return process->pid != KTHREADD && process->parent != KTHREADD && process->pid != getpid() &&
               process->state != 'Z' && process->state != 'X';
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
                ProcessStat stat;

                if (!isdigit((unsigned char) entry->d_name[0]))
                        continue;
                if (++n > SCAN_PROCESSES_MAX)
                        return 0;
                folder = openat(dirfd(proc), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (folder < 0 || process_stat_read(folder, ticks, &stat) < 0)
                        continue;
                process = scanned(&stat);
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
