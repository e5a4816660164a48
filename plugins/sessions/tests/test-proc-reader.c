/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "proc-reader.h"

#define NOBODY 65534

static void test_a_line_of_the_kernel(void) {
        const char *line =
                "4242 (tmux: server) S 1 4242 4200 34819 4300 4194560 1500 0 7 0 150 50 25 25 20 0 1 0 1000 1 2 "
                "18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 3 0 0 0 0 0 0 0 0 0 0";
        ProcessStat stat;
        Process p;

        g_assert_cmpint(process_stat_parse(line, 100, &stat), ==, 0);
        p = proc_process(&stat, 4 * USEC_PER_SEC);
        g_assert_cmpint(p.pid, ==, 4242);
        g_assert_cmpstr(p.name, ==, "tmux: server");
        g_assert_cmpint(p.parent, ==, 1);
        g_assert_cmpint(p.group, ==, 4242);
        g_assert_cmpuint(p.terminal, ==, makedev(136, 3));
        g_assert_cmpint(p.foreground, ==, 4300);
        g_assert_cmpuint(p.cpu, ==, 2500000);
        g_assert_cmpuint(p.started, ==, 6 * USEC_PER_SEC);
        g_assert_cmpuint(p.faults, ==, 10);
}

static void test_terminals_have_names(void) {
        char name[64];

        g_assert_true(terminal_name(makedev(136, 3), name, sizeof(name)));
        g_assert_cmpstr(name, ==, "pts/3");
        g_assert_true(terminal_name(makedev(137, 1), name, sizeof(name)));
        g_assert_cmpstr(name, ==, "pts/257");
        g_assert_true(terminal_name(makedev(4, 2), name, sizeof(name)));
        g_assert_cmpstr(name, ==, "tty2");
        g_assert_true(terminal_name(makedev(4, 64), name, sizeof(name)));
        g_assert_cmpstr(name, ==, "ttyS0");
        g_assert_false(terminal_name(makedev(1, 3), name, sizeof(name)));
}

#define SCRIPT(text) cmdline_is_script(text, sizeof(text))

static void test_shells_that_run_scripts(void) {
        g_assert_false(SCRIPT("bash"));
        g_assert_false(SCRIPT("-bash"));
        g_assert_false(SCRIPT("/bin/bash\0-l\0-i"));
        g_assert_false(SCRIPT("bash\0--rcfile\0/etc/own\0-i"));
        g_assert_false(SCRIPT("bash\0--norc"));
        g_assert_false(SCRIPT("fish\0--init-command\0source /usr/share/own.fish"));
        g_assert_true(SCRIPT("bash\0build.sh"));
        g_assert_true(SCRIPT("sh\0-c\0sleep 5"));
        g_assert_true(SCRIPT("bash\0-lc\0make"));
        g_assert_true(SCRIPT("bash\0-e\0./run\0--all"));
        g_assert_false(cmdline_is_script("", 0));
        g_assert_false(cmdline_is_script("bash", 4)); /* cut without an end */
}

/* A shell's job on a real terminal. The child says by a byte when it is where the test wants it; the terminal carries
 * it. */
static pid_t start_on_terminal(int *ret_fd, const char *command) {
        char byte;
        pid_t child;
        int fd;

        child = forkpty(&fd, NULL, NULL, NULL);
        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
                execl("/bin/bash", "bash", "--norc", "--noprofile", "-c", command, NULL);
                _exit(127);
        }
        g_assert_cmpint(read(fd, &byte, 1), ==, 1);
        *ret_fd = fd;
        return child;
}

static void stop(pid_t child, int fd) {
        kill(-child, SIGKILL);
        kill(child, SIGKILL);
        close(fd);
        g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
}

static const Terminal *find_terminal(const Snapshot *snapshot, dev_t device) {
        for (size_t i = 0; i < snapshot->n_terminals; i++)
                if (snapshot->terminals[i].device == device)
                        return &snapshot->terminals[i];
        return NULL;
}

static void test_a_real_terminal(void) {
        Programs *programs = programs_new(NULL);
        Snapshot snapshot;
        const Process *p;
        const Terminal *t;
        pid_t child;
        int fd;

        child = start_on_terminal(&fd, "echo x; read -r line; exit");
        g_assert_cmpint(proc_read("", programs, &snapshot), ==, 0);
        p = snapshot_process(&snapshot, child);
        g_assert_nonnull(p);
        g_assert_cmpstr(p->name, ==, "bash");
        g_assert_true(p->script);
        g_assert_cmpint(p->group, ==, child);
        g_assert_cmpint(p->foreground, ==, child);
        g_assert_cmpint(p->parent, ==, getpid());
        g_assert_cmpuint(major(p->terminal), ==, 136);
        g_assert_cmpuint(p->started, <=, snapshot.monotonic);
        t = find_terminal(&snapshot, p->terminal);
        g_assert_nonnull(t);
        g_assert_true(g_str_has_prefix(t->name, "pts/"));
        g_assert_false(snapshot.hidden);

        snapshot_clear(&snapshot);
        stop(child, fd);
        programs_free(programs);
}

/* What works is seen to work: the second reading has more CPU time than the first. */
static void test_work_of_a_real_process(void) {
        Programs *programs = programs_new((const char *const[]) { NULL });
        Snapshot snapshot;
        uint64_t cpu;
        pid_t child;
        int fd;

        child = start_on_terminal(&fd, "echo x; while :; do :; done");
        g_assert_cmpint(proc_read("", programs, &snapshot), ==, 0);
        cpu = snapshot_process(&snapshot, child)->cpu;
        /* The kernel counts in ticks of 10 ms: read until one has passed, at most as long as the test's time-out. */
        for (;;) {
                const Process *p;

                snapshot_clear(&snapshot);
                g_assert_cmpint(proc_read("", programs, &snapshot), ==, 0);
                p = snapshot_process(&snapshot, child);
                g_assert_nonnull(p);
                if (p->cpu > cpu)
                        break;
        }
        snapshot_clear(&snapshot);
        stop(child, fd);
        programs_free(programs);
}

/* What comes by pieces makes its reader wait for each; the test hands the next one out only when it waits again. */
static uint64_t switches_of_a_copy(unsigned pieces, char *piece, size_t size) {
        g_autofree char *path = NULL;
        _cleanup_close_ int folder = -1;
        int there[2], back[2];
        uint64_t before;
        pid_t child;
        char byte;

        g_assert_cmpint(pipe(there), ==, 0);
        g_assert_cmpint(pipe(back), ==, 0);
        child = fork();
        g_assert_cmpint(child, >=, 0);
        if (child == 0) {
                close(there[1]);
                while (read(there[0], piece, size) == (ssize_t) size)
                        if (write(back[1], "x", 1) != 1)
                                _exit(1);
                _exit(0);
        }
        close(there[0]);
        path = g_strdup_printf("/proc/%d", (int) child);
        folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        g_assert_cmpint(folder, >=, 0);
        before = proc_switches(folder);
        for (unsigned i = 0; i < pieces; i++) {
                g_autofree char *state = NULL;

                /* It sleeps on the empty pipe before it is given more. */
                do {
                        g_autofree char *file = g_build_filename(path, "stat", NULL);

                        g_clear_pointer(&state, g_free);
                        g_assert_true(g_file_get_contents(file, &state, NULL, NULL));
                } while (!strstr(state, ") S "));
                g_assert_cmpint(write(there[1], piece, size), ==, (ssize_t) size);
                g_assert_cmpint(read(back[0], &byte, 1), ==, 1);
        }
        before = proc_switches(folder) - before;
        close(there[1]);
        g_assert_cmpint(waitpid(child, NULL, 0), ==, child);
        close(back[0]);
        close(back[1]);
        return before;
}

static void test_a_copy_waits_often_and_a_sleeper_does_not(void) {
        _cleanup_close_ int folder = -1;
        g_autofree char *path = NULL;
        char piece[4096] = "";
        uint64_t before;
        pid_t child;
        int fd;

        g_assert_cmpuint(switches_of_a_copy(100, piece, sizeof(piece)), >=, 99);

        child = start_on_terminal(&fd, "echo x; exec sleep 1000");
        path = g_strdup_printf("/proc/%d", (int) child);
        folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        before = proc_switches(folder);
        (void) switches_of_a_copy(100, piece, sizeof(piece)); /* as long as that took */
        g_assert_cmpuint(proc_switches(folder) - before, <, 50);
        stop(child, fd);
        g_assert_cmpuint(proc_switches(folder), ==, 0);
}

/* As the plugin sees the processes of people: another user's, whose bytes are closed to it. */
static void test_processes_of_another_user(void) {
        Programs *programs = programs_new(NULL);
        Snapshot snapshot;
        const Process *p;
        pid_t child;
        int fd;

        child = start_on_terminal(&fd, "echo x; sleep 0.01; exec sleep 1000");
        g_assert_cmpint(seteuid(NOBODY), ==, 0);
        do {
                g_assert_cmpint(proc_read("", programs, &snapshot), ==, 0);
                p = snapshot_process(&snapshot, child);
                g_assert_nonnull(p);
                if (p->switches > 0)
                        break;
                snapshot_clear(&snapshot);
        } while (true);
        g_assert_cmpuint(p->characters, ==, 0);
        g_assert_cmpint(seteuid(0), ==, 0);
        snapshot_clear(&snapshot);
        stop(child, fd);
        programs_free(programs);
}

static void test_no_proc_is_an_error(void) {
        Programs *programs = programs_new(NULL);
        Snapshot snapshot;

        g_assert_cmpint(proc_read("/nonexistent", programs, &snapshot), ==, -ENOENT);
        programs_free(programs);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/sessions/proc/a-line-of-the-kernel", test_a_line_of_the_kernel);
        g_test_add_func("/sessions/proc/terminals-have-names", test_terminals_have_names);
        g_test_add_func("/sessions/proc/shells-that-run-scripts", test_shells_that_run_scripts);
        g_test_add_func("/sessions/proc/a-real-terminal", test_a_real_terminal);
        g_test_add_func("/sessions/proc/work-of-a-real-process", test_work_of_a_real_process);
        g_test_add_func("/sessions/proc/a-copy-waits-often-and-a-sleeper-does-not",
                        test_a_copy_waits_often_and_a_sleeper_does_not);
        /* Only root can be somebody else. */
        if (geteuid() == 0)
                g_test_add_func("/sessions/proc/processes-of-another-user", test_processes_of_another_user);
        g_test_add_func("/sessions/proc/no-proc-is-an-error", test_no_proc_is_an_error);
        return g_test_run();
}
