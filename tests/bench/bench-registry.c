/* SPDX-License-Identifier: Apache-2.0 */

/* Row "registry": the daemon of a machine with 1,000 plugins, from the start of its process until it has answered,
 * over the bus, which plugins there are; until it owns its name; and GetManagedObjects of them all, beside a process
 * of bare sd-bus that sends the very same reply, value by value, from a list that it keeps. Everything on one CPU. Of
 * the calls the medians; of the starts the fastest, for they are held against a time, and whatever else this machine
 * does would count as well. */

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "bench.h"

#define PLUGINS 1000U
#define PLUGINS_SMOKE 20U
#define STARTS 9U
#define CALLS 25U
#define START_GOAL 150 /* ms */
#define OBJECTS_GOAL 1.5
#define WITHIN_USEC (UINT64_C(30) * 1000000)
#define OBJECT_MANAGER "org.freedesktop.DBus.ObjectManager"
#define ECHO_NAME "io.cloudsnooze.Bench1"

/* Of the length and with the kinds of keys that the shipped ones have. */
static const char manifest_format[] =
        "{\"name\": \"%s\", \"display_name\": \"One of very many\", \"version\": \"1.2.3\", \"author\": \"The authors "
        "of this plugin\",\n"
        " \"description\": \"Says whether the thing that it looks after is in use, and by how many\",\n"
        " \"category\": \"idle-check\", \"tags\": [\"thing\", \"many\"], \"language\": \"sh\", \"api\": 1, \"exec\": "
        "\"run\",\n"
        " \"repository\": \"https://example.org/things.git\", \"contracts\": [\"IdleCheck\"],\n"
        " \"permissions\": [\"network:localhost:6379\", \"processes\"],\n"
        " \"config_schema\": {\"port\": {\"type\": \"integer\", \"description\": \"Where it listens\", \"default\": "
        "6379,\n"
        "  \"constraints\": \"1..65535\"}},\n"
        " \"limits\": {\"memory_mb\": 64, \"cpu_percent\": 20, \"tasks\": 4}}\n";

static void add_plugins(BenchBus *bus, unsigned count) {
        for (unsigned i = 0; i < count; i++) {
                g_autofree char *id = g_strdup_printf("thing-%u", i), *text = g_strdup_printf(manifest_format, id);
                g_autofree char *file = g_strdup_printf("plugins/%s/plugin.json", id),
                                *program = g_strdup_printf("plugins/%s/run", id);
                g_autofree char *path = g_build_filename(bus->directory, program, NULL);

                bench_write(bus->directory, file, text);
                bench_write(bus->directory, program, "#!/bin/sh\nexit 0\n");
                if (g_chmod(path, 0755) < 0)
                        g_error("%s: %m", path);
        }
}

static GPid start_daemon(BenchBus *bus, const char *folder) {
        g_autofree char *program = g_build_filename(folder, "..", "..", "src", "daemon", "snoozed", NULL);
        g_autofree char *state = g_build_filename(bus->directory, "state", NULL),
                        *run = g_build_filename(bus->directory, "run", NULL);
        g_autofree char *etc = g_build_filename(bus->directory, "etc", NULL);
        g_autofree char *plugins = g_build_filename(bus->directory, "plugins", NULL);
        const char *const arguments[] = { program, "--state-directory",  state, "--runtime-directory", run,
                                          "--config-directory", etc, "--plugin-directory", plugins, NULL };

        return bench_spawn(bus, arguments, -1);
}

static int on_owner(sd_bus_message *signal, void *userdata, sd_bus_error *error) {
        const char *name, *before, *owner;
        double *owned = userdata;

        if (sd_bus_message_read(signal, "sss", &name, &before, &owner) >= 0 && *owner && *owned == 0)
                *owned = bench_now_usec();
        return 0;
}

/* When that was, for `owned` is where on_owner() writes it. */
static void wait_until_owned(sd_bus *bus, const double *owned) {
        double deadline = bench_now_usec() + WITHIN_USEC;
        int r;

        while (*owned == 0) {
                if (bench_now_usec() > deadline)
                        g_error("nobody owns the name");
                while ((r = sd_bus_process(bus, NULL)) > 0)
                        ;
                bench_check(r, "the private bus");
                if (*owned == 0)
                        bench_check(sd_bus_wait(bus, WITHIN_USEC / 10), "the private bus");
        }
}

static sd_bus_slot *expect_owner(sd_bus *bus, const char *name, double *owned) {
        g_autofree char *match = g_strdup_printf(
                "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", name);
        sd_bus_slot *slot = NULL;

        bench_check(sd_bus_add_match(bus, &slot, match, on_owner, owned), "signals");
        return slot;
}

static void check_listed(sd_bus *bus, unsigned count) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const char *path;
        unsigned listed = 0;
        int r;

        bench_check(sd_bus_call_method(bus, SNOOZE_NAME, SNOOZE_PATH, SNOOZE_MANAGER_INTERFACE, "ListPlugins", NULL,
                                       &reply, NULL),
                    "ListPlugins");
        bench_check(sd_bus_message_enter_container(reply, 'a', "o"), "ListPlugins");
        while ((r = sd_bus_message_read_basic(reply, 'o', &path)) > 0)
                listed++;
        bench_check(r, "ListPlugins");
        if (listed != count)
                g_error("%u plugins are known, not %u", listed, count);
}

typedef struct Start {
        double owned, listed; /* ms after the start of the process */
} Start;

static Start measure_start(BenchBus *bench, const char *folder, sd_bus *bus, unsigned count, GPid *ret) {
        double owned = 0, begun;
        G_GNUC_UNUSED _cleanup_bus_slot_ sd_bus_slot *slot = expect_owner(bus, SNOOZE_NAME, &owned);

        begun = bench_now_usec();
        *ret = start_daemon(bench, folder);
        wait_until_owned(bus, &owned);
        check_listed(bus, count);
        return (Start){ (owned - begun) / 1e3, (bench_now_usec() - begun) / 1e3 };
}

static sd_bus_message *get_objects(sd_bus *bus, const char *name, const char *interface) {
        sd_bus_message *reply = NULL;

        bench_check(sd_bus_call_method(bus, name, SNOOZE_PATH, interface, "GetManagedObjects", NULL, &reply, NULL),
                    name);
        return reply;
}

static double measure_objects(sd_bus *bus, const char *name, const char *interface) {
        double begun = bench_now_usec();
        _cleanup_bus_message_ G_GNUC_UNUSED sd_bus_message *reply = get_objects(bus, name, interface);

        return (bench_now_usec() - begun) / 1e3;
}

/* One call that writes the reply: a value, the beginning or (type 0) the end of a container. Texts are the kept
 * message's. */
typedef struct Step {
        char type;
        union {
                const char *text;
                uint64_t number;
        } value;
} Step;

static bool is_container(char type) {
        return strchr("aver", type) != NULL;
}

static void take_steps(sd_bus_message *message, GArray *steps) {
        const char *contents;
        char type;
        int r;

        while ((r = sd_bus_message_peek_type(message, &type, &contents)) > 0) {
                Step step = { .type = type };

                if (!is_container(type)) {
                        bench_check(sd_bus_message_read_basic(message, type, &step.value), "a value");
                        g_array_append_val(steps, step);
                        continue;
                }
                step.value.text = g_strdup(contents);
                g_array_append_val(steps, step);
                bench_check(sd_bus_message_enter_container(message, type, step.value.text), "a container");
                take_steps(message, steps);
                bench_check(sd_bus_message_exit_container(message), "a container");
                step.type = 0;
                g_array_append_val(steps, step);
        }
        bench_check(r, "the reply");
}

static int append_step(sd_bus_message *reply, const Step *step) {
        if (step->type == 0)
                return sd_bus_message_close_container(reply);
        if (is_container(step->type))
                return sd_bus_message_open_container(reply, step->type, step->value.text);
        return sd_bus_message_append_basic(reply, step->type,
                                           strchr("sog", step->type) ? (const void *) step->value.text
                                                                     : (const void *) &step->value.number);
}

static int on_get_objects(sd_bus_message *call, void *userdata, sd_bus_error *error) {
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        const GArray *steps = userdata;
        int r = sd_bus_message_new_method_return(call, &reply);

        for (guint i = 0; r >= 0 && i < steps->len; i++)
                r = append_step(reply, &g_array_index(steps, Step, i));
        return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

static const sd_bus_vtable echo_vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_METHOD("GetManagedObjects", NULL, "a{oa{sa{sv}}}", on_get_objects, SD_BUS_VTABLE_UNPRIVILEGED),
        SD_BUS_VTABLE_END,
};

/* Bare sd-bus, with as much to say. */
static void serve_echo(void) {
        _cleanup_bus_message_ sd_bus_message *kept = NULL;
        _cleanup_bus_ sd_bus *bus = NULL;
        g_autoptr(GArray) steps = g_array_new(FALSE, FALSE, sizeof(Step));
        int r;

        (void) prctl(PR_SET_PDEATHSIG, SIGTERM);
        bench_check(sd_bus_open_system(&bus), "the private bus");
        kept = get_objects(bus, SNOOZE_NAME, OBJECT_MANAGER);
        take_steps(kept, steps);
        bench_check(sd_bus_add_object_vtable(bus, NULL, SNOOZE_PATH, ECHO_NAME, echo_vtable, steps),
                    "the echo's object");
        bench_check(sd_bus_request_name(bus, ECHO_NAME, 0), ECHO_NAME);
        for (;;) {
                r = sd_bus_process(bus, NULL);
                if (r == 0)
                        r = sd_bus_wait(bus, UINT64_MAX);
                if (r < 0)
                        _exit(0);
        }
}

static GPid start_echo(sd_bus *bus) {
        double owned = 0;
        G_GNUC_UNUSED _cleanup_bus_slot_ sd_bus_slot *slot = expect_owner(bus, ECHO_NAME, &owned);
        GPid pid = fork();

        if (pid < 0)
                g_error("fork: %m");
        if (pid == 0)
                serve_echo();
        wait_until_owned(bus, &owned);
        return pid;
}

static double fastest(const double *values, size_t n) {
        double least = values[0];

        for (size_t i = 1; i < n; i++)
                least = MIN(least, values[i]);
        return least;
}

int main(int argc, char **argv) {
        bool smoke = bench_is_smoke(argc, argv);
        unsigned count = smoke ? PLUGINS_SMOKE : PLUGINS, starts = smoke ? 2 : STARTS, calls = smoke ? 3 : CALLS;
        g_autofree char *relative = g_path_get_dirname(argv[0]), *folder = g_canonicalize_filename(relative, NULL);
        double owned[STARTS], listed[STARTS], objects[CALLS], echoed[CALLS];
        _cleanup_bus_ sd_bus *bus = NULL;
        GPid daemon = 0, echo;
        BenchBus bench = {};

        bench_pin();
        bench_bus_prepare(&bench);
        bench_write(bench.directory, "etc/snooze.json", "{\"dry_run\": true}");
        add_plugins(&bench, count);
        bench_bus_start(&bench);
        bench_check(sd_bus_open_system(&bus), "the private bus");
        for (unsigned i = 0; i < starts; i++) {
                Start start;

                if (daemon)
                        bench_end(daemon);
                start = measure_start(&bench, folder, bus, count, &daemon);
                owned[i] = start.owned;
                listed[i] = start.listed;
        }
        echo = start_echo(bus);
        for (unsigned i = 0; i < calls; i++) {
                objects[i] = measure_objects(bus, SNOOZE_NAME, OBJECT_MANAGER);
                echoed[i] = measure_objects(bus, ECHO_NAME, ECHO_NAME);
        }
        bench_end(echo);
        bench_end(daemon);
        bus = sd_bus_flush_close_unref(bus);
        bench_bus_end(&bench);

        bench_print(
                (const BenchRow[]){
                        /* In ms: these goals are no ratios. */
                        { "registry", "ms", fastest(listed, starts), 1, START_GOAL },
                        { "registry name", "ms", fastest(owned, starts), 1, START_GOAL },
                        { "registry objects", "ms", bench_median(objects, calls), bench_median(echoed, calls),
                          OBJECTS_GOAL },
                },
                3);
        return 0;
}
