/* SPDX-License-Identifier: Apache-2.0 */

#include "programs.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

typedef struct Program {
        char name[PROGRAM_NAME_SIZE];
        ProgramKind kind;
} Program;

struct Programs {
        Program *list; /* by name */
        size_t n;
};

#define KNOWN(X)                                                                                                     \
        X(PROGRAM_SHELL, "ash") X(PROGRAM_SHELL, "bash") X(PROGRAM_SHELL, "csh") X(PROGRAM_SHELL, "dash")            \
        X(PROGRAM_SHELL, "elvish") X(PROGRAM_SHELL, "fish") X(PROGRAM_SHELL, "ksh") X(PROGRAM_SHELL, "mksh")         \
        X(PROGRAM_SHELL, "nu") X(PROGRAM_SHELL, "pwsh") X(PROGRAM_SHELL, "rbash") X(PROGRAM_SHELL, "sh")             \
        X(PROGRAM_SHELL, "tcsh") X(PROGRAM_SHELL, "xonsh") X(PROGRAM_SHELL, "zsh")                                   \
        X(PROGRAM_INTERACTIVE, "bat") X(PROGRAM_INTERACTIVE, "ed") X(PROGRAM_INTERACTIVE, "emacs")                   \
        X(PROGRAM_INTERACTIVE, "emacs-nox") X(PROGRAM_INTERACTIVE, "emacsclient") X(PROGRAM_INTERACTIVE, "helix")    \
        X(PROGRAM_INTERACTIVE, "hx") X(PROGRAM_INTERACTIVE, "info") X(PROGRAM_INTERACTIVE, "jed")                    \
        X(PROGRAM_INTERACTIVE, "joe") X(PROGRAM_INTERACTIVE, "kak") X(PROGRAM_INTERACTIVE, "less")                   \
        X(PROGRAM_INTERACTIVE, "man") X(PROGRAM_INTERACTIVE, "mc") X(PROGRAM_INTERACTIVE, "mcedit")                  \
        X(PROGRAM_INTERACTIVE, "micro") X(PROGRAM_INTERACTIVE, "more") X(PROGRAM_INTERACTIVE, "most")                \
        X(PROGRAM_INTERACTIVE, "nano") X(PROGRAM_INTERACTIVE, "ne") X(PROGRAM_INTERACTIVE, "nvim")                   \
        X(PROGRAM_INTERACTIVE, "pager") X(PROGRAM_INTERACTIVE, "pg") X(PROGRAM_INTERACTIVE, "pico")                  \
        X(PROGRAM_INTERACTIVE, "rvim") X(PROGRAM_INTERACTIVE, "sensible-editor")                                     \
        X(PROGRAM_INTERACTIVE, "sensible-pager") X(PROGRAM_INTERACTIVE, "vi") X(PROGRAM_INTERACTIVE, "view")         \
        X(PROGRAM_INTERACTIVE, "vim") X(PROGRAM_INTERACTIVE, "vim.basic") X(PROGRAM_INTERACTIVE, "vim.nox")          \
        X(PROGRAM_INTERACTIVE, "vim.tiny") X(PROGRAM_INTERACTIVE, "vimdiff")                                         \
        X(PROGRAM_MONITOR, "atop") X(PROGRAM_MONITOR, "bmon") X(PROGRAM_MONITOR, "btop") X(PROGRAM_MONITOR, "dmesg") \
        X(PROGRAM_MONITOR, "dstat") X(PROGRAM_MONITOR, "glances") X(PROGRAM_MONITOR, "htop")                         \
        X(PROGRAM_MONITOR, "iftop") X(PROGRAM_MONITOR, "iostat") X(PROGRAM_MONITOR, "iotop")                         \
        X(PROGRAM_MONITOR, "journalctl") X(PROGRAM_MONITOR, "mpstat") X(PROGRAM_MONITOR, "nethogs")                  \
        X(PROGRAM_MONITOR, "nload") X(PROGRAM_MONITOR, "nmon") X(PROGRAM_MONITOR, "nvidia-smi")                      \
        X(PROGRAM_MONITOR, "nvtop") X(PROGRAM_MONITOR, "pidstat") X(PROGRAM_MONITOR, "powertop")                     \
        X(PROGRAM_MONITOR, "slabtop") X(PROGRAM_MONITOR, "systemd-cgtop") X(PROGRAM_MONITOR, "top")                  \
        X(PROGRAM_MONITOR, "viddy") X(PROGRAM_MONITOR, "vmstat") X(PROGRAM_MONITOR, "watch")                         \
        X(PROGRAM_FOLLOWER, "multitail") X(PROGRAM_FOLLOWER, "tail")                                                 \
        X(PROGRAM_FRAME, "abduco") X(PROGRAM_FRAME, "agetty") X(PROGRAM_FRAME, "byobu") X(PROGRAM_FRAME, "doas")     \
        X(PROGRAM_FRAME, "dtach") X(PROGRAM_FRAME, "getty") X(PROGRAM_FRAME, "internal-sftp")                        \
        X(PROGRAM_FRAME, "login") X(PROGRAM_FRAME, "mosh-server") X(PROGRAM_FRAME, "newgrp")                         \
        X(PROGRAM_FRAME, "runuser") X(PROGRAM_FRAME, "screen") X(PROGRAM_FRAME, "script")                            \
        X(PROGRAM_FRAME, "sftp-server") X(PROGRAM_FRAME, "sshd") X(PROGRAM_FRAME, "sshd-auth")                       \
        X(PROGRAM_FRAME, "sshd-session") X(PROGRAM_FRAME, "su") X(PROGRAM_FRAME, "sudo") X(PROGRAM_FRAME, "tmux")    \
        X(PROGRAM_FRAME, "zellij")

#define AS_NAME(kind, name) name,
#define AS_KIND(kind, name) kind,

static const char *const known_names[] = { KNOWN(AS_NAME) NULL };
static const ProgramKind known_kinds[] = { KNOWN(AS_KIND) };

const char *const *programs_known(void) {
        return known_names;
}

/* "tmux: client" and "sshd: alice@pts/0" set their names themselves. */
static void normalize(const char *name, char normal[static PROGRAM_NAME_SIZE]) {
        size_t length = strcspn(name, ":");

        if (length >= PROGRAM_NAME_SIZE)
                length = PROGRAM_NAME_SIZE - 1;
        memset(normal, 0, PROGRAM_NAME_SIZE);
        memcpy(normal, name, length);
}

static ProgramKind known_kind(const char *normal) {
        char known[PROGRAM_NAME_SIZE];

        for (size_t i = 0; known_names[i]; i++) {
                normalize(known_names[i], known);
                if (strcmp(known, normal) == 0)
                        return known_kinds[i];
        }
        return PROGRAM_INTERACTIVE;
}

static int compare(const void *a, const void *b) {
        return strcmp(((const Program *) a)->name, ((const Program *) b)->name);
}

Programs *programs_new(const char *const *names) {
        _cleanup_(programs_freep) Programs *programs = calloc(1, sizeof(Programs));
        size_t n = 0;

        if (!names)
                names = known_names;
        while (names[n] && n < PROGRAMS_MAX)
                n++;
        if (!programs)
                return NULL;
        programs->list = calloc(n > 0 ? n : 1, sizeof(Program));
        if (!programs->list)
                return NULL;
        for (size_t i = 0; i < n; i++) {
                normalize(names[i], programs->list[i].name);
                programs->list[i].kind = known_kind(programs->list[i].name);
        }
        programs->n = n;
        qsort(programs->list, n, sizeof(Program), compare);
        return steal(programs);
}

Programs *programs_free(Programs *programs) {
        if (programs)
                free(programs->list);
        free(programs);
        return NULL;
}

void programs_freep(Programs **location) {
        programs_free(*location);
}

ProgramKind programs_kind(const Programs *programs, const char *name) {
        const Program *found;
        Program wanted;

        normalize(name, wanted.name);
        found = bsearch(&wanted, programs->list, programs->n, sizeof(Program), compare);
        return found ? found->kind : PROGRAM_JOB;
}
