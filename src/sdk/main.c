/* SPDX-License-Identifier: Apache-2.0 */

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "base/journal.h"
#include "base/names.h"
#include "sdk/dictionary.h"
#include "sdk/instance.h"
#include "sdk/text.h"

#define IDLE_EXIT_DEFAULT (5 * USEC_PER_MINUTE)
#define HOST_EXIT_DEFAULT (60 * USEC_PER_SEC)
#define EXIT_MAX_SECONDS (7UL * 24 * 60 * 60)

sd_bus *snooze_plugin_instance_get_bus(SnoozePluginInstance *instance) {
        return instance->bus;
}

sd_event *snooze_plugin_instance_get_event(SnoozePluginInstance *instance) {
        return instance->event;
}

void snooze_plugin_instance_begin_work(SnoozePluginInstance *instance) {
        instance->work++;
}

void snooze_plugin_instance_end_work(SnoozePluginInstance *instance) {
        if (instance->work > 0)
                instance->work--;
        state_changed(instance);
        life_used(instance);
        life_settled(instance);
}

void snooze_plugin_instance_stop_effect_changed(SnoozePluginInstance *instance) {
        /* One that is not in use yet, or no more, speaks for nobody, and a native one has nobody to tell it to: the
         * daemon asks. */
        if (!instance->bus || instance->stage != STAGE_INITIALIZED || instance->leaving)
                return;
        (void) sd_bus_emit_properties_changed(instance->bus, PLUGIN_PATH, CLOUD_PROVIDER_INTERFACE, "StopEffect",
                                              NULL);
}

__attribute__((format(printf, 3, 0)))
static void log_of(const void *inside, int level, const char *format, va_list ap) {
        char field[sizeof(LOG_FIELD) + PLUGIN_ID_MAX];
        _cleanup_free_ char *text = text_line(format, ap);
        bool native;

        if (!text)
                return;
        native = native_log_field(inside, field, sizeof(field));
        journal_write(level, NULL, native ? (const char *const[]) { field, NULL } : NULL, "%s", text);
}

void snooze_plugin_log_of(const void *object, int level, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_of(object, level, format, ap);
        va_end(ap);
}

/* For what was built before the header made a macro of it. */
void(snooze_plugin_log)(int level, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        log_of(__builtin_return_address(0), level, format, ap);
        va_end(ap);
}

static void print_help(const SnoozePlugin *plugin, const char *program) {
        printf("Usage: %s [OPTION…]\n\n%s\n\n"
               "Started by D-Bus activation or systemd; serves " PLUGIN_NAME_PREFIX "%s on the system bus.\n\n"
               "  --idle-exit SECONDS  leave after so long without a call (300; 0: never)\n"
               "  --host-exit SECONDS  leave so long after the daemon left ($SNOOZE_HOST_EXIT; 60; 0: never)\n"
               "  --slot a|b           run beside the version in the other slot ($SNOOZE_SLOT; a)\n"
               "  --debug              log each step\n"
               "  --describe           print what the manifest has to agree with, as JSON\n"
               "  --version            print the version\n"
               "  --help               print this\n",
               program, plugin->description ?: "A plugin of CloudSnooze.", plugin->id);
}

static int parse_seconds(const char *what, const char *text, uint64_t *ret) {
        char *end;
        unsigned long seconds;

        errno = 0;
        seconds = strtoul(text, &end, 10);
        if (errno != 0 || *text < '0' || *text > '9' || *end || seconds > EXIT_MAX_SECONDS) {
                fprintf(stderr, "%s: expected 0 to %lu seconds, not %s\n", what, EXIT_MAX_SECONDS, text);
                return -EINVAL;
        }
        *ret = seconds == 0 ? USEC_INFINITY : seconds * USEC_PER_SEC;
        return 0;
}

/* 1: go on, 0: all done, negative: wrong arguments, which were complained about. */
static int parse_arguments(SnoozePluginInstance *instance, int argc, char *argv[]) {
        enum {
                OPTION_IDLE_EXIT = 256,
                OPTION_HOST_EXIT,
                OPTION_SLOT,
                OPTION_DEBUG,
                OPTION_DESCRIBE,
                OPTION_VERSION,
                OPTION_HELP
        };
        static const struct option options[] = {
                { "idle-exit", required_argument, NULL, OPTION_IDLE_EXIT },
                { "host-exit", required_argument, NULL, OPTION_HOST_EXIT },
                { "slot", required_argument, NULL, OPTION_SLOT },
                { "debug", no_argument, NULL, OPTION_DEBUG },
                { "describe", no_argument, NULL, OPTION_DESCRIBE },
                { "version", no_argument, NULL, OPTION_VERSION },
                { "help", no_argument, NULL, OPTION_HELP },
                { NULL, 0, NULL, 0 },
        };
        const SnoozePlugin *plugin = &instance->plugin;
        const char *slot = getenv("SNOOZE_SLOT") ?: "a", *host_exit = getenv("SNOOZE_HOST_EXIT");
        int option;

        if (host_exit && parse_seconds("$SNOOZE_HOST_EXIT", host_exit, &instance->host_exit) < 0)
                return -EINVAL;

        while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0)
                switch (option) {
                case OPTION_IDLE_EXIT:
                        if (parse_seconds("--idle-exit", optarg, &instance->idle_exit) < 0)
                                return -EINVAL;
                        break;
                case OPTION_HOST_EXIT:
                        if (parse_seconds("--host-exit", optarg, &instance->host_exit) < 0)
                                return -EINVAL;
                        break;
                case OPTION_SLOT:
                        slot = optarg;
                        break;
                case OPTION_DEBUG:
                        journal_set_level(LOG_DEBUG);
                        break;
                case OPTION_DESCRIBE:
                        plugin_describe(plugin);
                        return 0;
                case OPTION_VERSION:
                        printf("%s %s\n", plugin->id, plugin->version);
                        return 0;
                case OPTION_HELP:
                        print_help(plugin, argv[0]);
                        return 0;
                default:
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "%s takes no arguments\n", argv[0]);
                return -EINVAL;
        }
        if (strcmp(slot, "a") != 0 && strcmp(slot, "b") != 0) {
                fprintf(stderr, "--slot, $SNOOZE_SLOT: expected a or b, not %s\n", slot);
                return -EINVAL;
        }
        instance->slot = slot[0];
        return 1;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata) {
        life_leave(userdata, "told to by a signal");
        return 0;
}

static int watch_signals(SnoozePluginInstance *instance) {
        static const int signals[] = { SIGTERM, SIGINT };
        sigset_t set;
        int r;

        sigemptyset(&set);
        for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
                sigaddset(&set, signals[i]);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        /* A stream whose reader left is that call's failure alone. */
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
                return -errno;
        for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
                r = sd_event_add_signal(instance->event, NULL, signals[i], on_signal, instance);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int connect_bus(SnoozePluginInstance *instance) {
        int r;

        r = sd_bus_open_system(&instance->bus);
        if (r < 0)
                return r;
        r = callers_watch(instance);
        if (r < 0)
                return r;
        r = contracts_serve(instance, instance->bus);
        if (r < 0)
                return r;
        /* Ends the loop with a failure: systemd starts a plugin anew that is wanted still. */
        r = sd_bus_set_exit_on_disconnect(instance->bus, true);
        if (r < 0)
                return r;
        return sd_bus_attach_event(instance->bus, instance->event, SD_EVENT_PRIORITY_NORMAL);
}

static int start(SnoozePluginInstance *instance) {
        int r;

        r = sd_event_new(&instance->event);
        if (r < 0)
                return r;
        r = watch_signals(instance);
        if (r < 0)
                return r;
        r = connect_bus(instance);
        if (r < 0) {
                log_error("Cannot connect to the system bus: %s", strerror(-r));
                return r;
        }
        r = state_start(instance);
        if (r < 0)
                return r;
        if (instance->plugin.start) {
                r = instance->plugin.start(instance, instance->plugin.userdata);
                if (r < 0)
                        return r;
        }
        return life_start(instance);
}

static void clear(SnoozePluginInstance *instance) {
        events_clear(instance);
        threads_clear(instance);
        state_clear(instance);
        sd_event_source_disable_unref(instance->handshake_timer);
        sd_event_source_disable_unref(instance->idle_timer);
        sd_event_source_disable_unref(instance->exit_source);
        sd_event_source_disable_unref(instance->overdue_timer);
        sd_bus_slot_unref(instance->name_slot);
        sd_bus_slot_unref(instance->slot_name_slot);
        sd_bus_slot_unref(instance->callers_slot);
        sd_event_source_disable_unref(instance->host_timer);
        sd_bus_slot_unref(instance->host_slot);
        free(instance->host);
        channel_close(instance);
        sd_bus_flush_close_unref(instance->bus);
        sd_event_unref(instance->event);
        safe_close(instance->closed_pipe);
        callers_clear(instance);
        dictionary_free(instance->config);
        journal_set_field(NULL);
        free(instance->log_field);
        free(instance->slot_name);
        free(instance->name);
}

static int serve(SnoozePluginInstance *instance) {
        int r;

        r = start(instance);
        if (r < 0) {
                log_error("Cannot start %s: %s", instance->plugin.id, strerror(-r));
                return EXIT_FAILURE;
        }
        r = sd_event_loop(instance->event);
        if (r < 0)
                log_error("%s failed: %s", instance->plugin.id, strerror(-r));
        else if (r == EXIT_FAILURE)
                log_error("%s lost the bus", instance->plugin.id);
        r = r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        /* Without the bus nobody is left to answer to, and a thread that waits for something could wait for ever. So
         * could what was abandoned, whose sources and children may still use its call. */
        if (threads_running(instance) || instance->abandoned > 0 || (instance->deserted && instance->calls > 0)) {
                (void) sd_bus_flush(instance->bus);
                _exit(r);
        }
        return r;
}

static int name_set(SnoozePluginInstance *instance) {
        if (asprintf(&instance->name, PLUGIN_NAME_PREFIX "%s", instance->plugin.id) < 0) {
                instance->name = NULL;
                return -ENOMEM;
        }
        if (asprintf(&instance->slot_name, "%s.%c", instance->name, instance->slot) < 0) {
                instance->slot_name = NULL;
                return -ENOMEM;
        }
        if (asprintf(&instance->log_field, LOG_FIELD "%s", instance->plugin.id) < 0) {
                instance->log_field = NULL;
                return -ENOMEM;
        }
        journal_set_field(instance->log_field);
        return 0;
}

int snooze_plugin_main(const SnoozePlugin *plugin, int argc, char *argv[]) {
        SnoozePluginInstance instance = { .idle_exit = IDLE_EXIT_DEFAULT,
                                          .host_exit = HOST_EXIT_DEFAULT,
                                          .closed_pipe = -EBADF };
        _cleanup_free_ char *problem = NULL;
        int r;

        memcpy(&instance.plugin, plugin, plugin->size < sizeof(SnoozePlugin) ? plugin->size : sizeof(SnoozePlugin));
        problem = plugin_problem(&instance.plugin);
        if (problem) {
                fprintf(stderr, "This plugin's table is wrong: %s\n", problem);
                return EXIT_FAILURE;
        }
        r = parse_arguments(&instance, argc, argv);
        if (r <= 0)
                return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
        r = name_set(&instance);
        if (r >= 0)
                r = errors_register();
        r = r < 0 ? EXIT_FAILURE : serve(&instance);
        clear(&instance);
        return r;
}
