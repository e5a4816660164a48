/* SPDX-License-Identifier: Apache-2.0 */

/* Rows "hot swap" and "hot swap take-over": a thousand calls a second while another version takes the place of the
 * one that answers them, the longest of their waits, and how long it takes from the moment the new one is initialized
 * until the old one has given the name away; ms. Beside them a service of bare sd-bus that another instance of it,
 * which waits in the queue for the name, succeeds under the same load: asked for as much state, which the other gets,
 * and told to release the name. In turn, on one CPU; medians. Every call has to be answered. "… absolute": the worst
 * of all swaps beside what nobody may wait longer for, whatever the bare service needs. */

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/journal.h"
#include "base/names.h"
#include "bus/owner.h"
#include "callers.h"
#include "daemon/plugin/plugin.h"

#define ROUNDS 40U
#define INTERVAL_USEC 1000U
#define CALLS_BEFORE 20U
#define CALLS_AFTER 50U
#define GOAL 2.0
#define ABSOLUTE_MS 10.0
#define CONTRACTS "DataProcessor\", \"State" /* two elements of the manifest's list */

typedef struct Load {
        Callers *callers;
        bool bare;
        GBytes *block;
        sd_event_source *timer;
        double due;
        unsigned sent, answered;
        double longest;
} Load;

typedef struct Sent {
        Load *load;
        double begun;
} Sent;

typedef struct Result {
        double longest, takeover;
} Result;

static void answered(Sent *sent) {
        Load *load = sent->load;

        load->answered++;
        load->longest = MAX(load->longest, bench_now_usec() - sent->begun);
        g_free(sent);
}

static void on_block(Plugin *plugin, GBytes *output, const sd_bus_error *error, void *userdata) {
        if (error)
                g_error("a call was lost: %s", error->message);
        answered(userdata);
}

static int on_bare(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(reply, NULL))
                g_error("a call was lost: %s", sd_bus_message_get_error(reply)->message);
        answered(userdata);
        return 1;
}

static void send_bare(Load *load, Sent *sent) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;

        bench_check(sd_bus_message_new_method_call(load->callers->connection, &message, BARE_NAME, PLUGIN_PATH,
                                                   IDLE_CHECK_INTERFACE, "CheckIdle"),
                    "CheckIdle");
        bench_check(bench_append_metrics(message, NULL), "CheckIdle");
        bench_check(sd_bus_call_async(load->callers->connection, NULL, message, on_bare, sent, 0), "CheckIdle");
}

/* A call that could not be made in time has waited, too. */
static int on_time(sd_event_source *source, uint64_t usec, void *userdata) {
        Load *load = userdata;

        for (; load->due <= bench_now_usec(); load->due += INTERVAL_USEC) {
                Sent *sent = g_new(Sent, 1);

                *sent = (Sent) { .load = load, .begun = load->due };
                load->sent++;
                if (load->bare)
                        send_bare(load, sent);
                else
                        bench_check(plugin_process_data(load->callers->plugin, load->block, 0, on_block, sent),
                                    "ProcessData");
        }
        bench_check(sd_event_source_set_time_relative(source, INTERVAL_USEC), "timer");
        return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void step(Load *load) {
        bench_check(sd_event_run(load->callers->event, UINT64_MAX), "event loop");
}

static void load_for(Load *load, unsigned calls) {
        unsigned until = load->answered + calls;

        while (load->answered < until)
                step(load);
}

static void load_begin(Load *load) {
        load->due = bench_now_usec();
        bench_check(sd_event_add_time_relative(load->callers->event, &load->timer, CLOCK_MONOTONIC, INTERVAL_USEC, 1,
                                               on_time, load),
                    "timer");
        load_for(load, CALLS_BEFORE);
}

static void load_end(Load *load) {
        load_for(load, CALLS_AFTER);
        load->timer = sd_event_source_disable_unref(load->timer);
        while (load->answered < load->sent)
                step(load);
}

/* The plugin */

/* Before the calls begin: it is waited for until the disk has it, which is no part of a swap. */
static void write_manifest(Callers *callers, unsigned number) {
        g_autofree char *file = g_strdup_printf("plugins/%s/plugin.json", PLUGIN_ID);
        g_autofree char *path = g_build_filename(callers->bus.directory, file, NULL), *text = NULL, *changed = NULL;
        g_autoptr(GError) error = NULL;

        if (!g_file_get_contents(path, &text, NULL, &error))
                g_error("%s", error->message);
        changed = g_strdup_printf("{\"description\": \"%u\", %s", number, strstr(text, "\"name\""));
        bench_write(callers->bus.directory, file, changed);
}

static Manifest *read_manifest(Callers *callers) {
        g_autofree char *directory = g_build_filename(callers->bus.directory, "plugins", NULL);
        g_autoptr(GError) error = NULL;
        Manifest *manifest = manifest_load(directory, PLUGIN_ID, getuid(), &error);

        if (!manifest)
                g_error("%s", error->message);
        return manifest;
}

static void on_swapped(Plugin *plugin, const sd_bus_error *error, void *userdata) {
        if (error)
                g_error("the swap: %s", error->message);
        *(bool *) userdata = true;
}

static Result measure_plugin(Callers *callers, GBytes *block, unsigned number) {
        Load load = { .callers = callers, .block = block };
        Plugin *plugin = callers->plugin;
        double ready = 0, released = 0;
        bool done = false;

        write_manifest(callers, number);
        load_begin(&load);
        plugin_upgrade(plugin, read_manifest(callers), on_swapped, &done);
        while (!done || released == 0) {
                step(&load);
                if (ready == 0 && plugin->next && plugin->next->ready)
                        ready = bench_now_usec();
                if (released == 0 && ready != 0 && !plugin->next &&
                    g_strcmp0(plugin->owner, plugin->process->peer) == 0)
                        released = bench_now_usec();
        }
        load_end(&load);
        return (Result) { load.longest / 1e3, (released - ready) / 1e3 };
}

/* The bare service: its second instance has a name of its own by which the bus starts it. */

static const char *const instances[] = { BARE_NAME ".a", BARE_NAME ".b" };

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error) {
        if (sd_bus_message_is_method_error(reply, NULL))
                g_error("the bare service: %s", sd_bus_message_get_error(reply)->message);
        *(sd_bus_message **) userdata = sd_bus_message_ref(reply);
        return 1;
}

/* Caller unrefs. */
static sd_bus_message *ask(Load *load, const char *instance, const char *member, const void *state, size_t size) {
        _cleanup_bus_message_ sd_bus_message *call = NULL;
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        sd_bus_message *reply = NULL;

        bench_check(sd_bus_message_new_method_call(load->callers->connection, &call, instance, PLUGIN_PATH,
                                                   IDLE_CHECK_INTERFACE, member),
                    member);
        if (state)
                bench_check(sd_bus_message_append_array(call, 'y', state, size), member);
        bench_check(sd_bus_call_async(load->callers->connection, &slot, call, on_reply, &reply, 0), member);
        while (!reply)
                step(load);
        return reply;
}

static void tell(Load *load, const char *instance, const char *member) {
        sd_bus_message_unref(ask(load, instance, member, NULL, 0));
}

static void hand_state_over(Load *load, const char *old, const char *new) {
        _cleanup_bus_message_ sd_bus_message *exported = ask(load, old, "Export", NULL, 0);
        const void *state;
        size_t size;

        bench_check(sd_bus_message_read_array(exported, 'y', &state, &size), "Export");
        sd_bus_message_unref(ask(load, new, "Import", state, size));
}

static void on_owner(const char *name, const char *old_owner, const char *new_owner, void *userdata) {
        if (strcmp(name, BARE_NAME) == 0 && *new_owner)
                *(bool *) userdata = true;
}

static Result measure_bare(Callers *callers, unsigned number) {
        const char *old = instances[number % 2], *new = instances[(number + 1) % 2];
        _cleanup_bus_slot_ sd_bus_slot *watch = NULL;
        Load load = { .callers = callers, .bare = true };
        bool taken = false;
        double ready, released;

        load_begin(&load);
        bench_check(owner_watch(callers->connection, BARE_NAME, on_owner, &taken, &watch), "the watch");
        tell(&load, new, "Ready");
        ready = bench_now_usec();
        hand_state_over(&load, old, new);
        tell(&load, old, "Release");
        while (!taken)
                step(&load);
        released = bench_now_usec();
        load_end(&load);
        tell(&load, old, "Quit");
        return (Result) { load.longest / 1e3, (released - ready) / 1e3 };
}

static double most(const double *values, size_t n) {
        double value = values[0];

        for (size_t i = 1; i < n; i++)
                value = MAX(value, values[i]);
        return value;
}

int main(int argc, char **argv) {
        unsigned rounds = bench_is_smoke(argc, argv) ? 3 : ROUNDS;
        static const char zeros[64];
        g_autoptr(GBytes) block = g_bytes_new_static(zeros, sizeof(zeros));
        double longest[ROUNDS], takeover[ROUNDS], bare_longest[ROUNDS], bare_takeover[ROUNDS];
        Callers callers = { .contract = CONTRACTS, .slots = true };
        Load first = { .callers = &callers };

        g_setenv("BENCH_STATE_SIZE", "1000", TRUE); /* as much as the bare service has */
        journal_set_level(LOG_WARNING); /* each swap is a notice */
        bench_pin();
        callers_begin(&callers, argv[0]);
        callers_start_plugin(&callers);
        tell(&first, instances[0], "Ready");
        for (unsigned i = 0; i < rounds; i++) {
                Result result = measure_bare(&callers, i);

                bare_longest[i] = result.longest;
                bare_takeover[i] = result.takeover;
                result = measure_plugin(&callers, block, i);
                longest[i] = result.longest;
                takeover[i] = result.takeover;
        }
        tell(&first, instances[rounds % 2], "Quit");
        callers_end(&callers);

        bench_print(
                (const BenchRow[]){
                        { .name = "hot swap",
                          .unit = "ms",
                          .value = bench_median(longest, rounds),
                          .beside = bench_median(bare_longest, rounds),
                          .goal = GOAL },
                        { .name = "hot swap take-over",
                          .unit = "ms",
                          .value = bench_median(takeover, rounds),
                          .beside = bench_median(bare_takeover, rounds),
                          .goal = GOAL },
                        { .name = "hot swap absolute",
                          .unit = "ms",
                          .value = most(longest, rounds),
                          .beside = ABSOLUTE_MS,
                          .goal = 1.0 },
                        { .name = "hot swap take-over absolute",
                          .unit = "ms",
                          .value = most(takeover, rounds),
                          .beside = ABSOLUTE_MS,
                          .goal = 1.0 },
                },
                4);
        return 0;
}
