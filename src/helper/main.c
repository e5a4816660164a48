/* SPDX-License-Identifier: Apache-2.0 */

/* snooze-helper: options, the bus, its name, and an end when nobody has asked for anything for a while. */

#include <errno.h>
#include <locale.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "helper/helper.h"

#define IDLE_TIMEOUT (30 * USEC_PER_SEC)
#define DAEMON_USER "snooze"

typedef struct CommandLine {
        char *root;
        gboolean version, debug;
} CommandLine;

static void command_line_clear(CommandLine *line) {
        g_free(line->root);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CommandLine, command_line_clear)

static gboolean parse_command_line(int argc, char **argv, CommandLine *line, GError **error) {
        const GOptionEntry entries[] = {
                { "root", 0, 0, G_OPTION_ARG_FILENAME, &line->root, "Take DIR for /; only on a private bus", "DIR" },
                { "debug", 0, 0, G_OPTION_ARG_NONE, &line->debug, "Log more", NULL },
                { "version", 0, 0, G_OPTION_ARG_NONE, &line->version, "Print the version and exit", NULL },
                { NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new("- makes plugins known to the system");

        g_option_context_add_main_entries(context, entries, NULL);
        if (!g_option_context_parse(context, &argc, &argv, error))
                return FALSE;
        if (argc > 1) {
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "Unexpected argument '%s'", argv[1]);
                return FALSE;
        }
        return TRUE;
}

/* Another root is for tests. On the system's bus it would mislead the daemon. */
static gboolean root_allowed(const char *root, GError **error) {
        const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");

        if (address && *address && !strstr(address, "/dbus/system_bus_socket") && root[0] == '/' && root[1])
                return TRUE;
        g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED,
                    "--root needs an absolute path and a private bus (DBUS_SYSTEM_BUS_ADDRESS)");
        return FALSE;
}

/* Of another root's list of users, which NSS does not know. */
static uid_t user_below(const char *root, const char *name) {
        g_autofree char *path = g_build_filename(root, "/etc/passwd", NULL);
        _cleanup_(fclosep) FILE *file = fopen(path, "re");
        const struct passwd *entry;

        while (file && (entry = fgetpwent(file)))
                if (strcmp(entry->pw_name, name) == 0)
                        return entry->pw_uid;
        return 0;
}

static void find_places(const char *root, Places *ret) {
        *ret = (Places) { .root = g_strdup(root ?: ""), .also = geteuid() };
        if (root)
                ret->service = user_below(root, DAEMON_USER);
        else if (local_user(DAEMON_USER, &ret->service) < 0)
                ret->service = 0;
}

static gboolean busy(const Helper *helper) {
        return reloader_busy(helper->reloader) || authorizer_pending(helper->authorizer) > 0 ||
                callers_pending(helper->callers) > 0;
}

/* The name is gone and the bus has handed over all that was sent to it: what came last is still answered. */
static int on_left(sd_event_source *source, void *userdata) {
        const Helper *helper = userdata;

        return busy(helper) ? 0 : sd_event_exit(helper->event, 0);
}

/* Whatever was done just now may have been the last that it had to do. What the bus has handed over goes first. */
static int on_work_done(sd_event_source *source, void *userdata) {
        Helper *helper = userdata;

        return busy(helper) ? 0 : sd_event_source_set_enabled(helper->left, SD_EVENT_ONESHOT);
}

static void on_reloaded(void *userdata) {
        Helper *helper = userdata;

        /* What is owed when it ends is tried again by the next helper. */
        pending_settle(helper);
}

static int on_released(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        Helper *helper = userdata;
        int r = sd_event_add_post(helper->event, NULL, on_work_done, helper);

        if (r < 0) {
                log_warning("What is under way when this ends the next snooze-helper has to do: %s", g_strerror(-r));
                return sd_event_exit(helper->event, 0);
        }
        /* It may have had nothing to do. */
        return on_work_done(NULL, helper);
}

static int leave(Helper *helper) {
        if (helper->leaving)
                return 0;
        helper->leaving = TRUE;
        (void) sd_notify(false, "STOPPING=1");
        return sd_bus_release_name_async(helper->bus, NULL, HELPER_NAME, on_released, helper);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata) {
        Helper *helper = userdata;

        if (busy(helper)) {
                helper_touch(helper);
                return 0;
        }
        return leave(helper);
}

void helper_touch(Helper *helper) {
        if (sd_event_source_set_time_relative(helper->idle, IDLE_TIMEOUT) >= 0)
                (void) sd_event_source_set_enabled(helper->idle, SD_EVENT_ONESHOT);
}

static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        return leave(userdata);
}

static void helper_clear(Helper *helper) {
        reloader_free(helper->reloader);
        authorizer_free(helper->authorizer);
        callers_free(helper->callers);
        sender_limits_free(helper->limits);
        sd_event_source_disable_unref(helper->idle);
        sd_event_source_disable_unref(helper->left);
        sd_bus_flush_close_unref(helper->bus);
        sd_event_unref(helper->event);
        g_free(helper->places.root);
        g_clear_pointer(&helper->stale, g_hash_table_unref);
        g_free(helper->unknown);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Helper, helper_clear)

static int prepare(Helper *helper) {
        int r;

        helper->stale = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        r = sd_event_default(&helper->event);
        if (r >= 0)
                r = sd_event_add_signal(helper->event, NULL, SIGTERM, on_terminate, helper);
        if (r >= 0)
                r = sd_event_add_signal(helper->event, NULL, SIGINT, on_terminate, helper);
        if (r >= 0)
                r = sd_event_add_time_relative(helper->event, &helper->idle, CLOCK_MONOTONIC, IDLE_TIMEOUT,
                                               USEC_PER_SEC, on_idle, helper);
        if (r >= 0)
                r = sd_event_add_defer(helper->event, &helper->left, on_left, helper);
        if (r >= 0)
                r = sd_event_source_set_priority(helper->left, SD_EVENT_PRIORITY_IDLE);
        if (r >= 0)
                r = sd_event_source_set_enabled(helper->left, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_bus_open_system(&helper->bus);
        if (r >= 0)
                r = sd_bus_set_exit_on_disconnect(helper->bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(helper->bus, helper->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = callers_new(helper->bus, &helper->callers);
        if (r >= 0)
                r = authorizer_new(helper->bus, helper->callers, &helper->authorizer);
        if (r >= 0)
                r = reloader_new(helper->bus, on_reloaded, helper, &helper->reloader);
        helper->limits = sender_limits_new(LIMIT_CALLS_PER_SECOND, LIMIT_CALLS_BURST);
        return r < 0 ? r : helper_export(helper);
}

static int run(const char *root) {
        g_auto(Helper) helper = {};
        int r;

        find_places(root, &helper.places);
        r = prepare(&helper);
        if (r >= 0)
                r = sd_bus_request_name(helper.bus, HELPER_NAME, 0);
        if (r < 0) {
                log_error("snooze-helper cannot start: %s", r == -EEXIST ? "there is one already" : strerror(-r));
                return r;
        }
        r = pending_resume(&helper);
        if (r < 0)
                return r;
        (void) sd_notify(false, "READY=1");
        r = sd_event_loop(helper.event);
        if (r > 0)
                log_error("The bus went away.");
        return r;
}

int main(int argc, char **argv) {
        g_auto(CommandLine) line = {};
        g_autoptr(GError) error = NULL;
        sigset_t mask;

        setlocale(LC_ALL, "");
        if (!parse_command_line(argc, argv, &line, &error) || (line.root && !root_allowed(line.root, &error))) {
                fprintf(stderr, "snooze-helper: %s\n", error->message);
                return 2;
        }
        if (line.version) {
                printf("snooze-helper %s\n", PACKAGE_VERSION);
                return EXIT_SUCCESS;
        }
        if (line.debug)
                journal_set_level(LOG_DEBUG);
        /* What it writes is to be read by systemd and the bus, and by the daemon. */
        umask(0022);
        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || errors_register() < 0)
                return EXIT_FAILURE;
        return run(line.root) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
