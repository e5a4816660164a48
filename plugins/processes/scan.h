/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The machine's processes, one after the other. Those that come and go meanwhile may be seen or not, and no line of
 * the kernel's is trusted to have the form that it should. */

#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

#include "base/process-stat.h"

/* More is not looked at. */
#define SCAN_PROCESSES_MAX 65536U
#define SCAN_CMDLINE_SIZE 4096U

typedef struct ScannedProcess {
        pid_t pid, parent;
        char state;            /* as in /proc/PID/stat */
        char name[PROCESS_NAME_SIZE];
        uid_t owner;           /* its real user */
        uint64_t started;      /* µs since boot: with the pid, who it is */
        uint64_t cpu;          /* µs, children that it waited for included */
        const char *cmdline;   /* words with a space between them; NULL where nobody asked, or it has none. Not to be
                                  shown to anybody */
} ScannedProcess;

typedef void (*ScanFunction)(const ScannedProcess *process, void *userdata);

/* Hands on every process but the kernel's own, those that have ended, and this one. root: "" for this machine, else
 * the folder that stands for / . 1: all of them; 0: there are more, or those of others are hidden; a negative errno if
 * /proc cannot be read. */
int scan(const char *root, gboolean cmdlines, ScanFunction function, void *userdata);
