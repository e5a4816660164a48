/* SPDX-License-Identifier: Apache-2.0 */

/* The version that was replaced, and the calls that it has yet: whatever becomes of its plugin meanwhile. The trial of
 * the one that took its place is short here. */

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/errors.h"
#include "base/names.h"
#include "plugin-fixture.h"

#define CONTRACTS "\"IdleCheck\", \"RequestHandler\""
#define TIMEOUTS ", \"timeouts\": {\"initialize\": 5, \"check\": 0.3, \"provider\": %s, \"shutdown\": 0.3}"
#define LONG "60"

typedef struct Told {
        unsigned n;
        char *error, *message;
} Told;

typedef struct Draining {
        PluginFixture f;
        Plugin *plugin;
        Told call, upgrade;
        char *timeouts;
        gboolean harmless; /* the call: it is repeated */
        pid_t old;
        int end; /* readable when that is over */
} Draining;

static void tell(Told *told, const sd_bus_error *error) {
        told->n++;
        g_free(told->error);
        g_free(told->message);
        told->error = g_strdup(error ? error->name : "");
        told->message = g_strdup(error ? error->message : "");
}

static void told_clear(Told *told) {
        g_free(told->error);
        g_free(told->message);
}

static void on_settled(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        tell(userdata, error);
}

static void on_answer(Plugin *plugin, sd_bus_message *reply, const sd_bus_error *error, void *userdata) {
        tell(userdata, error);
}

static int append_request(sd_bus_message *message, void *userdata) {
        return sd_bus_message_append(message, "sa{sv}", "anything", 0);
}

static void ask(Draining *d) {
        g_assert_cmpint(plugin_call(d->plugin, REQUEST_HANDLER_INTERFACE, "Handle", 0, d->harmless, append_request,
                                    on_answer, &d->call),
                        ==, 0);
}

static Manifest *describe(Draining *d, const char *version) {
        g_autofree char *plugins = g_build_filename(d->f.directory, "plugins", NULL);
        g_autofree char *text = g_strdup_printf("{\"name\": \"one\", \"version\": \"%s\", \"exec\": \"%s\", "
                                                "\"contracts\": [" CONTRACTS "]%s}",
                                                version, g_getenv("FAKE_PLUGIN"), d->timeouts);
        g_autoptr(GError) error = NULL;
        Manifest *manifest;

        fixture_write(&d->f, "plugins/one/plugin.json", text);
        manifest = manifest_load(plugins, "one", d->f.plugins->trusted_uid, &error);
        g_assert_no_error(error);
        return manifest;
}

static void upgrade(Draining *d, const char *version, Told *told) {
        plugin_upgrade(d->plugin, describe(d, version), told ? on_settled : NULL, told);
}

static void add_slot(Draining *d, const char *slot, const char *behaviour) {
        g_autofree char *name = g_strdup_printf("services/io.cloudsnooze.Plugin1.one.%s.service", slot);
        g_autofree char *entry = g_strdup_printf("[D-BUS Service]\nName=io.cloudsnooze.Plugin1.one.%s\n"
                                                 "Exec=/usr/bin/env SNOOZE_SLOT=%s %s one %s %s\n",
                                                 slot, slot, g_getenv("FAKE_PLUGIN"), behaviour, d->f.directory);

        fixture_write(&d->f, name, entry);
}

/* What the bus starts by the plugin's own name: of the version that counts. */
static void place(Draining *d, const char *behaviour) {
        g_autofree char *text = g_strdup_printf("exec %s one %s %s\n", g_getenv("FAKE_PLUGIN"), behaviour,
                                                d->f.directory);

        fixture_write(&d->f, "one.program", text);
}

static void add_own(Draining *d) {
        g_autofree char *entry = g_strdup_printf("[D-BUS Service]\nName=io.cloudsnooze.Plugin1.one\n"
                                                 "Exec=/bin/sh %s/one.program\n",
                                                 d->f.directory);

        fixture_write(&d->f, "services/io.cloudsnooze.Plugin1.one.service", entry);
}

/* Version 1.0.0 has a call for so many seconds at most when 1.1.0 takes its place. */
static void begin(Draining *d, const char *old, const char *new, const char *seconds) {
        d->timeouts = g_strdup_printf(TIMEOUTS, seconds);
        d->f.trial = 100 * USEC_PER_MSEC;
        fixture_prepare(&d->f);
        fixture_add(&d->f, "one", old, CONTRACTS, d->timeouts);
        place(d, old);
        add_own(d);
        add_slot(d, "a", new);
        add_slot(d, "b", new);
        fixture_start(&d->f, "{}");
        d->plugin = plugins_find(d->f.plugins, "one");
        plugin_load(d->plugin, NULL, NULL);
        run_until(d->f.bus.event, d->plugin->state == PLUGIN_RUNNING);
        ask(d);
        g_assert_cmpuint(process_count_calls(d->plugin->process), ==, 1);
        d->old = d->plugin->process->pid;
        d->end = (int) syscall(SYS_pidfd_open, d->old, 0);
        g_assert_cmpint(d->end, >=, 0);
        place(d, new);
        upgrade(d, "1.1.0", &d->upgrade);
        run_until(d->f.bus.event, d->plugin->previous);
        g_assert_cmpstr(d->plugin->manifest->version, ==, "1.1.0");
        g_assert_cmpint(d->plugin->previous->pid, ==, d->old);
        /* The version that serves has a channel of its own. */
        g_assert_cmpint(d->plugin->process->channel_state, ==,
                        g_str_has_prefix(new, "channel-") ? CHANNEL_OPEN : CHANNEL_NONE);
}

static void outlast_trial(Draining *d) {
        run_until(d->f.bus.event, d->upgrade.n == 1);
        g_assert_null(d->plugin->swap);
        g_assert_nonnull(d->plugin->previous);
        g_assert_cmpstr(d->upgrade.error, ==, "");
        g_assert_cmpuint(d->call.n, ==, 0);
}

static void answer(Draining *d) {
        g_assert_cmpint(kill(d->old, SIGUSR1), ==, 0);
}

static void end(Draining *d) {
        fixture_down(&d->f);
        told_clear(&d->call);
        told_clear(&d->upgrade);
        g_free(d->timeouts);
        close(d->end);
}

static void wait_until_gone(Draining *d) {
        struct pollfd gone = { .fd = d->end, .events = POLLIN };

        g_assert_cmpint(poll(&gone, 1, 20000), ==, 1);
}

/* The old one ends its call and leaves; whoever asked for the new one is told when that has proved itself. What comes
 * next has to wait for the slot. */
static void test_call_outlasts_the_trial(const void *data) {
        Draining d = {};
        Told busy = {}, same = {};

        begin(&d, data, data, LONG);
        outlast_trial(&d);
        g_assert_true(d.plugin->healthy);

        upgrade(&d, "1.1.0", &same);
        run_until(d.f.bus.event, same.n == 1);
        g_assert_cmpstr(same.error, ==, "");
        for (unsigned i = 1; i <= 2; i++) {
                upgrade(&d, i == 1 ? "1.0.0" : "1.2.0", &busy);
                run_until(d.f.bus.event, busy.n == i);
                g_assert_cmpstr(busy.error, ==, ERROR_BUSY);
                g_assert_nonnull(strstr(busy.message, "version 1.0.0, which was replaced, has 1 call to finish"));
        }
        /* As the watch sees it. */
        upgrade(&d, "1.3.0", NULL);
        g_assert_null(d.plugin->swap);
        g_assert_true(d.plugin->stale);
        g_assert_cmpstr(d.plugin->next_manifest->version, ==, "1.3.0");
        g_assert_cmpstr(d.plugin->manifest->version, ==, "1.1.0");

        answer(&d);
        run_until(d.f.bus.event, d.call.n == 1);
        g_assert_cmpstr(d.call.error, ==, "");
        run_until(d.f.bus.event, g_str_equal(d.plugin->manifest->version, "1.3.0"));
        g_assert_cmpuint(fixture_noted(&d.f, "one", "starts"), ==, 3);
        g_assert_cmpuint(d.f.problems->len, ==, 0);
        g_assert_null(d.plugin->next_manifest);
        told_clear(&busy);
        told_clear(&same);
        end(&d);
}

/* Called over the bus it has one call at a time: it is told to leave behind that. */
static void test_no_word_beside_a_call_over_the_bus(void) {
        Draining d = {};

        begin(&d, "slot-hold", "slot-hold", LONG);
        outlast_trial(&d);
        g_assert_cmpuint(fixture_noted(&d.f, "one", "Shutdown"), ==, 0);
        answer(&d);
        run_until(d.f.bus.event, d.call.n == 1);
        g_assert_cmpstr(d.call.error, ==, "");
        run_until(d.f.bus.event, !d.plugin->previous);
        g_assert_cmpuint(fixture_noted(&d.f, "one", "Shutdown"), ==, 1);
        wait_until_gone(&d);
        end(&d);
}

/* Its call ends in time, and so does it. What it failed at is not its successor's. */
static void test_one_that_hangs_is_killed(void) {
        Draining d = {};
        unsigned faults;

        begin(&d, "channel-slot-hold-on", "channel-slot-good", "3");
        faults = d.plugin->faults;
        outlast_trial(&d);
        run_until(d.f.bus.event, d.call.n == 1);
        g_assert_cmpstr(d.call.error, ==, ERROR_TIMED_OUT);
        run_until(d.f.bus.event, !d.plugin->previous);
        wait_until_gone(&d);
        g_assert_true(d.plugin->healthy);
        g_assert_cmpuint(d.plugin->faults, ==, faults);
        g_assert_cmpuint(d.plugin->restarts, ==, 0);
        g_assert_cmpint(d.plugin->state, ==, PLUGIN_RUNNING);
        g_assert_cmpuint(d.f.problems->len, ==, 0);
        end(&d);
}

/* It falls, and is started again in its own slot, though the name is the old one's yet; which goes on. */
static void test_the_new_one_falls(const void *data) {
        Draining d = {};
        pid_t fell;

        begin(&d, data, "channel-slot-good", LONG);
        outlast_trial(&d);
        fell = d.plugin->process->pid;
        g_assert_cmpint(kill(fell, SIGKILL), ==, 0);
        run_until(d.f.bus.event, d.plugin->state == PLUGIN_FAILED);
        g_assert_nonnull(d.plugin->previous);
        run_until(d.f.bus.event, d.plugin->state == PLUGIN_RUNNING);
        g_assert_cmpint(d.plugin->process->pid, !=, fell);
        g_assert_cmpint(d.plugin->process->pid, !=, d.old);
        g_assert_cmpint(d.plugin->slot, ==, PLUGIN_SLOT_B);
        g_assert_nonnull(d.plugin->previous);
        g_assert_cmpuint(d.call.n, ==, 0);
        answer(&d);
        run_until(d.f.bus.event, d.call.n == 1);
        g_assert_cmpstr(d.call.error, ==, "");
        run_until(d.f.bus.event, !d.plugin->previous);
        wait_until_gone(&d);
        g_assert_cmpint(d.plugin->state, ==, PLUGIN_RUNNING);
        g_assert_true(d.plugin->healthy);
        end(&d);
}

/* The end of the plugin is the end of both. */

static void unload(Draining *d) {
        plugin_unload(d->plugin, NULL, NULL);
}

static void disable(Draining *d) {
        fixture_set_enabled(&d->f, "one", FALSE);
}

static void restart(Draining *d) {
        plugin_restart(d->plugin);
}

static void remove_it(Draining *d) {
        g_autofree char *path = g_build_filename(d->f.directory, "plugins/one", NULL);

        fixture_remove(path);
        g_strfreev(plugins_discover(d->f.plugins));
}

static void turn_off(Draining *d) {
        g_autoptr(Config) config = fixture_config("{\"plugins\": {\"enabled\": false}}");

        plugins_set_config(d->f.plugins, config);
}

typedef struct End {
        void (*run)(Draining *d);
        void (*before)(Draining *d); /* what became of the one that replaced it by then */
} End;

static void stop_new(Draining *d) {
        outlast_trial(d);
        plugin_end_process(d->plugin, "for the test");
        plugin_stopped(d->plugin, "for the test");
        g_assert_cmpint(d->plugin->state, ==, PLUGIN_STOPPED);
        g_assert_nonnull(d->plugin->previous);
}

/* It is about to be started again; not before the next thing is done, however slow this machine is. */
static void fell_new(Draining *d) {
        outlast_trial(d);
        plugin_fail(d->plugin, "for the test");
        g_assert_cmpint(d->plugin->state, ==, PLUGIN_FAILED);
        g_assert_nonnull(d->plugin->timer);
        g_assert_cmpint(sd_event_source_set_time_relative(d->plugin->timer, USEC_PER_MINUTE), >=, 0);
        g_assert_nonnull(d->plugin->previous);
}

static void test_it_is_ended_with_its_plugin(const void *data) {
        const End *how = data;
        Draining d = {};

        begin(&d, "channel-slot-hold-name", "channel-slot-leave-politely", LONG);
        how->before(&d);
        how->run(&d);
        g_assert_null(d.plugin->previous);
        run_until(d.f.bus.event, d.call.n == 1);
        g_assert_cmpstr(d.call.error, ==, ERROR_PLUGIN_FAILED);
        wait_until_gone(&d);
        end(&d);
}

/* What may be repeated goes to nobody behind the back of who ended the plugin, and does not wait for its deadline. */
static void test_it_is_ended_and_asked_harmless_things(const void *data) {
        const End *how = data;
        Draining d = { .harmless = TRUE };

        begin(&d, "channel-slot-hold-name", "channel-slot-good", LONG);
        how->before(&d);
        how->run(&d);
        run_until(d.f.bus.event, d.call.n == 1);
        if (how->run == restart) {
                g_assert_cmpstr(d.call.error, ==, "");
                g_assert_cmpint(d.plugin->state, ==, PLUGIN_RUNNING);
        } else {
                /* … for that restart, when the plugin went. */
                gboolean waited = how->run == remove_it && how->before == fell_new;

                g_assert_cmpstr(d.call.error, ==, waited ? ERROR_NO_SUCH_PLUGIN : ERROR_NOT_RUNNING);
                g_assert_cmpuint(fixture_noted(&d.f, "one", "starts"), ==, 2);
        }
        wait_until_gone(&d);
        end(&d);
}

static void quarantine(Draining *d) {
        outlast_trial(d);
        plugin_end_process(d->plugin, "for the test");
        plugin_failures_remember(d->plugin, clock_monotonic());
        plugin_quarantine(d->plugin, "for the test");
        g_assert_cmpint(d->plugin->state, ==, PLUGIN_QUARANTINED);
}

static void test_it_falls_and_is_asked_harmless_things(const void *data) {
        void (*before)(Draining *d) = *(void (*const *)(Draining *)) data;
        Draining d = { .harmless = TRUE };
        gboolean stopped = before == stop_new;

        begin(&d, "channel-slot-hold-name", "channel-slot-good", LONG);
        before(&d);
        g_assert_cmpint(kill(d.old, SIGKILL), ==, 0);
        run_until(d.f.bus.event, d.call.n == 1);
        g_assert_null(d.plugin->previous);
        g_assert_cmpstr(d.call.error, ==, stopped ? "" : ERROR_NOT_RUNNING);
        g_assert_cmpint(d.plugin->state, ==, stopped ? PLUGIN_RUNNING : PLUGIN_QUARANTINED);
        end(&d);
}

/* Within the trial as well, and whoever waits is told. */
static void test_within_the_trial(void) {
        Draining d = {};

        begin(&d, "channel-slot-hold-name", "channel-slot-leave-politely", LONG);
        g_assert_nonnull(d.plugin->swap);
        plugin_unload(d.plugin, NULL, NULL);
        g_assert_null(d.plugin->previous);
        g_assert_null(d.plugin->swap);
        run_until(d.f.bus.event, d.call.n == 1 && d.upgrade.n == 1);
        g_assert_cmpstr(d.upgrade.error, ==, "");
        wait_until_gone(&d);
        end(&d);
}

/* The daemon ends: what it leaves behind are two processes that know it. */
static void test_the_daemon_ends(void) {
        Draining d = {};

        begin(&d, "channel-slot-hold", "channel-slot-good", LONG);
        outlast_trial(&d);
        end(&d);
}

int main(int argc, char **argv) {
        static const char *const transports[] = { "channel-slot-hold", "slot-hold" },
                                 *const holders[] = { "channel-slot-hold", "channel-slot-hold-name", "slot-hold" };
        static const struct {
                const char *name;
                End end;
        } ends[] = {
                { "unload", { unload, outlast_trial } },
                { "disable", { disable, outlast_trial } },
                { "restart", { restart, outlast_trial } },
                { "removal", { remove_it, outlast_trial } },
                { "turned-off", { turn_off, outlast_trial } },
                { "stopped-unload", { unload, stop_new } },
                { "stopped-disable", { disable, stop_new } },
                { "stopped-restart", { restart, stop_new } },
                { "stopped-removal", { remove_it, stop_new } },
                { "stopped-turned-off", { turn_off, stop_new } },
                { "fell-unload", { unload, fell_new } },
                { "fell-disable", { disable, fell_new } },
                { "fell-restart", { restart, fell_new } },
                { "fell-removal", { remove_it, fell_new } },
                { "fell-turned-off", { turn_off, fell_new } },
        };

        static void (*const fates[])(Draining *d) = { stop_new, quarantine };

        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(transports); i++) {
                g_autofree char *path = g_strconcat("/plugin-drain/beyond-the-trial/", transports[i], NULL);

                g_test_add_data_func(path, transports[i], test_call_outlasts_the_trial);
        }
        g_test_add_func("/plugin-drain/no-word-beside-a-call-over-the-bus", test_no_word_beside_a_call_over_the_bus);
        g_test_add_func("/plugin-drain/hangs", test_one_that_hangs_is_killed);
        for (size_t i = 0; i < G_N_ELEMENTS(holders); i++) {
                g_autofree char *path = g_strconcat("/plugin-drain/new-one-falls/", holders[i], NULL);

                g_test_add_data_func(path, holders[i], test_the_new_one_falls);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                g_autofree char *path = g_strconcat("/plugin-drain/ended-with-its-plugin/", ends[i].name, NULL);

                g_test_add_data_func(path, &ends[i].end, test_it_is_ended_with_its_plugin);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                g_autofree char *path = g_strconcat("/plugin-drain/harmless/", ends[i].name, NULL);

                if (ends[i].end.before != outlast_trial)
                        g_test_add_data_func(path, &ends[i].end, test_it_is_ended_and_asked_harmless_things);
        }
        g_test_add_data_func("/plugin-drain/harmless/falls-stopped", &fates[0],
                             test_it_falls_and_is_asked_harmless_things);
        g_test_add_data_func("/plugin-drain/harmless/falls-quarantined", &fates[1],
                             test_it_falls_and_is_asked_harmless_things);
        g_test_add_func("/plugin-drain/ended-within-the-trial", test_within_the_trial);
        g_test_add_func("/plugin-drain/daemon-ends", test_the_daemon_ends);
        return g_test_run();
}
