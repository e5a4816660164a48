/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The machine's terminals, sessions and processes at one moment. The rules look at nothing else, so that a test can
 * make one up. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "programs.h"

#define SNAPSHOT_NAME_SIZE 64U
#define SNAPSHOT_PROCESSES_MAX 65536U
#define SNAPSHOT_TERMINALS_MAX 1024U
#define SNAPSHOT_SESSIONS_MAX 256U

typedef struct Process {
        pid_t pid, parent, group;
        dev_t terminal;         /* 0: none */
        pid_t foreground;       /* the terminal's foreground group */
        char state;             /* as in /proc/PID/stat */
        char name[PROGRAM_NAME_SIZE];
        bool script;            /* a shell that runs a script or a -c command, not a person's commands */
        uint64_t started;       /* monotonic µs; 0: earlier than that clock */
        uint64_t cpu;           /* µs, waited-for children included */
        uint64_t storage;       /* bytes read from and written to storage, where they can be seen */
        uint64_t characters;    /* bytes of all reads and writes, the same */
        uint64_t switches;      /* how often it waited for something; where its bytes cannot be seen */
        uint64_t faults;        /* major page faults and time blocked: signs of storage that everybody may see */
} Process;

typedef struct Terminal {
        dev_t device;
        char name[SNAPSHOT_NAME_SIZE]; /* "pts/3" */
        char user[SNAPSHOT_NAME_SIZE];
        uint64_t last_input;           /* wall clock µs; 0: cannot be seen */
} Terminal;

typedef struct Session {
        char id[SNAPSHOT_NAME_SIZE];
        char user[SNAPSHOT_NAME_SIZE];
        pid_t leader; /* sshd's; 0: not by ssh */
        bool graphical;
        bool has_terminal;
        bool idle_known; /* of a graphical one: its IdleHint could be read */
        bool idle;
        uint64_t idle_since; /* wall clock µs; 0: unknown */
} Session;

typedef struct Snapshot {
        uint64_t monotonic, realtime;
        bool has_logind;
        bool hidden; /* processes of others cannot be seen */
        bool incomplete; /* there are more of something than fit */
        Process *processes; /* by pid */
        size_t n_processes;
        Terminal *terminals; /* those that are somebody's controlling terminal */
        size_t n_terminals;
        Session *sessions; /* of users; greeters and background ones are left out */
        size_t n_sessions;
} Snapshot;

void snapshot_clear(Snapshot *snapshot);

/* By pid, or NULL. */
const Process *snapshot_process(const Snapshot *snapshot, pid_t pid);
