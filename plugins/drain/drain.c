/* SPDX-License-Identifier: Apache-2.0 */

/* Stops the administrator's units when this machine is about to go, so that each saves its work by its own rules, and
 * waits for them. What it stopped it starts again when the end is called off, or did not come. One thing at a time:
 * orders that contradict each other would meet in systemd in any order. */

#include <errno.h>
#include <regex.h>
#include <string.h>
#include <syslog.h>

#include <systemd/sd-id128.h>

#include <snooze/plugin.h>

#include "base/clock.h"
#include "base/names.h"
#include "config.h"
#include "ledger.h"
#include "units.h"

#define UNIT_PATTERN "^[A-Za-z0-9:_][A-Za-z0-9:_.@-]*\\.(service|socket|timer|path|mount|automount)$"
#define RESERVE_MAX (5 * USEC_PER_SEC) /* so that the answer is there before the machine goes */
#define STATE_VERSION 1U

/* A call that waits for its turn. */
typedef struct Request {
        SnoozePluginCall *call; /* NULL: our own, to start again what was stopped */
        char *id, *type;        /* id: SOURCE/ID, which together name an event */
        uint64_t deadline;      /* wall clock µs; 0: none */
        gboolean cancelled;
} Request;

typedef struct Drain {
        SnoozePluginInstance *instance;
        Ledger *ledger;
        GQueue requests;        /* Request; the first is under way */
        Units *units;           /* of the first */
        GPtrArray *entered;     /* char: units that it was the first to enter in the ledger */
        gboolean again;         /* it was begun before, by an instance that did not live to answer */
        sd_event_source *spared; /* the end should have come by then */
        gboolean leaving;
} Drain;

static void next(Drain *drain);

static void request_free(Request *request) {
        g_free(request->id);
        g_free(request->type);
        g_free(request);
}

static gboolean unit_valid(const char *name) {
        static regex_t regex;
        static gboolean compiled;

        if (!compiled)
                compiled = regcomp(&regex, UNIT_PATTERN, REG_EXTENDED | REG_NOSUB) == 0;
        return compiled && strlen(name) < 256 && regexec(&regex, name, 0, NULL, 0) == 0;
}

static uint64_t seconds_of(const Drain *drain, const char *name) {
        return (uint64_t) snooze_plugin_instance_get_integer(drain->instance, name) * USEC_PER_SEC;
}

/* What did not come */

static int on_spared(sd_event_source *source, uint64_t usec, void *userdata) {
        Drain *drain = userdata;
        Request *request = g_new0(Request, 1);

        snooze_plugin_log(LOG_NOTICE, "This machine is still here: starting again what was stopped");
        drain->spared = sd_event_source_disable_unref(drain->spared);
        snooze_plugin_instance_end_work(drain->instance);
        *request = (Request) { .id = g_strdup("-"), .type = g_strdup("-"), .cancelled = TRUE };
        g_queue_push_tail(&drain->requests, request);
        if (drain->requests.length == 1)
                next(drain);
        return 0;
}

static void forget_spared(Drain *drain) {
        if (!drain->spared)
                return;
        drain->spared = sd_event_source_disable_unref(drain->spared);
        snooze_plugin_instance_end_work(drain->instance);
}

/* On boot time: a machine that was hibernated is spared when it wakes. */
static void expect_end(Drain *drain) {
        uint64_t after = seconds_of(drain, "restart_after_seconds"), deadline = ledger_deadline(drain->ledger);
        sd_event *event = snooze_plugin_instance_get_event(drain->instance);

        forget_spared(drain);
        if (after == 0 || drain->ledger->units->len == 0 || drain->leaving)
                return;
        if (sd_event_add_time(event, &drain->spared, CLOCK_BOOTTIME,
                              usec_add(clock_boottime(), usec_add(usec_sub(deadline, clock_realtime()), after)), 0,
                              on_spared, drain) >= 0)
                snooze_plugin_instance_begin_work(drain->instance);
}

/* What is answered */

static void add_names(SnoozePluginDictionary *result, const char *key, const UnitOutcome *outcomes, guint n,
                      UnitEnd end) {
        g_autofree const char **names = g_new0(const char *, n + 1);
        guint count = 0;

        for (guint i = 0; i < n; i++)
                if (outcomes[i].end == end)
                        names[count++] = outcomes[i].name;
        (void) snooze_plugin_dictionary_set_strv(result, key, names);
}

static guint add_problems(SnoozePluginDictionary *result, const UnitOutcome *outcomes, guint n) {
        g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
        guint count;

        for (guint i = 0; i < n; i++)
                if (outcomes[i].problem) {
                        g_ptr_array_add(problems, g_strdup_printf("%s: %s", outcomes[i].name, outcomes[i].problem));
                        snooze_plugin_log(LOG_WARNING, "%s: %s", outcomes[i].name, outcomes[i].problem);
                }
        count = problems->len;
        g_ptr_array_add(problems, NULL);
        (void) snooze_plugin_dictionary_set_strv(result, "problems", (const char *const *) problems->pdata);
        return count;
}

static guint count_of(const UnitOutcome *outcomes, guint n, UnitEnd end) {
        guint count = 0;

        for (guint i = 0; i < n; i++)
                count += outcomes[i].end == end;
        return count;
}

static void end_request(Drain *drain) {
        Request *request = g_queue_pop_head(&drain->requests);
        SnoozePluginCall *call = request->call;

        request_free(request);
        drain->units = NULL;
        if (call)
                snooze_plugin_call_finish(call, 0);
        next(drain);
}

/* Before systemd hears of it: whoever kills us then has not made us forget what we stopped. */
static void on_order(const char *name, void *userdata) {
        Drain *drain = userdata;

        if (ledger_add_unit(drain->ledger, name))
                g_ptr_array_add(drain->entered, g_strdup(name));
}

/* Entered, but refused: it is not ours to start. What the instance before had stopped already was stopped for this
 * event. */
static void settle(Drain *drain, UnitOutcome *outcomes, guint n) {
        for (guint i = 0; i < n; i++)
                if (outcomes[i].end == UNIT_REFUSED &&
                    g_ptr_array_find_with_equal_func(drain->entered, outcomes[i].name, g_str_equal, NULL))
                        ledger_remove_unit(drain->ledger, outcomes[i].name);
                else if (outcomes[i].end == UNIT_NEEDLESS && drain->again &&
                         ledger_has_unit(drain->ledger, outcomes[i].name))
                        outcomes[i].end = UNIT_DONE;
        g_ptr_array_set_size(drain->entered, 0);
}

static void on_stopped(const UnitOutcome *told, guint n, void *userdata) {
        g_autofree UnitOutcome *outcomes = g_memdup2(told, n * sizeof(UnitOutcome));
        Drain *drain = userdata;
        const Request *request = g_queue_peek_head(&drain->requests);
        SnoozePluginDictionary *result = snooze_plugin_call_get_result(request->call);
        guint refused = count_of(outcomes, n, UNIT_REFUSED), late = count_of(outcomes, n, UNIT_PENDING), problems;

        settle(drain, outcomes, n);
        add_names(result, "stopped", outcomes, n, UNIT_DONE);
        add_names(result, "not_running", outcomes, n, UNIT_NEEDLESS);
        add_names(result, "late", outcomes, n, UNIT_PENDING);
        problems = add_problems(result, outcomes, n);
        (void) snooze_plugin_dictionary_set_bool(result, "success", problems == 0 && late == 0);
        (void) snooze_plugin_call_set_answer(request->call, refused < n);
        snooze_plugin_log(LOG_NOTICE, "Stopped %u of %u units, %u did not run, %u are still at it",
                          count_of(outcomes, n, UNIT_DONE), n, count_of(outcomes, n, UNIT_NEEDLESS), late);
        expect_end(drain);
        end_request(drain);
}

static void on_started(const UnitOutcome *outcomes, guint n, void *userdata) {
        Drain *drain = userdata;
        const Request *request = g_queue_peek_head(&drain->requests);
        SnoozePluginDictionary *result = request->call ? snooze_plugin_call_get_result(request->call) : NULL;

        if (result) {
                (void) snooze_plugin_dictionary_set_string(result, "status", "cancelled");
                add_names(result, "started", outcomes, n, UNIT_DONE);
                add_names(result, "late", outcomes, n, UNIT_PENDING);
                (void) snooze_plugin_call_set_answer(request->call, n > 0);
        }
        (void) add_problems(result, outcomes, n);
        ledger_clear(drain->ledger);
        end_request(drain);
}

/* What is done */

static uint64_t less_reserve(uint64_t time) {
        return time - MIN(time / 10, RESERVE_MAX);
}

/* Not after its deadline, nor longer than somebody waits for it, less what the answer takes. */
static uint64_t wait_of(const Drain *drain, const Request *request, uint64_t now) {
        uint64_t wait = seconds_of(drain, "timeout_seconds");

        if (request->call)
                wait = MIN(wait, less_reserve(snooze_plugin_call_get_time_left(request->call)));
        if (request->deadline > 0 && !request->cancelled)
                wait = MIN(wait, less_reserve(usec_sub(request->deadline, now)));
        return wait;
}

static int begin(Drain *drain, const Request *request) {
        gboolean start = request->cancelled;
        uint64_t now = clock_realtime();
        uint64_t wait = wait_of(drain, request, now);
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        if (start) /* in the opposite order */
                for (guint i = drain->ledger->units->len; i-- > 0;)
                        g_ptr_array_add(names, g_ptr_array_index(drain->ledger->units, i));
        g_ptr_array_add(names, NULL);
        drain->again = ledger_has_event(drain->ledger, request->id);
        if (!start)
                ledger_add_event(drain->ledger, request->id, request->type, request->deadline ?: usec_add(now, wait));
        return units_begin(
                &(const UnitsParameters){
                        .bus = snooze_plugin_instance_get_bus(drain->instance),
                        .event = snooze_plugin_instance_get_event(drain->instance),
                        .names = start ? (const char *const *) names->pdata
                                       : snooze_plugin_instance_get_list(drain->instance, "units"),
                        .start = start,
                        .in_order = snooze_plugin_instance_get_boolean(drain->instance, "in_order"),
                        .deadline = usec_add(clock_monotonic(), wait),
                        .order = start ? NULL : on_order,
                        .done = start ? on_started : on_stopped,
                        .userdata = drain,
                },
                &drain->units);
}

static void answer_status(const Request *request, const char *status, const char *error) {
        SnoozePluginDictionary *result = request->call ? snooze_plugin_call_get_result(request->call) : NULL;

        if (!result)
                return;
        if (status)
                (void) snooze_plugin_dictionary_set_string(result, "status", status);
        if (error) {
                (void) snooze_plugin_dictionary_set_bool(result, "success", false);
                (void) snooze_plugin_dictionary_set_string(result, "error", error);
        }
        (void) snooze_plugin_call_set_answer(request->call, false);
}

/* TRUE: something is under way for it. */
static gboolean try(Drain *drain, const Request *request) {
        gboolean ours = !request->call;
        int r;

        if (drain->leaving)
                answer_status(request, NULL, "the plugin leaves");
        else if (request->cancelled && !ours && !ledger_call_off(drain->ledger, request->id, request->type))
                answer_status(request, "cancelled", NULL);
        else if (!request->cancelled && request->deadline > 0 && request->deadline <= clock_realtime())
                answer_status(request, NULL, "the deadline has passed");
        else {
                if (request->cancelled)
                        forget_spared(drain);
                r = begin(drain, request);
                if (r >= 0)
                        return TRUE;
                answer_status(request, NULL, g_strerror(-r));
        }
        return FALSE;
}

static void next(Drain *drain) {
        const Request *request;

        while ((request = g_queue_peek_head(&drain->requests)) && !try(drain, request)) {
                Request *done = g_queue_pop_head(&drain->requests);

                if (done->call)
                        snooze_plugin_call_finish(done->call, 0);
                request_free(done);
        }
}

static const char *const types[] = { "cloud.spot.interrupt",       "cloud.instance.termination",
                                     "cloud.instance.maintenance", "cloud.autoscaling.scale",
                                     EVENT_STOP_PENDING,           NULL };

static int handle_event(SnoozePluginCall *call, const SnoozePluginDictionary *event, void *userdata) {
        const SnoozePluginDictionary *data = snooze_plugin_dictionary_get_dictionary(event, "data");
        const char *type = snooze_plugin_dictionary_get_string(event, "type", "");
        Drain *drain = userdata;
        Request *request;

        if (!g_strv_contains(types, type))
                return snooze_plugin_call_set_answer(call, false);
        if (snooze_plugin_dictionary_get_bool(data, "dry_run", false)) {
                (void) snooze_plugin_dictionary_set_string(snooze_plugin_call_get_result(call), "status", "dry_run");
                return snooze_plugin_call_set_answer(call, false);
        }
        request = g_new0(Request, 1);
        *request = (Request) {
                .call = call,
                .id = g_strdup_printf("%s/%s", snooze_plugin_dictionary_get_string(event, "source", ""),
                                      snooze_plugin_dictionary_get_string(event, "id", "")),
                .type = g_strdup(type),
                .deadline = snooze_plugin_dictionary_get_uint(event, "deadline", 0),
                .cancelled = snooze_plugin_dictionary_get_bool(event, "cancelled", false) ||
                        snooze_plugin_dictionary_get_bool(data, "cancelled", false),
        };
        g_queue_push_tail(&drain->requests, request);
        if (drain->requests.length == 1)
                next(drain);
        else if (drain->units && !((const Request *) g_queue_peek_head(&drain->requests))->cancelled)
                /* Nobody waits any longer for what is called off, nor beyond an end that comes earlier. */
                units_shorten(drain->units, request->cancelled ? 0
                                                               : usec_add(clock_monotonic(),
                                                                          wait_of(drain, request, clock_realtime())));
        return SNOOZE_PLUGIN_LATER;
}

/* Life */

static int configure(SnoozePluginCall *call, const SnoozePluginDictionary *config, void *userdata) {
        const char *const *units = snooze_plugin_dictionary_get_strv(config, "units", NULL);
        guint n = units ? g_strv_length((char **) units) : 0;

        if (n == 0 || n > UNITS_MAX)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "units: expected 1 to %u of them, not %u", UNITS_MAX, n);
        for (guint i = 0; i < n; i++)
                if (!unit_valid(units[i]))
                        return snooze_plugin_call_fail(
                                call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                "units: “%s” is no service, socket, timer, path, mount or automount", units[i]);
        return 0;
}

static char *boot_id(void) {
        char text[SD_ID128_STRING_MAX];
        sd_id128_t id;

        return g_strdup(sd_id128_get_boot(&id) >= 0 ? sd_id128_to_string(id, text) : "unknown");
}

static int export_state(SnoozePluginCall *call, void *userdata) {
        const Drain *drain = userdata;
        g_autofree char *boot = boot_id(), *text = ledger_write(drain->ledger, boot);

        return snooze_plugin_call_set_state(call, STATE_VERSION, text, strlen(text));
}

static int import_state(SnoozePluginCall *call, uint32_t version, const void *data, size_t size, void *userdata) {
        g_autofree char *boot = boot_id(), *text = g_strndup(data, size);
        Ledger *ledger = version == STATE_VERSION && strlen(text) == size ? ledger_read(text, boot, unit_valid) : NULL;
        Drain *drain = userdata;

        if (!ledger)
                return snooze_plugin_call_fail(call, SNOOZE_PLUGIN_ERROR_INVALID_ARGUMENT,
                                               "version %u of the state: expected what version %u writes", version,
                                               STATE_VERSION);
        ledger_free(drain->ledger);
        drain->ledger = ledger;
        expect_end(drain);
        return 0;
}

static int start(SnoozePluginInstance *instance, void *userdata) {
        ((Drain *) userdata)->instance = instance;
        return 0;
}

static void shut_down(void *userdata) {
        Drain *drain = userdata;

        drain->leaving = TRUE;
        forget_spared(drain);
        if (drain->units)
                units_shorten(drain->units, 0);
}

int main(int argc, char *argv[]) {
        static const SnoozePluginSetting settings[] = {
                { "units", SNOOZE_PLUGIN_LIST, .required = true },
                { "timeout_seconds", SNOOZE_PLUGIN_INTEGER, 1, 3600, .default_value = "90" },
                { "in_order", SNOOZE_PLUGIN_BOOLEAN, .default_value = "false" },
                { "restart_after_seconds", SNOOZE_PLUGIN_INTEGER, 0, 86400, .default_value = "600" },
                { NULL },
        };
        Drain drain = { .ledger = ledger_new(),
                        .requests = G_QUEUE_INIT,
                        .entered = g_ptr_array_new_with_free_func(g_free) };
        const SnoozePlugin plugin = {
                .size = sizeof(SnoozePlugin),
                .id = "drain",
                .version = PACKAGE_VERSION,
                .description = "Stops units before this machine goes, and starts them again if it does not.",
                .userdata = &drain,
                .settings = settings,
                .start = start,
                .initialize = configure,
                .configure = configure,
                .shutdown = shut_down,
                .supported_events = types,
                .handle_event = handle_event,
                .export_state = export_state,
                .import_state = import_state,
        };
        int r = snooze_plugin_main(&plugin, argc, argv);

        units_free(drain.units);
        g_ptr_array_unref(drain.entered);
        ledger_free(drain.ledger);
        return r;
}
