/* SPDX-License-Identifier: Apache-2.0 */

#include "daemon/metrics/terminals.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <utmpx.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* More pseudo terminals than the kernel's own default limit (kernel.pty.max) are not looked at. */
#define TERMINALS_MAX 4096U
#define LOGIN_RECORDS_MAX 4096U
#define TERMINAL_NAME_MAX 63U
/* Some file systems store any time; beyond this one, in 30,000 years, microseconds would overflow. */
#define SECONDS_MAX INT64_C(1000000000000)

typedef struct Terminal {
        int64_t accessed; /* wall clock, µs */
        unsigned look;
        bool closed; /* whoever is not its owner may not write there */
        uid_t owner;
} Terminal;

struct Terminals {
        char *root;
        DIR *pseudo;
        int devices;           /* /dev */
        GHashTable *known;     /* name below /dev → Terminal */
        GPtrArray *sessions;   /* names by logind */
        GPtrArray *logins;     /* names by utmp */
        GPtrArray *consoles;   /* names by the kernel */
        struct timespec utmp;  /* modification time of what `logins` was read from */
        unsigned look;
        uint64_t looked;       /* boot time of the latest look, 0: none */
        bool seen;
        int64_t input;
};

/* What comes from outside becomes part of a path: a plain name, with no way out of /dev. */
static bool is_terminal_name(const char *name) {
        return g_str_has_prefix(name, "tty") || g_str_has_prefix(name, "hvc") || g_str_has_prefix(name, "xvc")
                       ? strlen(name) <= TERMINAL_NAME_MAX &&
                                 name[strspn(name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS)] == '\0'
                       : false;
}

static void add_name(GPtrArray *names, const char *name) {
        if (is_terminal_name(name) && names->len < TERMINALS_MAX &&
            !g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL))
                g_ptr_array_add(names, g_strdup(name));
}

/* The kernel's consoles: "tty0 ttyS0". tty0 is whichever virtual terminal is in front; logind and utmp know those. */
static void read_consoles(Terminals *t) {
        g_autofree char *path = g_strconcat(t->root, "/sys/class/tty/console/active", NULL);
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        char text[512];

        if (!file || !fgets(text, sizeof(text), file))
                return;
        for (char *rest = text, *name; (name = strsep(&rest, " \n"));)
                add_name(t->consoles, name);
}

static void read_logins(Terminals *t) {
        g_autofree char *path = g_strconcat(t->root, "/run/utmp", NULL);
        _cleanup_(fclosep) FILE *file = NULL;
        struct utmpx record;
        struct stat st;

        if (stat(path, &st) < 0) {
                g_ptr_array_set_size(t->logins, 0);
                return;
        }
        if (st.st_mtim.tv_sec == t->utmp.tv_sec && st.st_mtim.tv_nsec == t->utmp.tv_nsec)
                return;
        t->utmp = st.st_mtim;
        g_ptr_array_set_size(t->logins, 0);
        file = S_ISREG(st.st_mode) ? fopen(path, "re") : NULL;
        if (!file)
                return;
        for (unsigned i = 0; i < LOGIN_RECORDS_MAX && fread(&record, sizeof(record), 1, file) == 1; i++) {
                char line[sizeof(record.ut_line) + 1] = "";

                /* ut_line need not be terminated. */
                memcpy(line, record.ut_line, sizeof(record.ut_line));
                if (record.ut_type == USER_PROCESS)
                        add_name(t->logins, line);
        }
}

Terminals *terminals_new(const char *root) {
        g_autofree char *devices = g_strconcat(root, "/dev", NULL);
        Terminals *t = g_new(Terminals, 1);

        *t = (Terminals) {
                .root = g_strdup(root),
                .devices = open(devices, O_PATH | O_DIRECTORY | O_CLOEXEC),
                .known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                .sessions = g_ptr_array_new_with_free_func(g_free),
                .logins = g_ptr_array_new_with_free_func(g_free),
                .consoles = g_ptr_array_new_with_free_func(g_free),
        };
        read_consoles(t);
        return t;
}

void terminals_free(Terminals *t) {
        if (!t)
                return;
        if (t->pseudo)
                closedir(t->pseudo);
        t->devices = safe_close(t->devices);
        g_hash_table_unref(t->known);
        g_ptr_array_unref(t->sessions);
        g_ptr_array_unref(t->logins);
        g_ptr_array_unref(t->consoles);
        g_free(t->root);
        g_free(t);
}

void terminals_set_sessions(Terminals *t, const char *const *names) {
        g_ptr_array_set_size(t->sessions, 0);
        for (; *names; names++)
                add_name(t->sessions, *names);
}

/* The moment of an access on the clock of boot time. It happened since the latest look, if there was one; a time that
 * lies ahead of the wall clock (set back since, or before the first look) tells no more than that. */
static int64_t moment_of(const Terminals *t, int64_t accessed, uint64_t boottime, uint64_t realtime) {
        int64_t moment = (int64_t) boottime - ((int64_t) realtime - accessed);

        return CLAMP(moment, t->looked > 0 ? (int64_t) t->looked : INT64_MIN, (int64_t) boottime);
}

static void note_access(Terminals *t, const char *name, const struct stat *st, uint64_t boottime, uint64_t realtime) {
        int64_t seconds = CLAMP((int64_t) st->st_atim.tv_sec, 0, SECONDS_MAX);
        int64_t accessed = seconds * (int64_t) USEC_PER_SEC + (int64_t) st->st_atim.tv_nsec / (int64_t) NSEC_PER_USEC;
        Terminal *terminal = g_hash_table_lookup(t->known, name);
        bool changed = !terminal || terminal->accessed != accessed;

        if (!terminal) {
                terminal = g_new0(Terminal, 1);
                g_hash_table_insert(t->known, g_strdup(name), terminal);
        }
        terminal->accessed = accessed;
        terminal->look = t->look;
        terminal->closed = !(st->st_mode & S_IWGRP);
        terminal->owner = st->st_uid;
        if (changed) {
                int64_t moment = moment_of(t, accessed, boottime, realtime);

                t->input = t->seen ? MAX(t->input, moment) : moment;
                t->seen = true;
        }
}

static void look_at_pseudo(Terminals *t, uint64_t boottime, uint64_t realtime) {
        const struct dirent *entry;
        unsigned n = 0;

        if (t->pseudo)
                rewinddir(t->pseudo);
        else {
                g_autofree char *path = g_strconcat(t->root, "/dev/pts", NULL);

                t->pseudo = opendir(path);
        }
        while (t->pseudo && n < TERMINALS_MAX && (entry = readdir(t->pseudo))) {
                char name[sizeof("pts/") + sizeof(entry->d_name)] = "pts/";
                struct stat st;

                if (!g_ascii_isdigit(entry->d_name[0]) ||
                    fstatat(dirfd(t->pseudo), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        continue;
                (void) g_strlcat(name, entry->d_name, sizeof(name));
                note_access(t, name, &st, boottime, realtime);
                n++;
        }
}

static void look_at_named(Terminals *t, const GPtrArray *names, bool owned, uint64_t boottime, uint64_t realtime) {
        for (unsigned i = 0; i < names->len; i++) {
                const char *name = names->pdata[i];
                struct stat st;

                if (fstatat(t->devices, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || (owned && st.st_uid == 0))
                        continue;
                note_access(t, name, &st, boottime, realtime);
        }
}

static gboolean has_gone(gpointer name, gpointer value, gpointer userdata) {
        const Terminal *terminal = value;
        const Terminals *t = userdata;

        return terminal->look != t->look;
}

bool terminals_look(Terminals *t, uint64_t boottime, uint64_t realtime, int64_t *ret_input) {
        t->look++;
        read_logins(t);
        look_at_pseudo(t, boottime, realtime);
        look_at_named(t, t->sessions, false, boottime, realtime);
        look_at_named(t, t->logins, false, boottime, realtime);
        look_at_named(t, t->consoles, true, boottime, realtime);
        /* A number of /dev/pts is used again: its next bearer is a new terminal. */
        g_hash_table_foreach_remove(t->known, has_gone, t);
        t->looked = boottime;
        *ret_input = t->input;
        return t->seen;
}

void terminals_tell_closed(const Terminals *t, TerminalsClosed closed, void *userdata) {
        GHashTableIter iterator;
        gpointer name, value;

        g_hash_table_iter_init(&iterator, t->known);
        while (g_hash_table_iter_next(&iterator, &name, &value)) {
                const Terminal *terminal = value;

                if (terminal->closed)
                        closed(name, terminal->owner, userdata);
        }
}
