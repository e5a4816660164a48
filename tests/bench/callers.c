/* SPDX-License-Identifier: Apache-2.0 */

#include "callers.h"

#include <poll.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "daemon/plugin/plugin.h"

static void on_vote(Vote *vote, void *userdata) {
        vote_free(vote);
}

static void on_changed(Plugin *plugin, PluginState previous, const char *reason, void *userdata) {
}

static void on_problem(const char *source, const char *message, void *userdata) {
        g_error("%s: %s", source, message);
}

static void on_store_problem(const GError *error, void *userdata) {
        g_error("the store: %s", error ? error->message : "works again");
}

static void add_slots(Callers *callers, const char *bare, const char *plugin) {
        static const char *const slots[] = { "a", "b" };

        for (size_t i = 0; i < G_N_ELEMENTS(slots); i++) {
                g_autofree char *bare_name = g_strdup_printf(BARE_NAME ".%s", slots[i]),
                                *bare_command = g_strdup_printf("/usr/bin/env SNOOZE_SLOT=%s %s %s %s", slots[i], bare,
                                                                bare_name, BARE_NAME),
                                *name = g_strdup_printf(PLUGIN_NAME_PREFIX PLUGIN_ID ".%s", slots[i]),
                                *command = g_strdup_printf("/usr/bin/env SNOOZE_SLOT=%s %s %s", slots[i], plugin,
                                                           PLUGIN_ID);

                bench_bus_add_service(&callers->bus, bare_name, bare_command);
                bench_bus_add_service(&callers->bus, name, command);
        }
}

static void add_services(Callers *callers, const char *program) {
        g_autofree char *folder = g_path_get_dirname(program);
        g_autofree char *full = g_canonicalize_filename(folder, NULL);
        g_autofree char *bare = g_build_filename(full, "bare-service", NULL),
                        *plugin = g_build_filename(full, "idle-plugin", NULL);
        g_autofree char *command = g_strdup_printf("%s %s", bare, BARE_NAME);

        bench_bus_add_service(&callers->bus, BARE_NAME, command);
        bench_bus_add_plugin(&callers->bus, PLUGIN_ID, plugin, callers->contract ?: "IdleCheck");
        if (callers->slots)
                add_slots(callers, bare, plugin);
        for (unsigned i = 0; i < callers->bare_more; i++) {
                g_autofree char *name = g_strdup_printf(BARE_NAME ".n%u", i),
                                *line = g_strdup_printf("%s %s", bare, name);

                bench_bus_add_service(&callers->bus, name, line);
        }
        for (unsigned i = 0; i < callers->more; i++) {
                g_autofree char *id = g_strdup_printf(PLUGIN_ID "-%u", i);

                bench_bus_add_plugin(&callers->bus, id, plugin, callers->contract ?: "IdleCheck");
        }
}

static void add_plugins(Callers *callers, const char *directory, const char *state, const char *etc) {
        g_autoptr(Config) config = config_new_default();

        bench_check(store_new(callers->event, state, NULL, on_store_problem, NULL, &callers->store), "the store");
        bench_check(plugins_new(&(PluginsParameters){ .bus = callers->connection,
                                                      .event = callers->event,
                                                      .config = config,
                                                      .store = callers->store,
                                                      .directories = (const char *const[]){ directory, NULL },
                                                      .state_directory = state,
                                                      .config_directory = etc,
                                                      .vote = on_vote,
                                                      .changed = on_changed,
                                                      .problem = on_problem },
                                &callers->plugins),
                    "plugins");
        callers->plugin = plugins_find(callers->plugins, PLUGIN_ID);
        if (!callers->plugin || *plugin_last_error(callers->plugin))
                g_error("the plugin cannot be used: %s",
                        callers->plugin ? plugin_last_error(callers->plugin) : "not found");
}

static void callers_connect(Callers *callers) {
        bench_check(sd_event_new(&callers->event), "event loop");
        callers->connection = bench_bus_connect(callers->event);
}

void callers_begin(Callers *callers, const char *program) {
        g_autofree char *directory = NULL, *state = NULL;

        bench_bus_prepare(&callers->bus);
        directory = g_build_filename(callers->bus.directory, "plugins", NULL);
        state = g_build_filename(callers->bus.directory, "state", NULL);
        add_services(callers, program);
        bench_bus_start(&callers->bus);
        callers_connect(callers);
        add_plugins(callers, directory, state, callers->bus.directory);
}

void callers_begin_installed(Callers *callers) {
        callers_connect(callers);
        add_plugins(callers, PKGSYSCONFDIR "/plugins", PKGSTATEDIR, PKGSYSCONFDIR);
}

void callers_end(Callers *callers) {
        callers_end_plugin(callers);
        callers_end_bare(callers);
        plugins_free(callers->plugins);
        store_free(callers->store);
        sd_bus_flush_close_unref(callers->connection);
        sd_event_unref(callers->event);
        if (callers->bus.directory)
                bench_bus_end(&callers->bus);
}

static void run_until(Callers *callers, const bool *done) {
        while (!*done)
                bench_check(sd_event_run(callers->event, UINT64_MAX), "event loop");
}

static void on_answer(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        if (error)
                g_error("the plugin's answer: %s", error->message);
        *(bool *) userdata = true;
}

/* The call's userdata goes to append, too, which does not look at it. */
void callers_call_plugin(Callers *callers) {
        bool done = false;

        bench_check(plugin_call(callers->plugin, IDLE_CHECK_INTERFACE, "CheckIdle", 0, TRUE, bench_append_metrics,
                                on_answer, &done),
                    "CheckIdle");
        run_until(callers, &done);
}

void callers_without_channel(Callers *callers) {
        process_close_channel(callers->plugin->process);
        callers->plugin->process->channel_state = CHANNEL_NONE;
}

static int on_bare_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error) {
        if (sd_bus_message_is_method_error(reply, NULL))
                g_error("the bare service's answer: %s", sd_bus_message_get_error(reply)->message);
        *(bool *) userdata = true;
        return 0;
}

static void call_bare(Callers *callers, const char *member) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        bool done = false;

        bench_check(sd_bus_message_new_method_call(callers->connection, &message, BARE_NAME, PLUGIN_PATH,
                                                   IDLE_CHECK_INTERFACE, member),
                    member);
        if (g_str_equal(member, "CheckIdle"))
                bench_check(bench_append_metrics(message, NULL), member);
        bench_check(sd_bus_call_async(callers->connection, &slot, message, on_bare_answer, &done, 0), member);
        run_until(callers, &done);
}

void callers_call_bare(Callers *callers) {
        call_bare(callers, "CheckIdle");
}

/* It is the bus daemon's child. */
static int open_process(pid_t pid) {
        int fd = (int) syscall(SYS_pidfd_open, pid, 0);

        if (fd < 0)
                g_error("process %d: %m", pid);
        return fd;
}

static void wait_for_end(int process) {
        struct pollfd fd = { .fd = process, .events = POLLIN };

        if (poll(&fd, 1, 10000) != 1)
                g_error("a service does not end");
}

static void on_settled(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        if (error)
                g_error("the plugin does not start or end: %s", error->message);
        *(bool *) userdata = true;
}

void callers_start_plugin(Callers *callers) {
        bool done = false;

        plugin_load(callers->plugin, on_settled, &done);
        run_until(callers, &done);
}

void callers_end_plugin(Callers *callers) {
        _cleanup_close_ int process = -1;
        bool done = false;

        if (plugin_state(callers->plugin) != PLUGIN_RUNNING)
                return;
        process = open_process(plugin_pid(callers->plugin));
        plugin_unload(callers->plugin, on_settled, &done);
        run_until(callers, &done);
        wait_for_end(process);
}

void callers_end_bare(Callers *callers) {
        _cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
        _cleanup_close_ int process = -1;
        pid_t pid;

        if (sd_bus_get_name_creds(callers->connection, BARE_NAME, SD_BUS_CREDS_PID, &creds) < 0)
                return;
        bench_check(sd_bus_creds_get_pid(creds, &pid), "the bare service's process");
        process = open_process(pid);
        call_bare(callers, "Quit");
        wait_for_end(process);
}
