/* SPDX-License-Identifier: Apache-2.0 */

/* Situations of real life, told as snapshots. Times are minutes since the boot of a machine that somebody logged in to
 * at 0. */

#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <glib.h>
#include <json-glib/json-glib.h>

#include "base/clock.h"
#include "rules-memory.h"
#include "session-rules.h"

#define MINUTE USEC_PER_MINUTE
#define EPOCH (UINT64_C(1700000000) * USEC_PER_SEC)
#define PTS(n) makedev(136, n)

static const char *manifest_path;

typedef struct World {
        Rules *rules;
        Programs *programs;
        Process processes[600];
        Terminal terminals[600];
        Session sessions[8];
        Snapshot snapshot;
        RulesResult result;
} World;

static const RulesConfig usual = {
        .input_idle = 15 * MINUTE, .foreground_max = 12 * 60 * MINUTE, .work_within = 10 * MINUTE, .cpu_share = 0.05
};

static World *world_new(void) {
        World *w = g_new0(World, 1);

        w->rules = rules_new();
        w->programs = programs_new(NULL);
        rules_configure(w->rules, &usual, w->programs);
        w->snapshot = (Snapshot) {
                .has_logind = true, .processes = w->processes, .terminals = w->terminals, .sessions = w->sessions
        };
        return w;
}

static void world_free(World *w) {
        rules_free(w->rules);
        programs_free(w->programs);
        g_free(w);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

/* Processes are added in the order of their pids. */
static Process *run(World *w, pid_t pid, const char *name, pid_t parent, unsigned pts, pid_t group, pid_t foreground) {
        Process *p = &w->processes[w->snapshot.n_processes++];

        *p = (Process){ .pid = pid,
                        .parent = parent,
                        .group = group,
                        .terminal = PTS(pts),
                        .foreground = foreground,
                        .state = 'S' };
        g_strlcpy(p->name, name, sizeof(p->name));
        return p;
}

/* A process without a terminal. */
static Process *serve(World *w, pid_t pid, const char *name, pid_t parent) {
        Process *p = run(w, pid, name, parent, 0, pid, -1);

        p->terminal = 0;
        return p;
}

static Terminal *open_terminal(World *w, unsigned pts, unsigned last_input) {
        Terminal *t = &w->terminals[w->snapshot.n_terminals++];

        *t = (Terminal) { .device = PTS(pts), .user = "alice", .last_input = EPOCH + last_input * MINUTE };
        g_snprintf(t->name, sizeof(t->name), "pts/%u", pts);
        return t;
}

static RulesVerdict at(World *w, double minute) {
        w->snapshot.monotonic = (uint64_t) (minute * (double) MINUTE);
        w->snapshot.realtime = EPOCH + w->snapshot.monotonic;
        rules_evaluate(w->rules, &w->snapshot, &w->result);
        return w->result.verdict;
}

static void test_nobody_is_there(void) {
        g_autoptr(World) w = world_new();

        serve(w, 1, "systemd", 0);
        g_assert_cmpint(at(w, 60), ==, RULES_IDLE);
        g_assert_cmpstr(w->result.reason, ==, "nobody is logged in");
        g_assert_cmpuint(w->result.last_activity, ==, 0);
}

static void test_a_getty_is_nobody(void) {
        g_autoptr(World) w = world_new();

        run(w, 50, "agetty", 1, 1, 50, 50);
        open_terminal(w, 1, 59);
        g_assert_cmpint(at(w, 60), ==, RULES_IDLE);
        g_assert_cmpuint(w->result.n_votes, ==, 0);
}

static void test_typing_is_work_until_it_was_long_ago(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "bash", 90, 0, 100, 100);
        open_terminal(w, 0, 10);
        g_assert_cmpint(at(w, 24), ==, RULES_BUSY);
        g_assert_cmpstr(w->result.reason, ==, "pts/0 alice: typed 14 min ago");
        g_assert_cmpuint(w->result.last_activity, ==, EPOCH + 10 * MINUTE);
        g_assert_cmpint(at(w, 25), ==, RULES_IDLE);
        g_assert_cmpuint(w->result.last_activity, ==, EPOCH + 10 * MINUTE);
}

static void test_an_input_in_the_future_is_now(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "bash", 90, 0, 100, 100);
        open_terminal(w, 0, 500);
        g_assert_cmpint(at(w, 60), ==, RULES_BUSY);
        g_assert_cmpuint(w->result.last_activity, ==, EPOCH + 60 * MINUTE);
}

/* tmux's server has no terminal; the pane's shell waits for make, and nobody looks. */
static void test_a_compile_in_a_detached_tmux_is_work(void) {
        g_autoptr(World) w = world_new();
        Process *compiler;

        serve(w, 200, "tmux: server", 1);
        run(w, 201, "bash", 200, 3, 201, 300);
        run(w, 300, "make", 201, 3, 300, 300);
        compiler = run(w, 301, "cc1", 300, 3, 300, 300);
        open_terminal(w, 3, 0);
        for (unsigned minute = 100; minute < 200; minute++) {
                compiler->cpu += MINUTE;
                g_assert_cmpint(at(w, minute), ==, RULES_BUSY);
                g_assert_cmpuint(w->result.last_activity, ==, EPOCH + minute * MINUTE);
        }
        g_assert_cmpstr(w->result.reason, ==, "pts/3 alice: make works (100 % of a CPU); nobody typed for 3 h");

        /* It ends; what is left is an idle shell, and the clock runs from the end of the work. */
        w->snapshot.n_processes = 2;
        w->processes[1].foreground = 201;
        g_assert_cmpint(at(w, 200), ==, RULES_IDLE);
        g_assert_cmpuint(w->result.last_activity, ==, EPOCH + 199 * MINUTE);
}

/* ninja gives each compiler a process group of its own. */
static void test_children_in_their_own_groups_belong_to_the_job(void) {
        g_autoptr(World) w = world_new();
        Process *compiler;

        run(w, 201, "bash", 90, 3, 201, 300);
        run(w, 300, "ninja", 201, 3, 300, 300);
        compiler = run(w, 301, "cc1", 300, 3, 301, 300);
        open_terminal(w, 3, 0);
        at(w, 13 * 60);
        compiler->cpu = MINUTE;
        g_assert_cmpint(at(w, 13 * 60 + 1), ==, RULES_BUSY);
}

static void test_forgotten_programs_are_not_work(void) {
        static const char *const programs[] = { "bash",       "vim",  "less", "htop", "tmux: client",
                                                "journalctl", "nano", "tail", "sudo" };

        for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
                g_autoptr(World) w = world_new();
                Process *p;

                run(w, 100, "bash", 90, 0, 100, 101);
                p = run(w, 101, programs[i], 100, 0, 101, 101);
                open_terminal(w, 0, 0);
                /* Their own redraws are no work either. */
                for (unsigned minute = 20; minute < 25; minute++) {
                        p->cpu += MINUTE;
                        p->characters += 10000000;
                        g_assert_cmpint(at(w, minute), ==, RULES_IDLE);
                }
        }
}

static void test_a_forgotten_watch_is_not_work_nor_what_it_runs(void) {
        g_autoptr(World) w = world_new();
        Process *child;

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "watch", 100, 0, 101, 101);
        run(w, 102, "sh", 101, 0, 101, 101)->script = true;
        child = run(w, 103, "nvidia-smi", 102, 0, 101, 101);
        open_terminal(w, 0, 0);
        for (unsigned minute = 20; minute < 25; minute++) {
                child->cpu += MINUTE;
                g_assert_cmpint(at(w, minute), ==, RULES_IDLE);
        }
}

static void test_what_an_editor_runs_counts_while_it_works(void) {
        g_autoptr(World) w = world_new();
        Process *make;

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "vim", 100, 0, 101, 101);
        make = run(w, 102, "make", 101, 0, 101, 101);
        open_terminal(w, 0, 0);
        at(w, 20);
        make->cpu = MINUTE;
        g_assert_cmpint(at(w, 21), ==, RULES_BUSY);
        g_assert_cmpint(at(w, 30.5), ==, RULES_BUSY);
        g_assert_cmpint(at(w, 31), ==, RULES_IDLE);
}

static void test_a_commit_that_waits_for_its_editor_is_not_work(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "git", 100, 0, 101, 101);
        run(w, 102, "vim", 101, 0, 101, 101);
        open_terminal(w, 0, 0);
        g_assert_cmpint(at(w, 20), ==, RULES_IDLE);
        g_assert_cmpstr(w->result.votes[0].reason, ==, "git waits for a person; nobody typed for 20 min");
}

static void test_a_quiet_job_counts_for_half_a_day(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "curl", 100, 0, 101, 101)->started = 60 * MINUTE;
        open_terminal(w, 0, 60);
        g_assert_cmpint(at(w, 100), ==, RULES_BUSY);
        g_assert_cmpstr(w->result.reason, ==,
                        "pts/0 alice: curl runs, without work for 40 min; nobody typed for 40 min");
        g_assert_cmpint(at(w, 60 + 12 * 60 - 1), ==, RULES_BUSY);
        g_assert_cmpint(at(w, 60 + 12 * 60), ==, RULES_IDLE);
}

#define BOOT "0123456789abcdef0123456789abcdef"

/* The plugin left for want of calls, and another process takes up what it knew. */
static void leave_and_come_back(World *w, const char *boot) {
        g_autofree char *text = g_malloc(MEMORY_TEXT_SIZE);
        size_t size = rules_export(w->rules, BOOT, text);

        rules_free(w->rules);
        w->rules = rules_new();
        rules_configure(w->rules, &usual, w->programs);
        g_assert_cmpint(rules_import(w->rules, boot, w->snapshot.monotonic, text, size), ==, 0);
}

static void test_rare_checks_forget_no_job(void) {
        g_autoptr(World) w = world_new();
        Process *job;

        run(w, 100, "bash", 90, 0, 100, 101);
        job = run(w, 101, "worker", 100, 0, 101, 101);
        job->cpu = 100 * USEC_PER_SEC;
        open_terminal(w, 0, 0);
        for (unsigned hour = 1; hour < 13; hour++) {
                g_assert_cmpint(at(w, 60 * hour), ==, RULES_BUSY);
                g_assert_cmpuint(w->result.last_activity, ==, EPOCH + 60 * hour * MINUTE);
                leave_and_come_back(w, BOOT);
        }
        /* Seen first after an hour; since then it did nothing. */
        g_assert_cmpint(at(w, 60 * 13), ==, RULES_IDLE);
        g_assert_cmpstr(w->result.votes[0].reason, ==, "worker runs, without work for 12 h; nobody typed for 13 h");
        g_assert_cmpuint(w->result.last_activity, ==, EPOCH + 60 * 12 * MINUTE);
        leave_and_come_back(w, BOOT);
        job->cpu += 10 * MINUTE;
        g_assert_cmpint(at(w, 60 * 14), ==, RULES_BUSY);
}

static void test_what_was_seen_is_of_its_boot(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "worker", 100, 0, 101, 101)->cpu = 100 * USEC_PER_SEC;
        open_terminal(w, 0, 0);
        at(w, 60);
        at(w, 75);
        g_assert_nonnull(strstr(w->result.votes[0].reason, "without work for 15 min"));
        leave_and_come_back(w, "00000000000000000000000000000000");
        at(w, 76);
        g_assert_nonnull(strstr(w->result.votes[0].reason, "worker works"));
}

static void test_what_is_no_memory_is_refused(void) {
        static const char *const bad[] = {
                "", "sessions", "sessions " BOOT, "sessions " BOOT " ", "sessions " BOOT " 1",
                "sessions " BOOT " -1\n",
                "sessions " BOOT " 18446744073709551616\n", "sessions " BOOT " 01\n", "Sessions " BOOT " 1\n",
                "sessions 0123456789ABCDEF0123456789ABCDEF 1\n", "sessions " BOOT " 1\n\n",
                "sessions " BOOT "0", "sessions " BOOT BOOT, /* a boot that does not end */
                "sessions " BOOT " 1\n34816 101 10 10 10 1 1 0 0 0 0 0",     /* cut off */
                "sessions " BOOT " 1\n34816 101 10 10 10 1 1 0 0 0 0\n",     /* a field is missing */
                "sessions " BOOT " 1\n34816 101 10 10 10 1 1 0 0 0 0 0 0\n", /* one too many */
                "sessions " BOOT " 1\n34816 101 10 10 10 2 1 0 0 0 0 0\n",   /* neither yes nor no */
                "sessions " BOOT " 1\n34816 101 11 10 12 1 1 0 0 0 0 0\n",   /* worked after it was seen */
                "sessions " BOOT " 1\n34816 101 10 11 10 1 1 0 0 0 0 0\n",   /* measured after it was seen */
                "sessions " BOOT " 1\n34816 101 99 10 10 1 1 0 0 0 0 0\n",   /* in the future */
                "sessions " BOOT " 1\n34816 2147483648 10 10 10 1 1 0 0 0 0 0\n",
                "sessions " BOOT " 1\n34816 -1 10 10 10 1 1 0 0 0 0 0\n",
                "sessions " BOOT " 1\n34816 101 10 10 10 1 1 0 0 0 0 99999999999999999\n",
                "sessions " BOOT " 1\n34816\t101 10 10 10 1 1 0 0 0 0 0\n",
        };
        const char *good = "sessions " BOOT " 1\n34816 101 10 10 10 1 1 0 0 0 0 0\n";
        g_autofree char *before = g_malloc(MEMORY_TEXT_SIZE), *after = g_malloc(MEMORY_TEXT_SIZE);
        g_autoptr(GString) many = g_string_new("sessions " BOOT " 1\n");
        Rules *rules = rules_new();
        size_t size;

        g_assert_cmpint(rules_import(rules, BOOT, 50, good, strlen(good)), ==, 0);
        size = rules_export(rules, BOOT, before);
        g_assert_cmpmem(before, size, good, strlen(good));
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                /* Without the byte behind it, which may be anything. */
                g_autofree char *text = g_memdup2(bad[i], MAX(strlen(bad[i]), 1));

                g_assert_cmpint(rules_import(rules, BOOT, 50, text, strlen(bad[i])), ==, -EBADMSG);
                g_assert_cmpuint(rules_export(rules, BOOT, after), ==, size);
                g_assert_cmpmem(before, size, after, size);
        }
        for (unsigned i = 0; i < RULES_HISTORY_MAX; i++)
                g_string_append_printf(many, "34816 %u 10 10 10 1 1 0 0 0 0 0\n", i + 1);
        g_assert_cmpint(rules_import(rules, BOOT, 50, many->str, many->len), ==, 0);
        g_string_append(many, "34816 9999 10 10 10 1 1 0 0 0 0 0\n");
        g_assert_cmpint(rules_import(rules, BOOT, 50, many->str, many->len), ==, -EBADMSG);
        rules_free(rules);
}

static void test_less_than_five_percent_is_quiet(void) {
        g_autoptr(World) w = world_new();
        Process *job;

        run(w, 100, "bash", 90, 0, 100, 101);
        job = run(w, 101, "agent", 100, 0, 101, 101);
        open_terminal(w, 0, 0);
        for (unsigned minute = 1; minute < 12 * 60; minute++) {
                job->cpu += (uint64_t) (0.049 * MINUTE);
                g_assert_cmpint(at(w, minute), ==, RULES_BUSY);
        }
        job->cpu += (uint64_t) (0.049 * MINUTE);
        /* Seen first at minute 1, with 3 s of CPU used by then: from there the half day counts. */
        g_assert_cmpint(at(w, 12 * 60 + 1), ==, RULES_IDLE);
        job->cpu += (uint64_t) (0.05 * MINUTE);
        g_assert_cmpint(at(w, 12 * 60 + 2), ==, RULES_BUSY);
}

static void test_io_is_work(void) {
        for (unsigned kind = 0; kind < 4; kind++) {
                g_autoptr(World) w = world_new();
                Process *job;

                run(w, 100, "bash", 90, 0, 100, 101);
                job = run(w, 101, "rsync", 100, 0, 101, 101);
                open_terminal(w, 0, 0);
                g_assert_cmpint(at(w, 13 * 60), ==, RULES_IDLE);
                job->storage += kind == 0 ? 4096 : 0;
                job->characters += kind == 1 ? 65536 : 100;
                job->faults += kind == 2;
                job->state = kind == 3 ? 'D' : 'S';
                g_assert_cmpint(at(w, 13 * 60 + 1), ==, RULES_BUSY);
        }
}

/* Another user's job: its bytes cannot be seen. Each is looked at once a minute, from after its half day on. */
static RulesVerdict of_another_user(const char *name, double cpu_share, double switches_per_second) {
        g_autoptr(World) w = world_new();
        Process *job;

        run(w, 100, "bash", 90, 0, 100, 101);
        job = run(w, 101, name, 100, 0, 101, 101);
        open_terminal(w, 0, 0);
        g_assert_cmpint(at(w, 13 * 60), ==, RULES_IDLE);
        job->cpu += (uint64_t) (cpu_share * (double) MINUTE);
        job->switches += (uint64_t) (switches_per_second * 60);
        return at(w, 13 * 60 + 1);
}

static void test_what_moves_data_works(void) {
        g_assert_cmpint(of_another_user("scp", 0.02, 150), ==, RULES_BUSY);
        g_assert_cmpint(of_another_user("rsync", 0.01, 25), ==, RULES_BUSY);
}

static void test_what_waits_does_not(void) {
        g_assert_cmpint(of_another_user("sleep", 0, 0), ==, RULES_IDLE);
        g_assert_cmpint(of_another_user("while-sleep-1", 0.004, 3), ==, RULES_IDLE);
        /* A poll of a hundred times a second, and a program that wakes seldom and thinks a little. */
        g_assert_cmpint(of_another_user("poll", 0.005, 100), ==, RULES_IDLE);
        g_assert_cmpint(of_another_user("agent", 0.04, 5), ==, RULES_IDLE);
}

static void test_a_background_job_is_not_the_foreground(void) {
        g_autoptr(World) w = world_new();
        Process *job;

        run(w, 100, "bash", 90, 0, 100, 100);
        job = run(w, 101, "make", 100, 0, 101, 100);
        open_terminal(w, 0, 0);
        at(w, 20);
        job->cpu = MINUTE;
        g_assert_cmpint(at(w, 21), ==, RULES_IDLE);
}

static void test_a_script_is_a_job_whoever_interprets_it(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "bash", 100, 0, 101, 101)->script = true;
        run(w, 102, "sleep", 101, 0, 101, 101);
        open_terminal(w, 0, 0);
        g_assert_cmpint(at(w, 60), ==, RULES_BUSY);
}

static void test_sudo_make_is_make(void) {
        g_autoptr(World) w = world_new();
        Process *make;

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "sudo", 100, 0, 101, 101);
        make = run(w, 102, "make", 101, 1, 102, 102);
        open_terminal(w, 0, 0);
        open_terminal(w, 1, 0);
        at(w, 20);
        make->cpu = MINUTE;
        g_assert_cmpint(at(w, 21), ==, RULES_BUSY);
        g_assert_true(g_str_has_prefix(w->result.reason, "pts/1 alice: make works"));
}

/* su may give what -c runs a session of its own, without the terminal. */
static void test_what_su_runs_is_a_job(void) {
        g_autoptr(World) w = world_new();
        Process *make;

        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "su", 100, 0, 101, 101);
        serve(w, 102, "bash", 101)->script = true;
        make = serve(w, 103, "make", 102);
        open_terminal(w, 0, 0);
        at(w, 13 * 60);
        make->cpu = MINUTE;
        g_assert_cmpint(at(w, 13 * 60 + 1), ==, RULES_BUSY);
        g_assert_true(g_str_has_prefix(w->result.reason, "pts/0 alice: "));
}

static void test_the_shell_of_su_is_no_job(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "bash", 90, 0, 100, 102);
        run(w, 101, "su", 100, 0, 101, 102);
        run(w, 102, "bash", 101, 0, 102, 102);
        serve(w, 103, "ssh-agent", 102)->cpu = MINUTE;
        open_terminal(w, 0, 0);
        g_assert_cmpint(at(w, 60), ==, RULES_IDLE);
}

static void test_a_number_that_another_job_got_is_another_job(void) {
        g_autoptr(World) w = world_new();
        Process *job;

        run(w, 100, "bash", 90, 0, 100, 101);
        job = run(w, 101, "first", 100, 0, 101, 101);
        open_terminal(w, 0, 0);
        g_assert_cmpint(at(w, 13 * 60), ==, RULES_IDLE);
        job->started = (13 * 60 + 30) * MINUTE;
        g_assert_cmpint(at(w, 13 * 60 + 31), ==, RULES_BUSY);
}

static void test_a_look_right_after_a_check_forgets_nothing(void) {
        g_autoptr(World) w = world_new();
        Process *job;

        run(w, 100, "bash", 90, 0, 100, 101);
        job = run(w, 101, "make", 100, 0, 101, 101);
        open_terminal(w, 0, 0);
        at(w, 13 * 60);
        /* 2 % of each second: no work, however often it is looked at. */
        for (unsigned second = 1; second < 120; second++) {
                job->cpu += USEC_PER_SEC / 50;
                g_assert_cmpint(at(w, 13 * 60 + second / 60.0), ==, RULES_IDLE);
        }
}

static void test_an_ssh_command_without_terminal_is_a_job(void) {
        g_autoptr(World) w = world_new();
        Process *tar;

        serve(w, 300, "sshd", 1);
        serve(w, 301, "sshd", 300);
        serve(w, 302, "bash", 301)->script = true;
        tar = serve(w, 303, "tar", 302);
        w->sessions[0] = (Session) { .id = "7", .user = "alice", .leader = 300 };
        w->snapshot.n_sessions = 1;
        at(w, 13 * 60);
        tar->cpu = MINUTE;
        g_assert_cmpint(at(w, 13 * 60 + 1), ==, RULES_BUSY);
        g_assert_true(g_str_has_prefix(w->result.reason, "session 7 alice: tar works") ||
                      g_str_has_prefix(w->result.reason, "session 7 alice: bash works"));
        w->snapshot.n_processes = 2;
        g_assert_cmpint(at(w, 13 * 60 + 2), ==, RULES_IDLE);
        g_assert_cmpstr(w->result.votes[0].reason, ==, "it runs nothing");
}

/* `ssh host make` over the connection of an earlier `ssh host` is of the same session, which has a terminal. */
static void test_a_command_beside_the_terminal_of_its_session_is_a_job(void) {
        g_autoptr(World) w = world_new();
        Process *make;

        serve(w, 300, "sshd", 1);
        serve(w, 301, "sshd", 300);
        run(w, 302, "bash", 301, 0, 302, 302);
        serve(w, 303, "agent", 302)->cpu = MINUTE;
        w->sessions[0] = (Session) { .id = "7", .user = "alice", .leader = 300, .has_terminal = true };
        w->snapshot.n_sessions = 1;
        open_terminal(w, 0, 0);
        g_assert_cmpint(at(w, 13 * 60), ==, RULES_IDLE);
        g_assert_cmpuint(w->result.n_votes, ==, 1);
        make = serve(w, 304, "make", 301);
        at(w, 13 * 60 + 1);
        make->cpu = MINUTE;
        g_assert_cmpint(at(w, 13 * 60 + 2), ==, RULES_BUSY);
        g_assert_true(g_str_has_prefix(w->result.reason, "session 7 alice: make works"));
}

static void test_desktops_say_themselves(void) {
        g_autoptr(World) w = world_new();
        Session *s = w->sessions;

        w->snapshot.n_sessions = 1;
        *s = (Session) { .id = "2", .user = "bob", .graphical = true, .idle_known = true };
        g_assert_cmpint(at(w, 60), ==, RULES_BUSY);
        s->idle = true;
        s->idle_since = EPOCH + 61 * MINUTE;
        g_assert_cmpint(at(w, 70), ==, RULES_IDLE);
        g_assert_cmpuint(w->result.last_activity, ==, EPOCH + 61 * MINUTE);
        s->idle_known = false;
        g_assert_cmpint(at(w, 71), ==, RULES_UNKNOWN);
}

static void test_hidden_processes_make_it_unknown(void) {
        g_autoptr(World) w = world_new();

        w->snapshot.hidden = true;
        g_assert_cmpint(at(w, 60), ==, RULES_UNKNOWN);
        g_assert_nonnull(strstr(w->result.reason, "processes"));
}

static void test_what_does_not_fit_makes_it_unknown(void) {
        g_autoptr(World) w = world_new();

        w->snapshot.incomplete = true;
        g_assert_cmpint(at(w, 60), ==, RULES_UNKNOWN);
        w->snapshot.incomplete = false;
        for (unsigned i = 0; i <= RULES_HISTORY_MAX; i++) {
                run(w, (pid_t) (1000 + i), "forgotten", 90, i, (pid_t) (1000 + i), (pid_t) (1000 + i));
                open_terminal(w, i, 0);
        }
        g_assert_cmpint(at(w, 13 * 60), ==, RULES_UNKNOWN);
        g_assert_nonnull(strstr(w->result.reason, "more"));
}

/* More terminals and jobs than are shown: bounded, and no work overlooked. */
static void test_hundreds_of_terminals(void) {
        g_autoptr(World) w = world_new();
        Process *last = NULL;

        for (unsigned i = 0; i < 300; i++) {
                run(w, (pid_t) (1000 + 2 * i), "bash", 90, i, (pid_t) (1000 + 2 * i),
                    i == 299 ? 1599 : (pid_t) (1000 + 2 * i));
                if (i == 299)
                        last = run(w, 1599, "make", 1598, i, 1599, 1599);
                open_terminal(w, i, 0);
        }
        at(w, 13 * 60);
        last->cpu = MINUTE;
        g_assert_cmpint(at(w, 13 * 60 + 1), ==, RULES_BUSY);
        g_assert_cmpuint(w->result.n_votes, ==, RULES_VOTES_MAX);
        g_assert_true(g_str_has_prefix(w->result.reason, "pts/299"));
        g_assert_cmpint(w->result.votes[0].verdict, ==, RULES_BUSY);
}

static void test_a_circle_of_parents_ends(void) {
        g_autoptr(World) w = world_new();

        run(w, 100, "a", 101, 0, 100, 100);
        run(w, 101, "b", 100, 0, 100, 100);
        open_terminal(w, 0, 0);
        at(w, 1);
}

static void test_idle_programs_are_configurable(void) {
        g_autoptr(World) w = world_new();
        Programs *own = programs_new((const char *const[]) { "bash", "my-very-long-dashboard", NULL });
        const RulesConfig config = {
                .input_idle = MINUTE, .foreground_max = 60 * MINUTE, .work_within = MINUTE, .cpu_share = 0.05
        };

        rules_configure(w->rules, &config, own);
        run(w, 100, "bash", 90, 0, 100, 101);
        run(w, 101, "my-very-long-da", 100, 0, 101, 101);
        open_terminal(w, 0, 0);
        g_assert_cmpint(at(w, 20), ==, RULES_IDLE);
        strcpy(w->processes[1].name, "vim");
        g_assert_cmpint(at(w, 21), ==, RULES_BUSY);
        programs_free(own);
}

static void test_the_manifest_lists_what_is_known(void) {
        g_autoptr(JsonParser) parser = json_parser_new();
        JsonArray *listed;
        const char *const *known = programs_known();

        g_assert_true(json_parser_load_from_file(parser, manifest_path, NULL));
        listed = json_object_get_array_member(
                json_object_get_object_member(
                        json_object_get_object_member(json_node_get_object(json_parser_get_root(parser)),
                                                      "config_schema"),
                        "idle_programs"),
                "default");
        g_assert_cmpuint(json_array_get_length(listed), ==, g_strv_length((char **) known));
        for (guint i = 0; known[i]; i++)
                g_assert_cmpstr(json_array_get_string_element(listed, i), ==, known[i]);
}

int main(int argc, char *argv[]) {
        g_test_init(&argc, &argv, NULL);
        manifest_path = argv[1];
#define ADD(name) g_test_add_func("/sessions/rules/" #name, test_##name)
        ADD(nobody_is_there);
        ADD(a_getty_is_nobody);
        ADD(typing_is_work_until_it_was_long_ago);
        ADD(an_input_in_the_future_is_now);
        ADD(a_compile_in_a_detached_tmux_is_work);
        ADD(children_in_their_own_groups_belong_to_the_job);
        ADD(forgotten_programs_are_not_work);
        ADD(a_forgotten_watch_is_not_work_nor_what_it_runs);
        ADD(what_an_editor_runs_counts_while_it_works);
        ADD(a_commit_that_waits_for_its_editor_is_not_work);
        ADD(a_quiet_job_counts_for_half_a_day);
        ADD(rare_checks_forget_no_job);
        ADD(what_was_seen_is_of_its_boot);
        ADD(what_is_no_memory_is_refused);
        ADD(less_than_five_percent_is_quiet);
        ADD(io_is_work);
        ADD(what_moves_data_works);
        ADD(what_waits_does_not);
        ADD(a_background_job_is_not_the_foreground);
        ADD(a_script_is_a_job_whoever_interprets_it);
        ADD(sudo_make_is_make);
        ADD(what_su_runs_is_a_job);
        ADD(the_shell_of_su_is_no_job);
        ADD(a_number_that_another_job_got_is_another_job);
        ADD(a_look_right_after_a_check_forgets_nothing);
        ADD(an_ssh_command_without_terminal_is_a_job);
        ADD(a_command_beside_the_terminal_of_its_session_is_a_job);
        ADD(desktops_say_themselves);
        ADD(hidden_processes_make_it_unknown);
        ADD(what_does_not_fit_makes_it_unknown);
        ADD(hundreds_of_terminals);
        ADD(a_circle_of_parents_ends);
        ADD(idle_programs_are_configurable);
        ADD(the_manifest_lists_what_is_known);
        return g_test_run();
}
