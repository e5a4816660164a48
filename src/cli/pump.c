/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/pump.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#define BLOCK_SIZE (64U * 1024U)

/* Referenced by whoever made it, by its thread, and by the news of its end on their way. */
struct Pump {
        int from, to;
        const char *from_what, *to_what;
        PumpFlags flags;
        PumpDone done; /* main thread alone; NULL: nobody wants to know any more */
        gpointer userdata;
        GMutex lock; /* of the bytes alone */
        guint64 bytes;
        GError *error; /* the thread's, until it has ended */
};

static void pump_clear(gpointer data) {
        Pump *pump = data;

        g_clear_error(&pump->error);
        g_mutex_clear(&pump->lock);
}

static void pump_unref(gpointer pump) {
        g_atomic_rc_box_release_full(pump, pump_clear);
}

/* Whoever else has the descriptor may have made it non-blocking. */
static gboolean again(int fd, short events) {
        struct pollfd ready = { .fd = fd, .events = events };

        if (errno == EINTR)
                return TRUE;
        if (errno != EAGAIN)
                return FALSE;
        (void) poll(&ready, 1, -1);
        return TRUE;
}

static GError *error_new(const char *doing, const char *what) {
        int number = errno;

        return g_error_new(G_FILE_ERROR, g_file_error_from_errno(number), "%s %s: %s", what, doing,
                           g_strerror(number));
}

gboolean pump_write(int to, const char *data, gsize size) {
        for (gsize done = 0; done < size;) {
                ssize_t n = write(to, data + done, size - done);

                if (n >= 0)
                        done += (gsize) n;
                else if (!again(to, POLLOUT))
                        return FALSE;
        }
        return TRUE;
}

/* FALSE: nobody takes it. */
static gboolean write_all(Pump *pump, const char *data, gsize size) {
        if (!pump_write(pump->to, data, size)) {
                if (errno != EPIPE || !(pump->flags & PUMP_QUIET))
                        pump->error = error_new("cannot be written", pump->to_what);
                return FALSE;
        }
        g_mutex_lock(&pump->lock);
        pump->bytes += size;
        g_mutex_unlock(&pump->lock);
        return TRUE;
}

static gboolean tell(gpointer userdata) {
        Pump *pump = userdata;

        if (pump->done)
                pump->done(pump, pump->error, pump->userdata);
        return G_SOURCE_REMOVE;
}

static gpointer run(gpointer userdata) {
        Pump *pump = userdata;
        const int to = pump->flags & PUMP_OWNS_TO ? pump->to : -EBADF,
                  from = pump->flags & PUMP_OWNS_FROM ? pump->from : -EBADF;
        char block[BLOCK_SIZE];
        ssize_t n = 1;
        sigset_t set;

        /* Where it is an end like any other; else it ends the process, as it ends all that write to a pipe. */
        if (pump->flags & PUMP_QUIET) {
                sigemptyset(&set);
                sigaddset(&set, SIGPIPE);
                (void) pthread_sigmask(SIG_BLOCK, &set, NULL);
        }
        while (n != 0) {
                n = read(pump->from, block, sizeof(block));
                if (n > 0 && !write_all(pump, block, (gsize) n))
                        break;
                if (n < 0 && !again(pump->from, POLLIN)) {
                        pump->error = error_new("cannot be read", pump->from_what);
                        break;
                }
        }
        /* Before they are closed: whoever hears that end may end everything, and a failure would be nobody's. */
        (void) g_idle_add_full(G_PRIORITY_DEFAULT, tell, pump, pump_unref);
        if (to >= 0)
                (void) close(to);
        if (from >= 0)
                (void) close(from);
        return NULL;
}

Pump *pump_new(int from, const char *from_what, int to, const char *to_what, PumpFlags flags, PumpDone done,
               gpointer userdata) {
        Pump *pump = g_atomic_rc_box_new0(Pump);

        pump->from = from;
        pump->to = to;
        pump->from_what = from_what;
        pump->to_what = to_what;
        pump->flags = flags;
        pump->done = done;
        pump->userdata = userdata;
        g_mutex_init(&pump->lock);
        g_thread_unref(g_thread_new("pump", run, g_atomic_rc_box_acquire(pump)));
        return pump;
}

guint64 pump_bytes(Pump *pump) {
        guint64 bytes;

        g_mutex_lock(&pump->lock);
        bytes = pump->bytes;
        g_mutex_unlock(&pump->lock);
        return bytes;
}

void pump_free(Pump *pump) {
        if (!pump)
                return;
        pump->done = NULL;
        pump_unref(pump);
}
