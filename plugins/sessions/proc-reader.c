/* SPDX-License-Identifier: Apache-2.0 */

#include "proc-reader.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process-stat.h"

#define CMDLINE_MAX 1024U
#define STATUS_MAX 4096U
/* A program of more threads is judged by the first of them. */
#define TASKS_MAX 64U

void snapshot_clear(Snapshot *snapshot) {
        free(snapshot->processes);
        free(snapshot->terminals);
        free(snapshot->sessions);
        *snapshot = (Snapshot) { .has_logind = false };
}

static int compare_processes(const void *a, const void *b) {
        pid_t x = ((const Process *) a)->pid, y = ((const Process *) b)->pid;

        return (x > y) - (x < y);
}

const Process *snapshot_process(const Snapshot *snapshot, pid_t pid) {
        const Process wanted = { .pid = pid };

        if (snapshot->n_processes == 0)
                return NULL;
        return bsearch(&wanted, snapshot->processes, snapshot->n_processes, sizeof(Process), compare_processes);
}

static dev_t decode_terminal(uint32_t n) {
        return n == 0 ? 0 : makedev((n >> 8) & 0xfff, (n & 0xff) | ((n >> 12) & 0xfff00));
}

Process proc_process(const ProcessStat *stat, uint64_t boot_offset) {
        Process process = {
                .pid = stat->pid,
                .parent = stat->parent,
                .group = stat->group,
                .terminal = decode_terminal(stat->terminal),
                .foreground = stat->foreground,
                .state = stat->state,
                .started = usec_sub(stat->started, boot_offset),
                .cpu = stat->cpu + stat->children_cpu,
                .faults = stat->major_faults + stat->blocked_ticks,
        };

        memcpy(process.name, stat->name, strnlen(stat->name, sizeof(process.name) - 1));
        return process;
}

bool cmdline_is_script(const char *cmdline, size_t length) {
        const char *p = cmdline, *limit = cmdline + length;

        /* The first is the program's own name. */
        p += strnlen(p, length) + 1;
        while (p < limit && *p) {
                if (p[0] != '-' && p[0] != '+')
                        return true;
                /* Combined ones like -lc are commands as well; long options like --norc and --rcfile are a
                 * person's. */
                if (p[0] == '-' && p[1] != '-' && strchr(p, 'c'))
                        return true;
                if (strcmp(p, "--rcfile") == 0 || strcmp(p, "--init-file") == 0 || strcmp(p, "--init-command") == 0 ||
                    strcmp(p, "-o") == 0 || strcmp(p, "-O") == 0)
                        p += strnlen(p, (size_t) (limit - p)) + 1; /* and what belongs to it */
                if (p >= limit)
                        break;
                p += strnlen(p, (size_t) (limit - p)) + 1;
        }
        return false;
}

static uint64_t voluntary_switches(const char *status) {
        const char *line = strstr(status, "\nvoluntary_ctxt_switches:");
        uint64_t value;

        return line && sscanf(line, "\nvoluntary_ctxt_switches: %" SCNu64, &value) == 1 ? value : 0;
}

uint64_t proc_switches(int process) {
        char path[64], status[STATUS_MAX];
        _cleanup_(closedirp) DIR *tasks = NULL;
        struct dirent *entry;
        uint64_t sum = 0;
        unsigned n = 0;
        int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
                return 0;
        tasks = fdopendir(fd);
        if (!tasks) {
                close(fd);
                return 0;
        }
        while (n < TASKS_MAX && (entry = readdir(tasks))) {
                if (!isdigit((unsigned char) entry->d_name[0]))
                        continue;
                n++;
                snprintf(path, sizeof(path), "%.20s/status", entry->d_name);
                if (process_file_read(fd, path, status, sizeof(status)) > 0)
                        sum += voluntary_switches(status);
        }
        return sum;
}

static void read_io(const char *text, Process *process) {
        uint64_t value;

        for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL)
                if (sscanf(line, "rchar: %" SCNu64, &value) == 1 || sscanf(line, "wchar: %" SCNu64, &value) == 1)
                        process->characters += value;
                else if (sscanf(line, "read_bytes: %" SCNu64, &value) == 1 ||
                         sscanf(line, "write_bytes: %" SCNu64, &value) == 1)
                        process->storage += value;
}

static void read_more(int folder, const Programs *programs, Process *process) {
        ProgramKind kind = programs_kind(programs, process->name);
        char text[CMDLINE_MAX];
        ssize_t n;

        if (kind == PROGRAM_SHELL) {
                n = process_file_read(folder, "cmdline", text, sizeof(text));
                process->script = n > 0 && cmdline_is_script(text, (size_t) n);
        }
        /* What a process reads and writes is told to its own user and to root; how often it waited for something, to
         * everybody. */
        if (kind != PROGRAM_JOB && !process->script)
                return;
        if (process_file_read(folder, "io", text, sizeof(text)) > 0)
                read_io(text, process);
        else
                process->switches = proc_switches(folder);
}

static int append_process(Snapshot *snapshot, size_t *allocated, const Process *process) {
        if (snapshot->n_processes == *allocated) {
                size_t wanted = *allocated > 0 ? *allocated * 2 : 256;
                Process *larger = reallocarray(snapshot->processes, wanted, sizeof(Process));

                if (!larger)
                        return -ENOMEM;
                snapshot->processes = larger;
                *allocated = wanted;
        }
        snapshot->processes[snapshot->n_processes++] = *process;
        return 0;
}

static int read_processes(const char *root, const Programs *programs, uint64_t boot_offset, Snapshot *snapshot) {
        _cleanup_(closedirp) DIR *proc = NULL;
        long ticks = sysconf(_SC_CLK_TCK);
        char path[PATH_MAX];
        size_t allocated = 0;
        struct dirent *entry;
        ProcessStat stat;
        Process process;

        snprintf(path, sizeof(path), "%s/proc", root);
        proc = opendir(path);
        if (!proc)
                return -errno;
        while (snapshot->n_processes < SNAPSHOT_PROCESSES_MAX && (entry = readdir(proc))) {
                _cleanup_close_ int folder = -1;

                if (!isdigit((unsigned char) entry->d_name[0]))
                        continue;
                folder = openat(dirfd(proc), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
                if (folder < 0 || process_stat_read(folder, ticks, &stat) < 0)
                        continue;
                process = proc_process(&stat, boot_offset);
                if (process.terminal != 0 || process.parent > 2)
                        read_more(folder, programs, &process);
                if (append_process(snapshot, &allocated, &process) < 0)
                        return -ENOMEM;
        }
        snapshot->incomplete = snapshot->n_processes == SNAPSHOT_PROCESSES_MAX;
        if (snapshot->n_processes > 0)
                qsort(snapshot->processes, snapshot->n_processes, sizeof(Process), compare_processes);
        return 0;
}

bool terminal_name(dev_t device, char *name, size_t size) {
        unsigned number = minor(device);

        switch (major(device)) {
        case 4:
                snprintf(name, size, number < 64 ? "tty%u" : "ttyS%u", number < 64 ? number : number - 64);
                return true;
        case 136 ... 143:
                snprintf(name, size, "pts/%u", number + (major(device) - 136) * 256);
                return true;
        case 188:
                snprintf(name, size, "ttyUSB%u", number);
                return true;
        case 204:
                if (number < 64)
                        return false;
                snprintf(name, size, "ttyAMA%u", number - 64);
                return true;
        case 229:
                snprintf(name, size, "hvc%u", number);
                return true;
        default:
                return false;
        }
}

/* The owner of the terminal is who logged in there; getpwuid() may have to ask elsewhere, so numbers do where it does
 * not know. */
static void read_owner(uid_t uid, char *user, size_t size) {
        struct passwd *entry = getpwuid(uid);

        if (entry)
                snprintf(user, size, "%s", entry->pw_name);
        else
                snprintf(user, size, "%u", (unsigned) uid);
}

static void read_terminal(const char *root, dev_t device, Terminal *terminal) {
        char path[PATH_MAX];
        struct stat st;

        *terminal = (Terminal) { .device = device };
        if (!terminal_name(device, terminal->name, sizeof(terminal->name))) {
                snprintf(terminal->name, sizeof(terminal->name), "tty %u:%u", major(device), minor(device));
                return;
        }
        snprintf(path, sizeof(path), "%s/dev/%s", root, terminal->name);
        if (stat(path, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != device)
                return;
        /* The kernel sets it when a program reads what was typed, to within eight seconds. */
        terminal->last_input =
                (uint64_t) st.st_atim.tv_sec * USEC_PER_SEC + (uint64_t) st.st_atim.tv_nsec / NSEC_PER_USEC;
        read_owner(st.st_uid, terminal->user, sizeof(terminal->user));
}

static bool has_terminal(const Snapshot *snapshot, dev_t device) {
        for (size_t i = 0; i < snapshot->n_terminals; i++)
                if (snapshot->terminals[i].device == device)
                        return true;
        return false;
}

static int read_terminals(const char *root, Snapshot *snapshot) {
        snapshot->terminals = calloc(SNAPSHOT_TERMINALS_MAX, sizeof(Terminal));
        if (!snapshot->terminals)
                return -ENOMEM;
        for (size_t i = 0; i < snapshot->n_processes && snapshot->n_terminals < SNAPSHOT_TERMINALS_MAX; i++) {
                dev_t device = snapshot->processes[i].terminal;

                if (device != 0 && !has_terminal(snapshot, device))
                        read_terminal(root, device, &snapshot->terminals[snapshot->n_terminals++]);
        }
        snapshot->incomplete = snapshot->incomplete || snapshot->n_terminals == SNAPSHOT_TERMINALS_MAX;
        return 0;
}

int proc_read(const char *root, const Programs *programs, Snapshot *ret) {
        uint64_t boot = clock_boottime();
        Snapshot snapshot = { .monotonic = clock_monotonic(), .realtime = clock_realtime() };
        int r;

        r = read_processes(root, programs, usec_sub(boot, snapshot.monotonic), &snapshot);
        if (r >= 0)
                r = read_terminals(root, &snapshot);
        if (r < 0) {
                snapshot_clear(&snapshot);
                return r;
        }
        /* A plugin without the permission sees its own processes only; the first one is never among them. */
        snapshot.hidden = !snapshot_process(&snapshot, 1);
        *ret = snapshot;
        return 0;
}
