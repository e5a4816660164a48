/* SPDX-License-Identifier: Apache-2.0 */

/* snooze-desktop: started with every graphical session, ends with its session bus. Two sessions of one person share a
 * bus and its notification server: there the second waits for the name, and takes over when the first has ended. */

#include <locale.h>
#include <signal.h>
#include <stdlib.h>

#include <gio/gio.h>
#include <glib-unix.h>
#include <glib/gi18n.h>

#include "config.h"
#include "desktop/desktop.h"

#define OWN_NAME "io.cloudsnooze.Desktop1"

typedef struct Program {
        Desktop *desktop; /* NULL: another has the name */
} Program;

static void on_name_acquired(GDBusConnection *session, const char *name, gpointer userdata) {
        Program *program = userdata;

        if (!program->desktop)
                program->desktop = desktop_new(session);
}

static void on_name_lost(GDBusConnection *session, const char *name, gpointer userdata) {
        Program *program = userdata;

        g_clear_pointer(&program->desktop, desktop_free);
}

static void on_closed(GDBusConnection *session, gboolean remote_peer_vanished, GError *error, gpointer userdata) {
        g_main_loop_quit(userdata);
}

static gboolean on_terminate(gpointer userdata) {
        g_main_loop_quit(userdata);
        return G_SOURCE_CONTINUE;
}

static gboolean parse_arguments(int *argc, char ***argv) {
        gboolean version = FALSE;
        const GOptionEntry entries[] = {
                { "version", 0, 0, G_OPTION_ARG_NONE, &version, "Print the version and exit", NULL },
                { NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new(NULL);
        g_autoptr(GError) error = NULL;

        g_option_context_set_summary(context, "Shows on the desktop that snoozed is about to stop this machine.");
        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, argc, argv, &error) || *argc > 1) {
                g_printerr("snooze-desktop: %s\n", error ? error->message : "it takes no arguments");
                exit(2);
        }
        if (version)
                g_print("snooze-desktop %s\n", PACKAGE_VERSION);
        return !version;
}

int main(int argc, char *argv[]) {
        g_autoptr(GDBusConnection) session = NULL;
        g_autoptr(GMainLoop) loop = NULL;
        g_autoptr(GError) error = NULL;
        Program program = { .desktop = NULL };
        guint name;

        (void) setlocale(LC_ALL, "");
        (void) bindtextdomain(GETTEXT_PACKAGE, LOCALEDIR);
        (void) bind_textdomain_codeset(GETTEXT_PACKAGE, "UTF-8");
        (void) textdomain(GETTEXT_PACKAGE);
        if (!parse_arguments(&argc, &argv))
                return EXIT_SUCCESS;
        session = g_bus_get_sync(G_BUS_TYPE_SESSION, NULL, &error);
        if (!session) {
                g_printerr("snooze-desktop: no session bus: %s\n", error->message);
                return EXIT_FAILURE;
        }
        loop = g_main_loop_new(NULL, FALSE);
        g_dbus_connection_set_exit_on_close(session, FALSE);
        g_signal_connect(session, "closed", G_CALLBACK(on_closed), loop);
        (void) g_unix_signal_add(SIGTERM, on_terminate, loop);
        (void) g_unix_signal_add(SIGINT, on_terminate, loop);
        name = g_bus_own_name_on_connection(session, OWN_NAME, G_BUS_NAME_OWNER_FLAGS_NONE, on_name_acquired,
                                            on_name_lost, &program, NULL);

        g_main_loop_run(loop);

        g_bus_unown_name(name);
        desktop_end(program.desktop);
        g_clear_pointer(&program.desktop, desktop_free);
        (void) g_dbus_connection_flush_sync(session, NULL, NULL);
        return EXIT_SUCCESS;
}
