/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/agent.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

/* pkttyagent closes the descriptor once it is registered. A bus without polkit must not hold anybody up. */
#define REGISTRATION_MSEC 2000

static GPid agent = 0;

void agent_start(void) {
        g_autofree char *process = g_strdup_printf("%d", (int) getpid());
        g_autofree char *notify = NULL;
        struct pollfd registered;
        int ends[2], outer;

        if (agent || !g_unix_open_pipe(ends, FD_CLOEXEC, NULL))
                return;

        outer = 3; /* the number under which the child finds its end */
        notify = g_strdup_printf("%d", outer);
        const char *const argv[] = { "pkttyagent", "--process", process, "--notify-fd", notify, "--fallback", NULL };
        if (!g_spawn_async_with_pipes_and_fds(
                    NULL, argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CHILD_INHERITS_STDIN,
                    NULL, NULL, -1, -1, -1, &ends[1], &outer, 1, &agent, NULL, NULL, NULL, NULL))
                agent = 0;
        (void) close(ends[1]);
        if (agent) {
                registered = (struct pollfd){ .fd = ends[0], .events = POLLIN };
                (void) poll(&registered, 1, REGISTRATION_MSEC);
        }
        (void) close(ends[0]);
}

gboolean agent_is_running(void) {
        return agent != 0;
}

void agent_stop(void) {
        if (!agent)
                return;
        (void) kill(agent, SIGTERM);
        (void) waitpid(agent, NULL, 0);
        g_spawn_close_pid(agent);
        agent = 0;
}
