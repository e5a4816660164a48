/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/wait.h"

#include <signal.h>
#include <unistd.h>

#include <glib-unix.h>

#include "cli/agent.h"
#include "config.h"

struct Wait {
        char *doing;
        gboolean visible; /* there is a terminal to show it on */
        gboolean shown;
        unsigned seconds;
        GMainLoop *loop;
        GAsyncResult *result;
};

Wait *wait_new(const Cli *cli, const char *doing) {
        Wait *wait = g_new0(Wait, 1);

        wait->doing = g_strdup(doing);
        wait->visible = !cli->json && isatty(STDERR_FILENO);
        wait->loop = g_main_loop_new(NULL, FALSE);
        return wait;
}

void wait_free(Wait *wait) {
        if (!wait)
                return;
        g_free(wait->doing);
        g_main_loop_unref(wait->loop);
        g_clear_object(&wait->result);
        g_free(wait);
}

void wait_done(GObject *source, GAsyncResult *result, gpointer userdata) {
        Wait *wait = userdata;

        wait->result = g_object_ref(result);
        g_main_loop_quit(wait->loop);
}

static gboolean on_second(gpointer userdata) {
        Wait *wait = userdata;

        wait->seconds++;
        /* The agent owns the terminal while it asks for a password. */
        if (!agent_is_running()) {
                g_printerr("\r%s … %u s\033[K", wait->doing, wait->seconds);
                wait->shown = TRUE;
        }
        return G_SOURCE_CONTINUE;
}

GAsyncResult *wait_for(Wait *wait) {
        unsigned timer = 0;

        if (wait->visible)
                timer = g_timeout_add_seconds(1, on_second, wait);
        if (!wait->result)
                g_main_loop_run(wait->loop);
        if (timer)
                g_source_remove(timer);
        if (wait->shown)
                g_printerr("\r\033[K");
        wait->shown = FALSE;
        return wait->result;
}

struct WaitEnd {
        const Cli *cli;
        GMainLoop *loop;
        unsigned interrupt, terminate;
        gboolean over, gone; /* told to end; the bus is */
};

static gboolean on_interrupt(gpointer userdata) {
        WaitEnd *end = userdata;

        end->over = TRUE;
        g_main_loop_quit(end->loop);
        return G_SOURCE_CONTINUE;
}

static void on_closed(GDBusConnection *bus, gboolean vanished, GError *error, gpointer userdata) {
        WaitEnd *end = userdata;

        end->gone = TRUE;
        g_main_loop_quit(end->loop);
}

WaitEnd *wait_end_new(const Cli *cli) {
        WaitEnd *end = g_new0(WaitEnd, 1);

        end->cli = cli;
        end->loop = g_main_loop_new(NULL, FALSE);
        end->interrupt = g_unix_signal_add(SIGINT, on_interrupt, end);
        end->terminate = g_unix_signal_add(SIGTERM, on_interrupt, end);
        g_signal_connect(cli->bus, "closed", G_CALLBACK(on_closed), end);
        return end;
}

void wait_end_free(WaitEnd *end) {
        if (!end)
                return;
        g_signal_handlers_disconnect_by_data(end->cli->bus, end);
        g_source_remove(end->interrupt);
        g_source_remove(end->terminate);
        g_main_loop_unref(end->loop);
        g_free(end);
}

int wait_for_end(WaitEnd *end) {
        /* Either may have happened while a call was waited for. */
        if (!end->over && !end->gone && !g_dbus_connection_is_closed(end->cli->bus))
                g_main_loop_run(end->loop);
        if (end->over)
                return EXIT_CODE_OK;
        g_printerr(SNOOZE_COMMAND ": the connection to %s is gone\n", end->cli->host ?: "the bus");
        return EXIT_CODE_UNREACHABLE;
}
