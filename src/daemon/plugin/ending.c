/* SPDX-License-Identifier: Apache-2.0 */

/* What a provider was asked to do to a machine it may still do for as long as it lives, whatever has become of the
 * call: a stop that was called off would come all the same. So such a call is lost only when its process is gone, and
 * whoever made it hears of it then. */

#include <fcntl.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/journal.h"
#include "daemon/plugin/plugin.h"

/* A process that was sent SIGKILL runs no line of its own any more; it is systemd that may not have sent it. */
#define END_TIMEOUT (10 * USEC_PER_SEC)

struct Ending {
        Plugins *plugins;
        char *id;
        int pidfd;
        sd_event_source *gone, *timer;
        void (*run)(void *data);
        void (*destroy)(void *data);
        void *data;
};

void ending_free(void *data) {
        Ending *ending = data;

        sd_event_source_disable_unref(ending->gone);
        sd_event_source_disable_unref(ending->timer);
        safe_close(ending->pidfd);
        if (ending->destroy)
                ending->destroy(ending->data);
        g_free(ending->id);
        g_free(ending);
}

static void conclude(Ending *ending) {
        ending->run(ending->data);
        g_ptr_array_remove_fast(ending->plugins->endings, ending);
}

static int on_gone(sd_event_source *source, int fd, uint32_t events, void *userdata) {
        conclude(userdata);
        return 0;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata) {
        Ending *ending = userdata;

        log_error("Plugin %s was to be killed and still runs: what it was asked may yet be done", ending->id);
        conclude(ending);
        return 0;
}

static int watch(Ending *ending, const PluginProcess *process) {
        sd_event *event = ending->plugins->parameters.event;
        int r;

        ending->pidfd = process->pidfd >= 0 ? fcntl(process->pidfd, F_DUPFD_CLOEXEC, 3) : -EBADF;
        if (ending->pidfd < 0)
                return -EBADF;
        r = sd_event_add_io(event, &ending->gone, ending->pidfd, EPOLLIN, on_gone, ending);
        if (r >= 0)
                r = sd_event_add_time_relative(event, &ending->timer, CLOCK_MONOTONIC, END_TIMEOUT, 0, on_timeout,
                                               ending);
        return r;
}

void process_end_then(PluginProcess *process, void (*run)(void *data), void (*destroy)(void *data), void *data) {
        Plugins *plugins = process->plugin->plugins;
        Ending *ending = g_new0(Ending, 1);

        process_kill(process);
        *ending = (Ending) { .plugins = plugins, .id = g_strdup(process->plugin->id), .pidfd = -EBADF };
        if (watch(ending, process) < 0) {
                ending_free(ending);
                plugins_defer(plugins, run, destroy, data);
                return;
        }
        ending->run = run;
        ending->destroy = destroy;
        ending->data = data;
        g_ptr_array_add(plugins->endings, ending);
}
