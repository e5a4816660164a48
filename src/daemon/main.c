/* SPDX-License-Identifier: Apache-2.0 */

/* snoozed: options, the bus, its name, the loop. The name comes before everything else, so that a second daemon
 * disturbs nothing of the first, and before every subscription, so that nobody can have prepared signals for our
 * unique name. */

#include <errno.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

#include <glib.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "daemon/installed.h"
#include "daemon/manager.h"

typedef struct CommandLine {
        char *state_directory, *runtime_directory, *config_directory, *proc_root, *replay;
        char **plugin_directories;
        char *check_configuration;
        gboolean check, debug, version;
} CommandLine;

static gboolean on_check_option(const char *name, const char *value, void *data, GError **error) {
        CommandLine *line = data;

        line->check = TRUE;
        g_free(line->check_configuration);
        line->check_configuration = g_strdup(value);
        return TRUE;
}

static gboolean parse_command_line(int argc, char **argv, CommandLine *line, GError **error) {
        const GOptionEntry entries[] = {
                { "state-directory", 0, 0, G_OPTION_ARG_FILENAME, &line->state_directory, "What must survive a reboot",
                  "DIR" },
                { "runtime-directory", 0, 0, G_OPTION_ARG_FILENAME, &line->runtime_directory,
                  "What must survive a restart", "DIR" },
                { "config-directory", 0, 0, G_OPTION_ARG_FILENAME, &line->config_directory,
                  "Where snooze.json and snooze.d are", "DIR" },
                { "plugin-directory", 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &line->plugin_directories,
                  "Where plugins are; may be given more than once", "DIR" },
                { "proc-root", 0, 0, G_OPTION_ARG_FILENAME, &line->proc_root, "Read DIR/proc and DIR/sys", "DIR" },
                { "replay", 0, 0, G_OPTION_ARG_FILENAME, &line->replay,
                  "A trace in the place of this machine's metrics", "TRACE" },
                { "check-configuration", 0, G_OPTION_FLAG_OPTIONAL_ARG, G_OPTION_ARG_CALLBACK,
                  (void *) on_check_option, "Check the configuration (or FILE alone) and exit", "FILE" },
                { "debug", 0, 0, G_OPTION_ARG_NONE, &line->debug, "Log more", NULL },
                { "version", 0, 0, G_OPTION_ARG_NONE, &line->version, "Print the version and exit", NULL },
                { NULL },
        };
        g_autoptr(GOptionContext) context = g_option_context_new("- stops this machine when nobody needs it");
        GOptionGroup *group = g_option_group_new("snoozed", "", "", line, NULL);

        g_option_group_add_entries(group, entries);
        g_option_context_set_main_group(context, group);
        if (!g_option_context_parse(context, &argc, &argv, error))
                return FALSE;
        if (line->check && argc == 2 && !line->check_configuration) {
                line->check_configuration = g_strdup(argv[1]);
                return TRUE;
        }
        if (argc > 1) {
                g_set_error(error, G_OPTION_ERROR, G_OPTION_ERROR_FAILED, "Unexpected argument '%s'", argv[1]);
                return FALSE;
        }
        return TRUE;
}

static void free_command_line(CommandLine *line) {
        g_free(line->state_directory);
        g_free(line->runtime_directory);
        g_free(line->config_directory);
        g_free(line->proc_root);
        g_free(line->replay);
        g_free(line->check_configuration);
        g_strfreev(line->plugin_directories);
}

/* Option, then what systemd made for the unit (systemd.exec(5)), then the installed place. */
static const char *directory(const char *option, const char *variable, const char *fallback) {
        const char *value = getenv(variable);

        return option ? option : value && *value ? value : fallback;
}

static const char *const *plugin_directories(const CommandLine *line) {
        static const char *const packaged[] = { PKGPLUGINDIR, PKGSYSCONFDIR "/plugins", INSTALLED_PLUGINS, NULL };

        return line->plugin_directories ? (const char *const *) line->plugin_directories : packaged;
}

static int check_configuration(const CommandLine *line) {
        const char *config = directory(line->config_directory, "CONFIGURATION_DIRECTORY", PKGSYSCONFDIR);
        const char *state = directory(line->state_directory, "STATE_DIRECTORY", STATE_DIRECTORY);
        g_autofree char *file = g_build_filename(config, "snooze.json", NULL),
                        *dropins = g_build_filename(config, "snooze.d", NULL);
        g_autofree char *changes = g_build_filename(state, CONFIG_STATE_FILE, NULL);
        const ConfigPaths installed = { file, dropins, changes };
        /* One file alone: neither drop-ins nor changes. */
        const ConfigPaths alone = { line->check_configuration, NULL, NULL };
        g_autoptr(GError) error = NULL;
        g_autoptr(Config) checked = NULL;
        g_auto(Installed) known = { 0 };
        g_auto(GStrv) warnings = NULL;

        if (line->check_configuration && !g_file_test(line->check_configuration, G_FILE_TEST_EXISTS)) {
                fprintf(stderr, "%s: no such file\n", line->check_configuration);
                return EXIT_FAILURE;
        }
        checked = config_load(line->check_configuration ? &alone : &installed, &error);
        if (!checked) {
                fprintf(stderr, "%s\n", error->message);
                return EXIT_FAILURE;
        }
        installed_on_disk(plugin_directories(line), checked, &known);
        warnings = installed_warnings(&known, checked);
        for (char **warning = warnings; *warning; warning++)
                fprintf(stderr, "warning: %s\n", *warning);
        return EXIT_SUCCESS;
}

static void on_stopped(void *userdata) {
        (void) sd_event_exit(userdata, 0);
}

/* A second one does not wait. */
static int on_terminate(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        sd_event *event = sd_event_source_get_event(source);
        Manager *manager = userdata;

        (void) sd_notify(false, "STOPPING=1");
        if (!manager_stop(manager, on_stopped, event))
                on_stopped(event);
        return 0;
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata) {
        manager_reload(userdata);
        return 0;
}

static int on_exit_begins(sd_event_source *source, void *userdata) {
        manager_finish(userdata);
        return 0;
}

/* Before the bus is closed, which the loop does at its end with the usual priority. */
static int add_exit(sd_event *event, Manager *manager) {
        _cleanup_(sd_event_source_unrefp) sd_event_source *source = NULL;
        int r;

        r = sd_event_add_exit(event, &source, on_exit_begins, manager);
        if (r >= 0)
                r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
        return r < 0 ? r : sd_event_source_set_floating(source, true);
}

static int add_signals(sd_event *event, Manager *manager) {
        int r;

        r = sd_event_add_signal(event, NULL, SIGTERM, on_terminate, manager);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGINT, on_terminate, manager);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGHUP, on_hangup, manager);
        return r;
}

static int open_bus(sd_event *event, sd_bus **ret) {
        _cleanup_bus_ sd_bus *bus = NULL;
        int r;

        r = sd_bus_open_system(&bus);
        if (r < 0) {
                log_error("The system bus cannot be reached: %s", strerror(-r));
                return r;
        }
        r = sd_bus_set_exit_on_disconnect(bus, true);
        if (r >= 0)
                r = sd_bus_attach_event(bus, event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        r = sd_bus_request_name(bus, SNOOZE_NAME, 0);
        if (r == -EEXIST) {
                log_error("Another daemon owns " SNOOZE_NAME " already; this one leaves.");
                return r;
        }
        if (r < 0) {
                log_error("The name " SNOOZE_NAME " cannot be had: %s", strerror(-r));
                return r;
        }
        *ret = steal(bus);
        return 0;
}

/* glibc raises this threshold to the largest block that was freed, so that one plugin's huge reply would leave the
 * next ones in the heap, and their size with the daemon for good (mallopt(3)). Set, it stays what it is by default. */
static void give_back_large_blocks(void) {
        (void) mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}

static int run(const CommandLine *line) {
        const ManagerOptions options = {
                .state_directory = directory(line->state_directory, "STATE_DIRECTORY", STATE_DIRECTORY),
                .runtime_directory = directory(line->runtime_directory, "RUNTIME_DIRECTORY", RUNTIME_DIRECTORY),
                .config_directory = directory(line->config_directory, "CONFIGURATION_DIRECTORY", PKGSYSCONFDIR),
                .plugin_directories = plugin_directories(line),
                .proc_root = line->proc_root ? line->proc_root : "",
                .replay = line->replay,
        };
        _cleanup_event_ sd_event *event = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        _cleanup_(manager_freep) Manager *manager = NULL;
        int r;

        /* Of the default one sd-event asks in every turn which thread it is in. */
        r = sd_event_new(&event);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return r;
        r = open_bus(event, &bus);
        if (r < 0)
                return r;
        r = manager_new(event, bus, &options, &manager);
        if (r < 0) {
                log_error("snoozed cannot start: %s", strerror(-r));
                return r;
        }
        r = add_signals(event, manager);
        if (r >= 0)
                r = add_exit(event, manager);
        if (r < 0)
                return r;
        (void) sd_notify(false, "READY=1");
        log_info("snoozed %s watches this machine.", PACKAGE_VERSION);

        r = sd_event_loop(event);
        /* exit_on_disconnect ends the loop with a positive code: the bus is gone, and the service manager starts us
         * again. */
        if (r > 0)
                log_error("The bus went away.");
        (void) sd_bus_release_name(bus, SNOOZE_NAME);
        return r;
}

int main(int argc, char **argv) {
        _cleanup_(free_command_line) CommandLine line = { 0 };
        g_autoptr(GError) error = NULL;
        sigset_t mask;

        setlocale(LC_ALL, "");
        if (!parse_command_line(argc, argv, &line, &error)) {
                fprintf(stderr, "snoozed: %s\n", error->message);
                return 2;
        }
        if (line.version) {
                printf("snoozed %s\n", PACKAGE_VERSION);
                return EXIT_SUCCESS;
        }
        if (line.check)
                return check_configuration(&line);
        if (line.debug)
                journal_set_level(LOG_DEBUG);

        sigemptyset(&mask);
        sigaddset(&mask, SIGTERM);
        sigaddset(&mask, SIGINT);
        sigaddset(&mask, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0 || errors_register() < 0)
                return EXIT_FAILURE;
        give_back_large_blocks();
        return run(&line) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
