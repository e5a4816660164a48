/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* /proc/PID/stat, for the daemon and the plugins that look at processes. A process may write its own name into it, so
 * no line is trusted to have the form that it should. The fields' numbers and meaning are those of proc(5). */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A thread of the kernel has a name of up to 63 bytes, a program one of 15. */
#define PROCESS_NAME_SIZE 64U
#define PROCESS_STAT_MAX 2048U

typedef struct ProcessStat {
        pid_t pid, parent, group;
        pid_t foreground;           /* the group in the terminal's foreground; ≤ 0: none */
        char state;                 /* R, S, D, Z, … */
        char name[PROCESS_NAME_SIZE];
        uint32_t terminal;          /* as the kernel packs it; 0: none */
        uint64_t major_faults;      /* pages that had to be read */
        uint64_t cpu;               /* µs, of itself */
        uint64_t children_cpu;      /* µs, of children that it waited for */
        uint64_t threads;
        uint64_t started;           /* µs since boot, sleep included: with the pid, who it is */
        uint64_t blocked_ticks;     /* waited for a disk so long; 0 also where the kernel does not count it */
} ProcessStat;

/* ticks: of the kernel's clock a second, sysconf(_SC_CLK_TCK). -EBADMSG for a line of another form. */
int process_stat_parse(const char *line, long ticks, ProcessStat *ret);

/* A file of /proc below an open folder, as much of it as fits: NUL-terminated; the number of bytes, or a negative
 * errno. */
ssize_t process_file_read(int folder, const char *name, char *text, size_t size);

/* Of an open folder /proc/PID. A negative errno: it is gone, hidden, or of another form. */
int process_stat_read(int folder, long ticks, ProcessStat *ret);
