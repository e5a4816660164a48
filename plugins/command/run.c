/* SPDX-License-Identifier: Apache-2.0 */

#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define KILL_AFTER USEC_PER_SEC /* SIGTERM's grace */

struct Runner {
        sd_event *event;
        GPtrArray *runs; /* alive; owns */
        void (*slot_free)(void *userdata);
        void *userdata;
        sd_event_source *slot_source, *signal_source;
};

struct Run {
        Runner *runner;
        char *name;
        pid_t pid;       /* and its process group; 0: it was never started */
        int failure;     /* the errno of that */
        int output;
        sd_event_source *child_source, *output_source, *timer;
        uint64_t started;
        RunDone done;    /* NULL: was told, or nobody wants to know */
        void *userdata;
        gboolean ending; /* got SIGTERM */
        gsize written;
        GString *line, *last;
};

static void run_free(void *data) {
        Run *run = data;

        run->child_source = sd_event_source_disable_unref(run->child_source);
        run->output_source = sd_event_source_disable_unref(run->output_source);
        run->timer = sd_event_source_disable_unref(run->timer);
        safe_close(run->output);
        g_string_free(run->line, TRUE);
        g_string_free(run->last, TRUE);
        g_free(run->name);
        g_free(run);
}

static void tell(Run *run, RunEnd end, int number) {
        RunDone done = run->done;
        RunOutcome outcome = {
                .end = end,
                .number = number,
                .duration = usec_sub(clock_monotonic(), run->started),
                .line = run->line->len > 0 ? run->line->str : run->last->str,
        };

        run->done = NULL;
        if (done)
                done(&outcome, run->userdata);
}

static void signal_group(const Run *run, int number) {
        /* Not reaped yet, so the number is still its own. */
        if (run->pid > 0)
                (void) kill(-run->pid, number);
}

static void line_end(Run *run) {
        if (run->line->len == 0)
                return;
        g_string_assign(run->last, run->line->str);
        g_string_truncate(run->line, 0);
}

static void take_output(Run *run, const char *data, gsize n) {
        run->written += n;
        while (n > 0) {
                const char *end = memchr(data, '\n', n);
                gsize length = end ? (gsize) (end - data) : n;
                gsize room = RUN_LINE_MAX - MIN(run->line->len, RUN_LINE_MAX);

                for (gsize i = 0; i < MIN(length, room); i++) /* a NUL would end the text */
                        g_string_append_c(run->line, data[i] ? data[i] : ' ');
                if (end)
                        line_end(run);
                data += length + (end ? 1 : 0);
                n -= length + (end ? 1 : 0);
        }
}

/* FALSE at the end. A block at a time: a flood must not keep the loop. */
static gboolean read_block(Run *run) {
        char buffer[16384];
        ssize_t n = read(run->output, buffer, sizeof(buffer));

        if (n <= 0)
                return n < 0 && (errno == EAGAIN || errno == EINTR);
        take_output(run, buffer, (gsize) n);
        return TRUE;
}

/* What it wrote before it ended is in the pipe; what its descendants add is not awaited. */
static void drain(Run *run) {
        gsize before;

        if (run->output < 0)
                return;
        do
                before = run->written;
        while (run->written <= RUN_OUTPUT_MAX && read_block(run) && run->written > before);
}

static void stop_listening(Run *run) {
        run->output_source = sd_event_source_disable_unref(run->output_source);
        run->output = safe_close(run->output);
}

static void end_group(Run *run) {
        run->ending = TRUE;
        signal_group(run, SIGTERM);
        if (run->timer && sd_event_source_set_time(run->timer, clock_monotonic() + KILL_AFTER) >= 0 &&
            sd_event_source_set_enabled(run->timer, SD_EVENT_ONESHOT) >= 0)
                return;
        signal_group(run, SIGKILL);
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Run *run = userdata;

        if (!read_block(run))
                stop_listening(run);
        else if (run->written > RUN_OUTPUT_MAX) {
                stop_listening(run);
                signal_group(run, SIGKILL);
                tell(run, RUN_FLOODED, 0);
        }
        return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Run *run = userdata;

        if (run->pid == 0) {
                Runner *runner = run->runner;

                tell(run, RUN_FAILED, run->failure);
                (void) g_ptr_array_remove_fast(runner->runs, run);
                (void) sd_event_source_set_enabled(runner->slot_source, SD_EVENT_ONESHOT);
                return 0;
        }
        if (run->ending) {
                signal_group(run, SIGKILL);
                return 0;
        }
        stop_listening(run);
        end_group(run);
        tell(run, RUN_TIMED_OUT, 0);
        return 0;
}

static gboolean has_group(const Runner *runner, pid_t group) {
        for (guint i = 0; i < runner->runs->len; i++)
                if (((const Run *) g_ptr_array_index(runner->runs, i))->pid == group)
                        return TRUE;
        return FALSE;
}

/* Children that are in no living run's group left theirs, or outlived it, and their parent is gone: the living are ended,
 * and the dead, who are nobody's else, taken leave of. */
static void sweep(const Runner *runner) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%d/children", (int) gettid());
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        int child;

        while (file && fscanf(file, "%d", &child) == 1) {
                if (has_group(runner, child) || has_group(runner, getpgid(child)))
                        continue;
                (void) kill(child, SIGKILL);
                (void) waitid(P_PID, (id_t) child, NULL, WEXITED | WNOHANG);
        }
}

static int on_sigchld(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        sweep(userdata);
        return 0;
}

static int on_child(sd_event_source *source, const siginfo_t *info, void *userdata) {
        Run *run = userdata;
        Runner *runner = run->runner;

        drain(run);
        /* Still a zombie, whose group others may be in. */
        signal_group(run, SIGKILL);
        if (run->written > RUN_OUTPUT_MAX)
                tell(run, RUN_FLOODED, 0);
        else
                tell(run, info->si_code == CLD_EXITED ? RUN_EXITED : RUN_KILLED, info->si_status);
        /* sd-event reaps it after this handler, whether its source lives or not. */
        (void) g_ptr_array_remove_fast(runner->runs, run);
        (void) sd_event_source_set_enabled(runner->slot_source, SD_EVENT_ONESHOT);
        return 0;
}

static int spawn(const char *name, char **arguments, int output, pid_t *ret) {
        g_autofree char *check = g_strconcat("SNOOZE_CHECK=", name, NULL);
        char *const environment[] = { (char *) "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                                      (char *) "HOME=/", (char *) "LC_ALL=C.UTF-8", check, NULL };
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        int r;

        sigemptyset(&none);
        sigfillset(&all);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }
        r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_addchdir_np(&actions, "/");
        if (r == 0)
                r = posix_spawnattr_setpgroup(&attributes, 0);
        if (r == 0)
                r = posix_spawnattr_setsigmask(&attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(&attributes, &all);
        if (r == 0)
                r = posix_spawnattr_setflags(&attributes,
                                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        if (r == 0)
                r = posix_spawn(ret, arguments[0], &actions, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int begin(Run *run, char **arguments) {
        sd_event *event = run->runner->event;
        int ends[2], r;

        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        run->output = ends[0];
        r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : spawn(run->name, arguments, ends[1], &run->pid);
        safe_close(ends[1]);
        if (r < 0) {
                run->pid = 0;
                return r;
        }
        r = sd_event_add_child(event, &run->child_source, run->pid, WEXITED, on_child, run);
        if (r >= 0)
                r = sd_event_add_io(event, &run->output_source, run->output, EPOLLIN, on_output, run);
        if (r >= 0)
                return 0;
        signal_group(run, SIGKILL);
        (void) waitid(P_PID, (id_t) run->pid, NULL, WEXITED);
        run->pid = 0;
        return r;
}

Run *run_start(Runner *runner, const char *name, char **arguments, uint64_t timeout, RunDone done, void *userdata) {
        Run *run = g_new0(Run, 1);

        *run = (Run) {
                .runner = runner, .name = g_strdup(name), .output = -1, .started = clock_monotonic(), .done = done,
                .userdata = userdata, .line = g_string_new(NULL), .last = g_string_new(NULL),
        };
        run->failure = -begin(run, arguments);
        if (run->failure != 0)
                timeout = 0;
        /* Without its deadline it could stay for ever. */
        if (sd_event_add_time(runner->event, &run->timer, CLOCK_MONOTONIC, clock_monotonic() + timeout, 1, on_deadline, run) < 0) {
                run_free(run);
                return NULL;
        }
        g_ptr_array_add(runner->runs, run);
        return run;
}

void run_give_up(Run *run) {
        run->done = NULL;
        stop_listening(run);
        if (!run->ending)
                end_group(run);
}

static int on_slot_free(sd_event_source *source, void *userdata) {
        Runner *runner = userdata;

        /* A run and what it had started may have died by one signal, of which we heard while it still counted. */
        sweep(runner);
        runner->slot_free(runner->userdata);
        return 0;
}

int runner_new(sd_event *event, void (*slot_free)(void *userdata), void *userdata, Runner **ret) {
        Runner *runner = g_new0(Runner, 1);
        sigset_t child;
        int r;

        runner->event = sd_event_ref(event);
        runner->runs = g_ptr_array_new_with_free_func(run_free);
        runner->slot_free = slot_free;
        runner->userdata = userdata;
        r = sd_event_add_defer(event, &runner->slot_source, on_slot_free, runner);
        if (r >= 0)
                r = sd_event_source_set_enabled(runner->slot_source, SD_EVENT_OFF);
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        if (r >= 0 && (sigprocmask(SIG_BLOCK, &child, NULL) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0))
                r = -errno;
        if (r >= 0)
                r = sd_event_add_signal(event, &runner->signal_source, SIGCHLD, on_sigchld, runner);
        if (r < 0) {
                runner_free(runner);
                return r;
        }
        *ret = runner;
        return 0;
}

void runner_free(Runner *runner) {
        if (!runner)
                return;
        for (guint i = 0; i < runner->runs->len; i++)
                signal_group(g_ptr_array_index(runner->runs, i), SIGKILL);
        g_ptr_array_unref(runner->runs);
        sd_event_source_disable_unref(runner->slot_source);
        sd_event_source_disable_unref(runner->signal_source);
        sd_event_unref(runner->event);
        g_free(runner);
}

unsigned runner_count(const Runner *runner) {
        return runner->runs->len;
}

gboolean runner_hangs(const Runner *runner, const char *name) {
        for (guint i = 0; i < runner->runs->len; i++) {
                const Run *run = g_ptr_array_index(runner->runs, i);

                if (!run->done && g_str_equal(run->name, name))
                        return TRUE;
        }
        return FALSE;
}
