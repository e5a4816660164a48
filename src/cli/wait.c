/* SPDX-License-Identifier: Apache-2.0 */

#include "cli/wait.h"

#include <unistd.h>

#include "cli/agent.h"

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
