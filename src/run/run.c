/* SPDX-License-Identifier: Apache-2.0 */

#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define GRACE USEC_PER_SEC
#define DEATH_MAX USEC_PER_SEC /* whom SIGKILL has not ended by then waits for a device, and nobody waits for him */

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
        int pipe;
        sd_event_source *child_source, *output_source, *timer;
        uint64_t started;
        RunDone done;    /* NULL: was told, or nobody wants to know */
        void *userdata;
        gboolean await_end;
        enum {
                RUNNING,
                ENDING, /* got SIGTERM */
                KILLED, /* got SIGKILL */
        } state;
        uint64_t deadline, grace;
        uint64_t written, output_max;
        gsize output_kept;
        GString *line, *last;
        GString *output; /* up to twice what is kept of it */
};

static void run_free(void *data) {
        Run *run = data;

        run->child_source = sd_event_source_disable_unref(run->child_source);
        run->output_source = sd_event_source_disable_unref(run->output_source);
        run->timer = sd_event_source_disable_unref(run->timer);
        safe_close(run->pipe);
        g_string_free(run->line, TRUE);
        g_string_free(run->last, TRUE);
        g_string_free(run->output, TRUE);
        g_free(run->name);
        g_free(run);
}

static void tell(Run *run, RunEnd end, int number) {
        RunDone done = run->done;
        gsize excess = run->output->len > run->output_kept ? run->output->len - run->output_kept : 0;
        g_autofree char *output = g_utf8_make_valid(run->output->str + excess, -1);
        RunOutcome outcome = {
                .end = end,
                .number = number,
                .duration = usec_sub(clock_monotonic(), run->started),
                .line = run->line->len > 0 ? run->line->str : run->last->str,
                .output = output,
                .written = run->written,
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

/* Only what is kept, with room for as much again, so that it is moved seldom. */
static void keep_output(Run *run, const char *data, gsize n) {
        if (n > run->output_kept) {
                data += n - run->output_kept;
                n = run->output_kept;
        }
        if (run->output->len + n > 2 * run->output_kept)
                g_string_erase(run->output, 0, (gssize) (run->output->len + n - run->output_kept));
        for (gsize i = 0; i < n; i++) /* a NUL would end the text */
                g_string_append_c(run->output, data[i] ? data[i] : ' ');
}

static void take_output(Run *run, const char *data, gsize n) {
        run->written += n;
        keep_output(run, data, n);
        while (n > 0) {
                const char *end = memchr(data, '\n', n);
                gsize length = end ? (gsize) (end - data) : n;
                gsize room = RUN_LINE_MAX - MIN(run->line->len, RUN_LINE_MAX);

                for (gsize i = 0; i < MIN(length, room); i++)
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
        ssize_t n = read(run->pipe, buffer, sizeof(buffer));

        if (n <= 0)
                return n < 0 && (errno == EAGAIN || errno == EINTR);
        take_output(run, buffer, (gsize) n);
        return TRUE;
}

static gboolean is_flood(const Run *run) {
        return run->output_max > 0 && run->written > run->output_max;
}

/* What it wrote before it ended is in the pipe, which holds no more than this; what its descendants add is not
 * awaited. */
static void drain(Run *run) {
        uint64_t before, first = run->written;

        if (run->pipe < 0)
                return;
        do
                before = run->written;
        while (!is_flood(run) && run->written - first <= RUN_OUTPUT_MAX && read_block(run) && run->written > before);
}

static void stop_listening(Run *run) {
        run->output_source = sd_event_source_disable_unref(run->output_source);
        run->pipe = safe_close(run->pipe);
}

static gboolean set_timer(Run *run, uint64_t moment) {
        return sd_event_source_set_time(run->timer, moment) >= 0 &&
               sd_event_source_set_enabled(run->timer, SD_EVENT_ONESHOT) >= 0;
}

static void kill_group(Run *run) {
        run->state = KILLED;
        signal_group(run, SIGKILL);
        if (run->await_end)
                (void) set_timer(run, clock_monotonic() + DEATH_MAX);
}

static void end_group(Run *run) {
        run->state = ENDING;
        signal_group(run, SIGTERM);
        if (!set_timer(run, usec_add(clock_monotonic(), run->grace)))
                kill_group(run);
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Run *run = userdata;

        if (!read_block(run))
                stop_listening(run);
        else if (is_flood(run)) {
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
        if (run->state == RUNNING) {
                end_group(run);
                if (!run->await_end) {
                        stop_listening(run);
                        tell(run, RUN_TIMED_OUT, 0);
                }
        } else if (run->state == ENDING)
                kill_group(run);
        else {
                stop_listening(run);
                tell(run, RUN_TIMED_OUT, 0);
        }
        return 0;
}

static gboolean has_group(const Runner *runner, pid_t group) {
        for (guint i = 0; i < runner->runs->len; i++)
                if (((const Run *) g_ptr_array_index(runner->runs, i))->pid == group)
                        return TRUE;
        return FALSE;
}

/* Children that are in no living run's group left theirs, or outlived it, and their parent is gone: the living are
 * ended, and the dead, who are nobody's else, taken leave of. */
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
        if (is_flood(run))
                tell(run, RUN_FLOODED, 0);
        else if (run->state != RUNNING)
                tell(run, RUN_TIMED_OUT, 0);
        else
                tell(run, info->si_code == CLD_EXITED ? RUN_EXITED : RUN_KILLED, info->si_status);
        /* sd-event reaps it after this handler, whether its source lives or not. */
        (void) g_ptr_array_remove_fast(runner->runs, run);
        (void) sd_event_source_set_enabled(runner->slot_source, SD_EVENT_ONESHOT);
        return 0;
}

/* What it is to read, in memory: written before it starts, so that nobody waits for it to read. */
static int input_open(const char *text) {
        _cleanup_close_ int fd = -1;
        size_t length = text ? strlen(text) : 0;

        if (!text)
                fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        else
                fd = memfd_create("input", MFD_CLOEXEC);
        if (fd < 0)
                return -errno;
        for (size_t done = 0; done < length;) {
                ssize_t n = write(fd, text + done, length - done);

                if (n < 0)
                        return -errno;
                done += (size_t) n;
        }
        if (text && lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        return steal_fd(&fd);
}

static char **environment_of(const RunParameters *parameters) {
        g_autoptr(GStrvBuilder) builder = g_strv_builder_new();

        g_strv_builder_add_many(builder, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/",
                                "LC_ALL=C.UTF-8", NULL);
        for (const char *const *word = parameters->environment; word && *word; word++)
                g_strv_builder_add(builder, *word);
        return g_strv_builder_end(builder);
}

static int add_actions(posix_spawn_file_actions_t *actions, int input, int output, gboolean errors_too) {
        int r;

        r = posix_spawn_file_actions_adddup2(actions, input, STDIN_FILENO);
        if (r == 0)
                r = posix_spawn_file_actions_adddup2(actions, output, STDOUT_FILENO);
        if (r == 0 && errors_too)
                r = posix_spawn_file_actions_adddup2(actions, output, STDERR_FILENO);
        return r == 0 ? posix_spawn_file_actions_addchdir_np(actions, "/") : r;
}

static int set_attributes(posix_spawnattr_t *attributes) {
        sigset_t none, all;
        int r;

        sigemptyset(&none);
        sigfillset(&all);
        r = posix_spawnattr_setpgroup(attributes, 0);
        if (r == 0)
                r = posix_spawnattr_setsigmask(attributes, &none);
        if (r == 0)
                r = posix_spawnattr_setsigdefault(attributes, &all);
        return r == 0 ? posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                                                     POSIX_SPAWN_SETSIGDEF)
                      : r;
}

static int spawn(const RunParameters *parameters, int input, int output, pid_t *ret) {
        g_auto(GStrv) environment = environment_of(parameters);
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        int r;

        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }
        r = add_actions(&actions, input, output, parameters->errors_too);
        if (r == 0)
                r = set_attributes(&attributes);
        if (r == 0)
                r = posix_spawn(ret, parameters->arguments[0], &actions, &attributes, parameters->arguments,
                                environment);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        return -r;
}

static int begin(Run *run, const RunParameters *parameters) {
        _cleanup_close_ int input = input_open(parameters->input);
        sd_event *event = run->runner->event;
        int ends[2], r;

        if (input < 0)
                return input;
        if (pipe2(ends, O_CLOEXEC) < 0)
                return -errno;
        run->pipe = ends[0];
        r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : spawn(parameters, input, ends[1], &run->pid);
        safe_close(ends[1]);
        if (r < 0) {
                run->pid = 0;
                return r;
        }
        r = sd_event_add_child(event, &run->child_source, run->pid, WEXITED, on_child, run);
        if (r >= 0)
                r = sd_event_add_io(event, &run->output_source, run->pipe, EPOLLIN, on_output, run);
        if (r >= 0)
                return 0;
        signal_group(run, SIGKILL);
        (void) waitid(P_PID, (id_t) run->pid, NULL, WEXITED);
        run->pid = 0;
        return r;
}

Run *run_start(Runner *runner, const RunParameters *parameters) {
        Run *run = g_new0(Run, 1);
        uint64_t now = clock_monotonic();

        *run = (Run){
                .runner = runner,
                .name = g_strdup(parameters->name),
                .pipe = -1,
                .started = now,
                .done = parameters->done,
                .userdata = parameters->userdata,
                .await_end = parameters->await_end,
                .grace = parameters->grace ?: GRACE,
                .output_max = parameters->output_max,
                .output_kept = parameters->output_kept,
                .line = g_string_new(NULL),
                .last = g_string_new(NULL),
                .output = g_string_new(NULL),
        };
        run->failure = -begin(run, parameters);
        run->deadline = run->failure != 0 ? now : usec_add(now, parameters->timeout);
        /* Without its deadline it could stay for ever. */
        if (sd_event_add_time(runner->event, &run->timer, CLOCK_MONOTONIC, run->deadline, 1, on_deadline, run) < 0) {
                signal_group(run, SIGKILL);
                run_free(run);
                return NULL;
        }
        g_ptr_array_add(runner->runs, run);
        return run;
}

void run_shorten(Run *run, uint64_t deadline) {
        if (run->state != RUNNING || deadline >= run->deadline)
                return;
        run->deadline = deadline;
        (void) set_timer(run, deadline);
}

void run_give_up(Run *run) {
        run->done = NULL;
        stop_listening(run);
        if (run->state == RUNNING)
                end_group(run);
}

static int on_slot_free(sd_event_source *source, void *userdata) {
        Runner *runner = userdata;

        /* A run and what it had started may have died by one signal, of which we heard while it still counted. */
        sweep(runner);
        if (runner->slot_free)
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
