/* SPDX-License-Identifier: Apache-2.0 */

#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/process-stat.h"
#include "plugins/processes/scan.h"
#include "run/program.h"

#define COMMAND_RESERVE (2 * USEC_PER_SEC)
#define LOOK_INTERVAL (250 * USEC_PER_MSEC) /* at files, which may lie where nothing announces them */

typedef struct Target {
        Targets *targets;
        const Job *job;
        pid_t pid;
        uint64_t started;
        char name[PROCESS_NAME_SIZE];
        uid_t owner;
        guint rank; /* how many of its job and owner come before it */
        int fd;
        sd_event_source *ended;
        Run *run;
        uint64_t when; /* it was told, or is about to be: wall clock ns, by the clock that dates files */
        gboolean told, over, done;
        uint64_t duration;
        char *file, *problem;
} Target;

struct Targets {
        sd_event *event;
        const GPtrArray *jobs;
        uid_t *owners;         /* of each job's pattern */
        gboolean *owner_known;
        Runner *runner;
        GArray *list;          /* Target */
        GHashTable *ranks;     /* while it is looked for them: "JOB OWNER", how many there are */
        gboolean overflow;
        guint over;
        uint64_t deadline, begun;
        const GArray *told;    /* while they are told */
        sd_event_source *timer, *look;
        TargetsDone done;
        void *userdata;
};

static Target *target_at(const Targets *targets, guint i) {
        return &g_array_index(targets->list, Target, i);
}

static void finish(Targets *targets) {
        g_autofree TargetOutcome *outcomes = g_new0(TargetOutcome, targets->list->len + 1);

        for (guint i = 0; i < targets->list->len; i++) {
                const Target *t = target_at(targets, i);

                outcomes[i] = (TargetOutcome) {
                        .job = t->job->pattern->name,
                        .name = t->name,
                        .pid = t->pid,
                        .done = t->done,
                        .duration = t->over ? t->duration : usec_sub(clock_monotonic(), targets->begun),
                };
                if (!t->done)
                        outcomes[i].problem = t->problem ? t->problem
                                : t->told                ? "had not done it in time"
                                                         : "there was no time left for it";
        }
        targets->done(outcomes, targets->list->len, targets->userdata);
        targets_free(targets);
}

/* problem: NULL: it has done it. */
static void target_over(Target *target, const char *problem) {
        Targets *targets = target->targets;

        if (target->over)
                return;
        target->over = TRUE;
        target->done = !problem;
        target->problem = g_strdup(problem);
        target->duration = usec_sub(clock_monotonic(), targets->begun);
        target->ended = sd_event_source_disable_unref(target->ended);
        if (++targets->over == targets->list->len)
                targets_shorten(targets, 0);
}

/* Files of before 1970 are as old as can be. */
static uint64_t nanoseconds(const struct timespec *time) {
        return (uint64_t) MAX(time->tv_sec, 0) * 1000000000U + (uint64_t) time->tv_nsec;
}

static gboolean file_is_there(const Target *target) {
        struct stat st;

        return stat(target->file, &st) >= 0 && S_ISREG(st.st_mode) && nanoseconds(&st.st_mtim) >= target->when;
}

static int on_ended(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Target *target = userdata;

        /* One that ends without the file that it was to write has lost its work. */
        if (target->job->until == JOB_UNTIL_FILE && !file_is_there(target))
                target_over(target, "ended, and the file is not there");
        else
                target_over(target, NULL);
        return 0;
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        Targets *targets = userdata;
        gboolean waiting = FALSE;

        for (guint i = 0; i < targets->list->len; i++) {
                Target *target = target_at(targets, i);

                if (target->over || target->job->until != JOB_UNTIL_FILE || !target->told)
                        continue;
                if (file_is_there(target))
                        target_over(target, NULL);
                else
                        waiting = TRUE;
        }
        if (waiting && sd_event_source_set_time(source, clock_monotonic() + LOOK_INTERVAL) >= 0)
                (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
}

/* It was told; now it is waited for. */
static void await(Target *target) {
        Targets *targets = target->targets;
        JobUntil until = target->job->until;

        target->told = TRUE;
        if (until == JOB_UNTIL_TOLD) {
                target_over(target, NULL);
                return;
        }
        if (until == JOB_UNTIL_FILE && sd_event_source_set_time(targets->look, 0) >= 0)
                (void) sd_event_source_set_enabled(targets->look, SD_EVENT_ONESHOT);
        if (sd_event_add_io(targets->event, &target->ended, target->fd, EPOLLIN, on_ended, target) < 0)
                target_over(target, "cannot be waited for");
}

static void on_command(const RunOutcome *outcome, void *userdata) {
        Target *target = userdata;
        g_autofree char *problem = NULL;

        target->run = NULL;
        if (outcome->end == RUN_EXITED && outcome->number == 0) {
                if (target->job->until == JOB_UNTIL_COMMAND)
                        target_over(target, NULL);
                else
                        await(target);
                return;
        }
        if (outcome->end == RUN_EXITED)
                problem = g_strdup_printf("the command ended with status %d%s%s", outcome->number,
                                          *outcome->line ? ": " : "", outcome->line);
        else if (outcome->end == RUN_KILLED)
                problem = g_strdup_printf("the command was ended by signal %d (%s)", outcome->number,
                                          g_strsignal(outcome->number));
        else if (outcome->end == RUN_FAILED)
                problem = g_strdup_printf("the command cannot be run: %s", g_strerror(outcome->number));
        else
                problem = g_strdup("the command was ended: there was no more time");
        target_over(target, problem);
}

static void run_command(Target *target) {
        g_auto(GStrv) arguments = g_new0(char *, g_strv_length(target->job->command) + 1);
        g_autofree char *pid = g_strdup_printf("SNOOZE_PID=%d", (int) target->pid);
        g_autofree char *owner = g_strdup_printf("SNOOZE_OWNER=%u", (unsigned) target->owner);
        g_autofree char *job = g_strconcat("SNOOZE_JOB=", target->job->pattern->name, NULL);
        g_autoptr(GError) error = NULL;

        arguments[0] = program_trusted(target->job->command[0], program_owner_also(), &error);
        if (!arguments[0]) {
                target_over(target, error->message);
                return;
        }
        for (guint i = 1; target->job->command[i]; i++)
                arguments[i] = job_expand(target->job->command[i], target->pid);
        target->run = run_start(target->targets->runner, &(const RunParameters) {
                .name = target->job->pattern->name,
                .arguments = arguments,
                .environment = (const char *const[]) { pid, owner, job, NULL },
                .timeout = usec_sub(usec_sub(target->targets->deadline, COMMAND_RESERVE), clock_monotonic()),
                .output_max = RUN_OUTPUT_MAX,
                .await_end = TRUE,
                .done = on_command,
                .userdata = target,
        });
        if (!target->run)
                target_over(target, "the command cannot be run now");
}

/* The one that was found, and not who got its number since. */
static gboolean is_same(const Target *target) {
        g_autofree char *path = g_strdup_printf("/proc/%d", (int) target->pid);
        _cleanup_close_ int folder = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        ProcessStat stat;

        return folder >= 0 && process_stat_read(folder, sysconf(_SC_CLK_TCK), &stat) >= 0 && stat.pid == target->pid &&
               stat.started == target->started && stat.state != 'Z';
}

static const ToldProcess *find_told(const Target *target) {
        const GArray *told = target->targets->told;

        for (guint i = 0; told && i < told->len; i++) {
                const ToldProcess *process = &g_array_index(told, ToldProcess, i);

                if (process->pid == target->pid && process->started == target->started)
                        return process;
        }
        return NULL;
}

static void tell(Target *target) {
        const ToldProcess *before = find_told(target);

        target->fd = (int) syscall(SYS_pidfd_open, target->pid, 0);
        if (target->fd < 0 || !is_same(target)) {
                target_over(target, "had ended before it was told");
                return;
        }
        if (before) {
                target->when = before->when;
                if (target->job->until == JOB_UNTIL_COMMAND)
                        target_over(target, NULL);
                else
                        await(target);
                return;
        }
        if (target->job->command)
                return; /* on its turn */
        if (syscall(SYS_pidfd_send_signal, target->fd, target->job->signal, NULL, 0) < 0) {
                target_over(target, errno == EPERM ? "is not ours to signal: permission `signals` is missing"
                                                   : g_strerror(errno));
                return;
        }
        await(target);
}

void targets_continue(Targets *targets) {
        for (guint i = 0; i < targets->list->len && runner_count(targets->runner) < COMMANDS_MAX; i++) {
                Target *target = target_at(targets, i);

                if (target->job->command && !target->over && !target->run && !target->told &&
                    usec_sub(targets->deadline, COMMAND_RESERVE) > clock_monotonic())
                        run_command(target);
        }
}

static guint take_rank(Targets *targets, guint job, uid_t owner) {
        char *key = g_strdup_printf("%u %u", job, (unsigned) owner);
        guint rank = GPOINTER_TO_UINT(g_hash_table_lookup(targets->ranks, key));

        g_hash_table_replace(targets->ranks, key, GUINT_TO_POINTER(rank + 1));
        return rank;
}

static int compare_ranks(const void *a, const void *b) {
        const Target *left = a, *right = b;

        return left->rank < right->rank ? -1 : left->rank > right->rank;
}

/* The first of each job and owner, then the second of each …: whoever runs a hundred of a name has taken no place of
 * others. */
static void allot_places(Targets *targets) {
        g_array_sort(targets->list, compare_ranks);
        if (targets->list->len > TARGETS_MAX) {
                targets->overflow = TRUE;
                g_array_set_size(targets->list, TARGETS_MAX);
        }
        for (guint i = 0; i < targets->list->len; i++) {
                Target *target = target_at(targets, i);

                target->file = target->job->file ? job_expand(target->job->file, target->pid) : NULL;
        }
}

static void on_process(const ScannedProcess *process, void *userdata) {
        Targets *targets = userdata;

        if (process->pid == 1)
                return;
        for (guint i = 0; i < targets->jobs->len; i++) {
                const Job *job = g_ptr_array_index(targets->jobs, i);
                Target target = { .targets = targets,
                                  .job = job,
                                  .pid = process->pid,
                                  .started = process->started,
                                  .owner = process->owner,
                                  .fd = -1 };

                if (!targets->owner_known[i] || !pattern_matches(job->pattern, targets->owners[i], process))
                        continue;
                g_strlcpy(target.name, process->name, sizeof(target.name));
                target.rank = take_rank(targets, i, process->owner);
                g_array_append_val(targets->list, target);
                return;
        }
}

static int find(Targets *targets) {
        gboolean cmdlines = FALSE;
        int r;

        for (guint i = 0; i < targets->jobs->len; i++) {
                const Job *job = g_ptr_array_index(targets->jobs, i);

                targets->owner_known[i] = pattern_owner(job->pattern, &targets->owners[i]);
                cmdlines = cmdlines || job->pattern->cmdline;
        }
        targets->ranks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        r = scan("", cmdlines, on_process, targets);
        g_clear_pointer(&targets->ranks, g_hash_table_unref);
        allot_places(targets);
        return r;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Targets *targets = userdata;

        finish(targets);
        return 0;
}

static int prepare(Targets *targets) {
        int r;

        r = sd_event_add_time(targets->event, &targets->timer, CLOCK_MONOTONIC, targets->deadline, 1, on_timer,
                              targets);
        if (r >= 0)
                r = sd_event_source_set_priority(targets->timer, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_add_time(targets->event, &targets->look, CLOCK_MONOTONIC, 0, 1, on_look, targets);
        if (r >= 0)
                r = sd_event_source_set_enabled(targets->look, SD_EVENT_OFF);
        return r;
}

int targets_begin(const TargetsParameters *parameters, const char **ret_problem, Targets **ret) {
        Targets *targets = g_new0(Targets, 1);
        struct timespec began;
        int r;

        targets->event = sd_event_ref(parameters->event);
        targets->runner = parameters->runner;
        targets->jobs = parameters->jobs;
        targets->owners = g_new0(uid_t, targets->jobs->len + 1);
        targets->owner_known = g_new0(gboolean, targets->jobs->len + 1);
        targets->list = g_array_new(FALSE, FALSE, sizeof(Target));
        targets->deadline = parameters->deadline;
        targets->begun = clock_monotonic();
        targets->done = parameters->done;
        targets->userdata = parameters->userdata;
        targets->told = parameters->told;
        r = prepare(targets);
        if (r >= 0)
                r = find(targets);
        if (r < 0) {
                targets_free(targets);
                return r;
        }
        *ret_problem = r == 0 ? "there are too many processes, or those of others are hidden: permission `processes` "
                                "is missing"
                       : targets->overflow ? "more than 64 processes match: the others are not told"
                                           : NULL;
        *ret = targets;
        (void) clock_gettime(CLOCK_REALTIME_COARSE, &began);
        for (guint i = 0; i < targets->list->len; i++) {
                target_at(targets, i)->when = nanoseconds(&began);
                tell(target_at(targets, i));
        }
        targets->told = NULL;
        targets_continue(targets);
        if (targets->list->len == 0)
                targets_shorten(targets, 0);
        return 0;
}

void targets_list_told(const Targets *targets, GArray *told) {
        for (guint i = 0; i < targets->list->len; i++) {
                const Target *target = target_at(targets, i);
                ToldProcess process = { .pid = target->pid, .started = target->started, .when = target->when };

                if (target->told || target->done)
                        g_array_append_val(told, process);
        }
}

void targets_shorten(Targets *targets, uint64_t deadline) {
        if (deadline >= targets->deadline)
                return;
        targets->deadline = deadline;
        (void) sd_event_source_set_time(targets->timer, deadline);
        for (guint i = 0; i < targets->list->len; i++)
                if (target_at(targets, i)->run)
                        run_shorten(target_at(targets, i)->run, usec_sub(deadline, COMMAND_RESERVE));
}

void targets_free(Targets *targets) {
        if (!targets)
                return;
        for (guint i = 0; i < targets->list->len; i++) {
                Target *target = target_at(targets, i);

                if (target->run)
                        run_give_up(target->run);
                sd_event_source_disable_unref(target->ended);
                safe_close(target->fd);
                g_free(target->file);
                g_free(target->problem);
        }
        sd_event_source_disable_unref(targets->timer);
        sd_event_source_disable_unref(targets->look);
        sd_event_unref(targets->event);
        g_array_unref(targets->list);
        g_free(targets->owners);
        g_free(targets->owner_known);
        g_free(targets);
}
