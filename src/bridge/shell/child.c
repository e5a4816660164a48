/* SPDX-License-Identifier: Apache-2.0 */

#include "bridge/shell/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

void child_clear(Child *child) {
        g_strfreev(child->argv);
        g_strfreev(child->environment);
        g_clear_pointer(&child->input, g_bytes_unref);
}

/* The thread that runs this blocks all signals; a script wants none of that. Its children end with it: a group of its
 * own. */
static void child_setup(void *userdata) {
        sigset_t none;

        sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        (void) signal(SIGPIPE, SIG_DFL);
        (void) setpgid(0, 0);
}

typedef struct Passage {
        int feed;
        int output; /* negative: it has ended */
        int end;    /* the child's pidfd */
        const char *input;
        size_t left;
        GString *text;
} Passage;

static void write_some(Passage *p) {
        ssize_t n = p->left > 0 ? write(p->feed, p->input, p->left) : 0;

        if (n > 0) {
                p->input += n;
                p->left -= (size_t) n;
        }
        /* One that does not read its input is none the worse for it. */
        if (p->left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                p->feed = safe_close(p->feed);
}

/* FALSE with error: it prints too much. */
static gboolean read_some(Passage *p, GError **error) {
        char block[4096];
        ssize_t n = read(p->output, block, sizeof(block));

        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return TRUE;
        if (n > 0)
                g_string_append_len(p->text, block, n);
        else
                p->output = safe_close(p->output);
        if (p->text->len > CHILD_OUTPUT_MAX) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOSPC, "it printed more than %u bytes",
                            CHILD_OUTPUT_MAX);
                return FALSE;
        }
        return TRUE;
}

/* Until its output and then the child itself have ended: one may close its output and run on. */
static gboolean pass(Passage *p, uint64_t timeout, GError **error) {
        uint64_t end = usec_add(clock_monotonic(), timeout), now;

        while ((now = clock_monotonic()) < end) {
                struct pollfd wait[] = {
                        { .fd = p->feed, .events = POLLOUT },
                        { .fd = p->output, .events = POLLIN },
                        { .fd = p->output < 0 ? p->end : -1, .events = POLLIN },
                };

                if (poll(wait, G_N_ELEMENTS(wait), (int) ((end - now) / USEC_PER_MSEC) + 1) < 0 && errno != EINTR)
                        break;
                if (wait[0].revents)
                        write_some(p);
                if (wait[1].revents && !read_some(p, error))
                        return FALSE;
                if (wait[2].revents)
                        return TRUE;
        }
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "it took longer than %.1f s",
                    (double) timeout / (double) USEC_PER_SEC);
        return FALSE;
}

int child_run(const Child *child, GString **ret_output, GError **error) {
        Passage p = { .feed = -1, .output = -1, .end = -1, .text = g_string_new(NULL) };
        gboolean passed;
        int status;
        gsize size;
        GPid pid;

        if (!g_spawn_async_with_pipes(NULL, child->argv, child->environment, G_SPAWN_DO_NOT_REAP_CHILD, child_setup,
                                      NULL, &pid, &p.feed, &p.output, NULL, error)) {
                g_string_free(p.text, TRUE);
                return -1;
        }
        p.input = child->input ? g_bytes_get_data(child->input, &size) : NULL;
        p.left = child->input ? size : 0;
        (void) fcntl(p.feed, F_SETFL, O_NONBLOCK);
        p.end = (int) syscall(SYS_pidfd_open, pid, 0);
        if (p.end >= 0)
                passed = pass(&p, child->timeout, error);
        else {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "pidfd_open: %s", g_strerror(errno));
                passed = FALSE;
        }
        /* With what it left behind, while its number, and so its group's, cannot be anybody else's. */
        (void) kill(-pid, SIGKILL);
        safe_close(p.feed);
        safe_close(p.output);
        safe_close(p.end);
        (void) TEMP_FAILURE_RETRY(waitpid(pid, &status, 0));
        if (passed && WIFEXITED(status)) {
                *ret_output = p.text;
                return WEXITSTATUS(status);
        }
        if (passed)
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "it was killed: %s",
                            strsignal(WTERMSIG(status)));
        g_string_free(p.text, TRUE);
        return -1;
}
