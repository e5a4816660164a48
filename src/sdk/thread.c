/* SPDX-License-Identifier: Apache-2.0 */

/* Work that waits, in threads beside the loop. A thread owns its call from its start to its end, when it puts it into
 * a pipe that the loop reads: so nothing of a call needs a lock.
 *
 * A stream that nobody waits for any more is taken from its thread, which may wait for one of its pipes for as long as
 * somebody holds the other end. A pipe that cannot be read, and that nobody reads, takes the place of both, so that
 * whatever the thread does with them from then on fails; and a signal, sent after that, ends what it waits in. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "sdk/call.h"

#define THREADS_MAX 8U
/* Ignored where nobody wants it: a plugin that has a use for it keeps it. */
#define WAKE_SIGNAL SIGURG
#define STACK_SIZE (512U * 1024U)

struct Threads {
        int ends[2]; /* pointers to Jobs that have ended */
        sd_event_source *source;
        unsigned running;
};

typedef struct Job {
        SnoozePluginCall *call;
        SnoozePluginWork work;
        void *userdata;
        int end; /* to be told at the end */
        int result;
        pthread_t thread;
} Job;

static void *job_run(void *userdata) {
        Job *job = userdata;
        ssize_t n;

        job->result = job->work(job->call, job->userdata);
        if (job->result > 0)
                job->result = -EINVAL;
        /* As large as PIPE_BUF allows: whole, and there is always room for as many as there are threads. */
        do
                n = write(job->end, &job, sizeof(job));
        while (n < 0 && errno == EINTR);
        return NULL;
}

static void job_end(Threads *threads, Job *job) {
        (void) pthread_join(job->thread, NULL);
        threads->running--;
        call_on_abandoned(job->call, NULL, NULL);
        snooze_plugin_call_finish(job->call, job->result);
        free(job);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        Job *job;

        if (read(fd, &job, sizeof(job)) == (ssize_t) sizeof(job))
                job_end(userdata, job);
        return 0;
}

static void on_wake(int number) {
}

/* Without SA_RESTART: what waits ends with EINTR. */
static void catch_wake(void) {
        struct sigaction before, wake = { .sa_handler = on_wake };

        sigemptyset(&wake.sa_mask);
        if (sigaction(WAKE_SIGNAL, NULL, &before) >= 0 && before.sa_handler == SIG_DFL)
                (void) sigaction(WAKE_SIGNAL, &wake, NULL);
}

static void on_abandoned(void *userdata) {
        const Job *job = userdata;

        call_take_pipes(job->call);
        (void) pthread_kill(job->thread, WAKE_SIGNAL);
}

bool threads_running(const SnoozePluginInstance *instance) {
        return instance->threads && instance->threads->running > 0;
}

void threads_clear(SnoozePluginInstance *instance) {
        Threads *threads = steal(instance->threads);

        if (!threads)
                return;
        sd_event_source_disable_unref(threads->source);
        safe_close(threads->ends[0]);
        safe_close(threads->ends[1]);
        free(threads);
}

static int threads_prepare(SnoozePluginInstance *instance) {
        Threads *threads;
        int r;

        if (instance->threads)
                return 0;
        threads = calloc(1, sizeof(Threads));
        if (!threads)
                return -ENOMEM;
        if (pipe2(threads->ends, O_CLOEXEC) < 0) {
                r = -errno;
                free(threads);
                return r;
        }
        instance->threads = threads;
        catch_wake();
        r = sd_event_add_io(instance->event, &threads->source, threads->ends[0], EPOLLIN, on_end, threads);
        if (r < 0)
                threads_clear(instance);
        return r;
}

static void set_blocking(int fd) {
        int flags = fd >= 0 ? fcntl(fd, F_GETFL) : -1;

        if (flags >= 0)
                (void) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

/* Signals are the loop's: a thread takes none but that which wakes it, and a pipe that nobody reads is an error there,
 * not a death. */
static int job_start(Job *job) {
        pthread_attr_t attributes;
        sigset_t all, before;
        int r;

        r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;
        sigfillset(&all);
        sigdelset(&all, WAKE_SIGNAL);
        (void) pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_attr_setstacksize(&attributes, STACK_SIZE);
        if (r == 0)
                r = pthread_create(&job->thread, &attributes, job_run, job);
        (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void) pthread_attr_destroy(&attributes);
        return -r;
}

int snooze_plugin_call_run_in_thread(SnoozePluginCall *call, SnoozePluginWork work, void *userdata) {
        SnoozePluginInstance *instance = call_get_instance(call);
        Threads *threads;
        Job *job;
        int r;

        r = threads_prepare(instance);
        if (r < 0)
                return r;
        threads = instance->threads;
        if (threads->running >= THREADS_MAX)
                return snooze_plugin_call_fail(call, ERROR_LIMITS_EXCEEDED, "%u threads are at work already",
                                               THREADS_MAX);
        job = malloc(sizeof(Job));
        if (!job)
                return -ENOMEM;
        *job = (Job) { .call = call, .work = work, .userdata = userdata, .end = threads->ends[1] };
        call_read_input(call);
        set_blocking(snooze_plugin_call_get_input(call));
        set_blocking(snooze_plugin_call_get_output(call));
        threads->running++;
        call_on_abandoned(call, snooze_plugin_call_get_input(call) >= 0 ? on_abandoned : NULL, job);
        r = job_start(job);
        if (r < 0) {
                threads->running--;
                call_on_abandoned(call, NULL, NULL);
                free(job);
                return r;
        }
        return SNOOZE_PLUGIN_LATER;
}
