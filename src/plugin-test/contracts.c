/* SPDX-License-Identifier: Apache-2.0 */

/* Every contract that the manifest declares: the interface is there as its XML has it, and answers as the daemon
 * expects. What would stop a machine or act on an event is not called unless it was asked for. */

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <gio/gio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/errors.h"
#include "bus/dictionary.h"
#include "plugin-test/interfaces.h"
#include "plugin-test/trial.h"

#define VALID_SECONDS_MAX 300
#define STREAM_BYTES (8U * 1024U * 1024U)
#define STATE_MAX (4U * 1024U * 1024U) /* what the daemon keeps */
#define SEVERITY_MAX 3

static const struct {
        const char *contract; /* NULL: every plugin's */
        const GDBusInterfaceInfo *interface;
} interfaces[] = {
        { NULL, &io_cloudsnooze_plugin1_interface },
        { "IdleCheck", &io_cloudsnooze_plugin1_idle_check_interface },
        { "EventHandler", &io_cloudsnooze_plugin1_event_handler_interface },
        { "EventSource", &io_cloudsnooze_plugin1_event_source_interface },
        { "CloudProvider", &io_cloudsnooze_plugin1_cloud_provider_interface },
        { "State", &io_cloudsnooze_plugin1_state_interface },
        { "DataProcessor", &io_cloudsnooze_plugin1_data_processor_interface },
        { "RequestHandler", &io_cloudsnooze_plugin1_request_handler_interface },
};

/* A plugin without them is called over the bus, and on blocks. */
static const char *const optional_methods[] = { "OpenChannel", "ProcessStream", "AbandonStream", NULL };

static char *signature_of(GDBusArgInfo **arguments) {
        GString *signature = g_string_new(NULL);

        for (; arguments && *arguments; arguments++)
                g_string_append(signature, (*arguments)->signature);
        return g_string_free(signature, FALSE);
}

static gboolean arguments_equal(GDBusArgInfo **a, GDBusArgInfo **b) {
        g_autofree char *first = signature_of(a), *second = signature_of(b);

        return g_str_equal(first, second);
}

/* What is missing or different, NULL: nothing. */
static char *interface_difference(const GDBusInterfaceInfo *declared, GDBusInterfaceInfo *live) {
        for (GDBusMethodInfo **method = declared->methods; method && *method; method++) {
                const GDBusMethodInfo *served = g_dbus_interface_info_lookup_method(live, (*method)->name);

                if (!served && g_strv_contains(optional_methods, (*method)->name))
                        continue;
                if (!served || !arguments_equal((*method)->in_args, served->in_args) ||
                    !arguments_equal((*method)->out_args, served->out_args))
                        return g_strdup_printf("%s is %s", (*method)->name,
                                               served ? "declared with other arguments" : "missing");
        }
        for (GDBusPropertyInfo **property = declared->properties; property && *property; property++) {
                const GDBusPropertyInfo *served = g_dbus_interface_info_lookup_property(live, (*property)->name);

                if (!served || !g_str_equal(served->signature, (*property)->signature))
                        return g_strdup_printf("property %s is %s", (*property)->name,
                                               served ? "of another type" : "missing");
        }
        return NULL;
}

static GDBusNodeInfo *introspect(const Trial *trial, const Subject *subject, GError **error) {
        _cleanup_bus_message_ sd_bus_message *message = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error e = SD_BUS_ERROR_NULL;
        const char *xml;
        int r;

        r = sd_bus_message_new_method_call(subject_bus(subject), &message, subject_peer(subject), PLUGIN_PATH,
                                           "org.freedesktop.DBus.Introspectable", "Introspect");
        if (r >= 0)
                r = subject_send(subject, trial_timeout(trial, TIMEOUT_CHECK), message, &e, &reply);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 's', &xml);
        if (r >= 0)
                return g_dbus_node_info_new_for_xml(xml, error);
        g_set_error(error, G_IO_ERROR, G_IO_ERROR_FAILED, "it cannot be introspected: %s", call_problem(&e, r));
        return NULL;
}

void check_interfaces(Trial *trial, Subject *subject) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GDBusNodeInfo) node = introspect(trial, subject, &error);

        if (!node) {
                report_failed(trial->report, "interfaces", "%s", error->message);
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(interfaces); i++) {
                const GDBusInterfaceInfo *declared = interfaces[i].interface;
                GDBusInterfaceInfo *live = g_dbus_node_info_lookup_interface(node, declared->name);
                gboolean wanted =
                        !interfaces[i].contract || manifest_has_contract(trial->manifest, interfaces[i].contract);
                g_autofree char *difference = live && wanted ? interface_difference(declared, live) : NULL;

                if (wanted && !live)
                        report_failed(trial->report, "interfaces", "%s is not served", declared->name);
                else if (!wanted && live)
                        report_failed(trial->report, "interfaces",
                                      "%s is served, and not among the manifest's contracts", declared->name);
                else if (difference)
                        report_failed(trial->report, "interfaces", "%s: %s", declared->name, difference);
                else if (wanted)
                        report_passed(trial->report, "interfaces", "%s", declared->name);
        }
}

/* IdleCheck */

static const char *const verdicts[] = { "idle", "busy", "unknown", NULL };

static const char *vote_problem(const char *verdict, const char *reason) {
        if (!g_strv_contains(verdicts, verdict))
                return "the verdict is none of idle, busy, unknown";
        if (!*reason)
                return "the reason is empty";
        return strchr(reason, '\n') ? "the reason has more than one line" : NULL;
}

static const char *votes_problem(JsonObject *details) {
        JsonArray *votes = json_get_array(details, "votes");

        if (!json_object_has_member(details, "votes"))
                return NULL;
        for (guint i = 0; votes && i < json_array_get_length(votes); i++) {
                JsonNode *node = json_array_get_element(votes, i);
                JsonObject *vote = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;

                if (!vote || !*json_get_string(vote, "name", "") ||
                    vote_problem(json_get_string(vote, "verdict", ""), json_get_string(vote, "reason", "")))
                        return "each of votes needs name, verdict and reason";
        }
        return votes ? NULL : "votes: expected a list of dictionaries";
}

static const char *details_problem(JsonObject *details) {
        gint64 valid = json_get_int(details, "valid_seconds", 0), last = json_get_int(details, "last_activity", 0);
        JsonObject *metrics = json_get_object(details, "metrics");
        JsonObjectIter iter;
        JsonNode *value;

        if (valid < 0 || valid > VALID_SECONDS_MAX)
                return "valid_seconds: expected 0 to 300";
        if (last < 0 || last > g_get_real_time())
                return "last_activity lies in the future: expected µs since the epoch";
        if (json_object_has_member(details, "metrics") && !metrics)
                return "metrics: expected a dictionary of numbers";
        if (metrics)
                json_object_iter_init(&iter, metrics);
        while (metrics && json_object_iter_next(&iter, NULL, &value))
                if (!JSON_NODE_HOLDS_VALUE(value) || json_node_get_value_type(value) == G_TYPE_STRING)
                        return "metrics: expected numbers alone";
        return votes_problem(details);
}

static char *verdict_problem(sd_bus_message *reply, char **ret_verdict) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) details = NULL;
        const char *verdict, *reason, *problem;

        if (!sd_bus_message_has_signature(reply, "ssa{sv}") || sd_bus_message_read(reply, "ss", &verdict, &reason) < 0)
                return g_strdup_printf("it answers with %s, expected ssa{sv}",
                                       sd_bus_message_get_signature(reply, true));
        if (dictionary_read(reply, &dictionary_limits_default, &details, &error) < 0)
                return g_strdup_printf("details: %s", error.message);
        problem = vote_problem(verdict, reason);
        if (!problem)
                problem = details_problem(details);
        if (problem)
                return g_strdup(problem);
        *ret_verdict = g_strdup_printf("%s (%s)", verdict, reason);
        return NULL;
}

/* One question; the answer's text, or NULL and *problem. */
static char *ask(const Trial *trial, const Subject *subject, JsonObject *metrics, char **problem) {
        static const char *const hints[] = { "timestamp", "t", NULL };
        _cleanup_bus_message_ sd_bus_message *message = NULL, *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        char *verdict = NULL;
        int r;

        r = subject_message(subject, ".IdleCheck", "CheckIdle", &message);
        if (r >= 0)
                r = dictionary_append(message, metrics, hints);
        if (r >= 0)
                r = subject_send(subject, trial_timeout(trial, TIMEOUT_CHECK), message, &error, &reply);
        *problem = r < 0 ? g_strdup(call_problem(&error, r)) : verdict_problem(reply, &verdict);
        return verdict;
}

static int compare_doubles(gconstpointer a, gconstpointer b) {
        const double *x = a, *y = b;

        return (*x > *y) - (*x < *y);
}

static void check_idle(Trial *trial, Subject *subject) {
        g_autoptr(GArray) times = g_array_new(FALSE, FALSE, sizeof(double));
        g_autofree char *verdict = NULL;

        for (guint i = 0; i < trial->metrics->len; i++) {
                uint64_t begin = clock_monotonic();
                g_autofree char *problem = NULL;
                double taken;

                g_free(verdict);
                verdict = ask(trial, subject, g_ptr_array_index(trial->metrics, i), &problem);
                if (problem) {
                        report_failed(trial->report, "CheckIdle", "question %u: %s", i + 1, problem);
                        return;
                }
                taken = (double) (clock_monotonic() - begin) / (double) USEC_PER_MSEC;
                g_array_append_val(times, taken);
        }
        g_array_sort(times, compare_doubles);
        report_measured(trial->report, "check_ms", g_array_index(times, double, times->len / 2));
        report_measured(trial->report, "check_max_ms", g_array_index(times, double, times->len - 1));
        report_passed(trial->report, "CheckIdle", "%u questions, %.2f ms (longest %.2f), at last %s", times->len,
                      g_array_index(times, double, times->len / 2), g_array_index(times, double, times->len - 1),
                      verdict);
}

/* EventHandler */

static int hand_event(const Trial *trial, const Subject *subject, const char *type, sd_bus_error *error,
                      sd_bus_message **reply) {
        return subject_call(subject, trial_timeout(trial, TIMEOUT_EVENT), ".EventHandler", "HandleEvent", error, reply,
                            "a{sv}", 8, "id", "s", "snooze-plugin-test", "type", "s", type, "source", "s",
                            "snooze-plugin-test", "timestamp", "t", clock_realtime(), "severity", "u", 1, "deadline",
                            "t", clock_realtime() + USEC_PER_MINUTE, "budget", "t",
                            trial_timeout(trial, TIMEOUT_EVENT), "data", "a{sv}", 1, "test", "b", true);
}

static void check_event(Trial *trial, const Subject *subject, const char *type) {
        g_autofree char *example =
                g_str_has_suffix(type, ".*") ? g_strdup_printf("%.*s.test", (int) strlen(type) - 2, type) : NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        int r, handled;

        if (!trial->events) {
                report_skipped(trial->report, "HandleEvent", "%s: --events hands it over, and the plugin acts on it",
                               type);
                return;
        }
        r = hand_event(trial, subject, example ? example : type, &error, &reply);
        if (r < 0)
                report_failed(trial->report, "HandleEvent", "%s: %s", type, call_problem(&error, r));
        else if (!sd_bus_message_has_signature(reply, "ba{sv}") || sd_bus_message_read_basic(reply, 'b', &handled) < 0)
                report_failed(trial->report, "HandleEvent", "%s: it answers with %s, expected ba{sv}", type,
                              sd_bus_message_get_signature(reply, true));
        else
                report_passed(trial->report, "HandleEvent", "%s: %s", type, handled ? "handled" : "not handled");
}

static char **read_list(const Trial *trial, const Subject *subject, const char *interface, const char *property) {
        g_autofree char *name = g_strconcat(PLUGIN_INTERFACE, interface, NULL);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        char **list = NULL, **copy;

        if (sd_bus_get_property_strv(subject_bus(subject), subject_peer(subject), PLUGIN_PATH, name, property, &error,
                                     &list) < 0)
                return NULL;
        copy = g_strdupv(list);
        for (char **p = list; p && *p; p++)
                free(*p);
        free(list);
        return copy;
}

static void check_event_handler(Trial *trial, Subject *subject) {
        g_auto(GStrv) supported = read_list(trial, subject, ".EventHandler", "SupportedEvents");

        if (!supported || !*supported) {
                report_failed(trial->report, "EventHandler", "SupportedEvents names none");
                return;
        }
        for (guint i = 0; i < trial->manifest->events->len; i++) {
                const ManifestEvent *event = g_ptr_array_index(trial->manifest->events, i);

                if (!g_strv_contains((const char *const *) supported, event->type))
                        report_failed(trial->report, "EventHandler", "the manifest's %s is not among SupportedEvents",
                                      event->type);
        }
        for (char **type = supported; *type; type++)
                if (manifest_event(trial->manifest, *type))
                        check_event(trial, subject, *type);
                else
                        report_failed(trial->report, "HandleEvent",
                                      "%s is not in the manifest's events: it is never handed to the plugin", *type);
}

/* EventSource */

static const char *event_problem(JsonObject *event) {
        if (!*json_get_string(event, "id", "") || !*json_get_string(event, "type", "") ||
            !*json_get_string(event, "source", ""))
                return "an event needs id, type and source";
        if (json_get_int(event, "severity", -1) < 0 || json_get_int(event, "severity", -1) > SEVERITY_MAX)
                return "severity: expected 0 to 3";
        if (json_get_int(event, "timestamp", 0) <= 0 || json_get_int(event, "deadline", -1) < 0 ||
            !json_get_object(event, "data"))
                return "an event needs timestamp, deadline and data";
        return NULL;
}

typedef struct Announced {
        unsigned n;
        char *problem;
} Announced;

static int on_event(sd_bus_message *m, void *userdata, sd_bus_error *ret_error) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(JsonObject) event = NULL;
        Announced *announced = userdata;
        const char *problem = NULL;

        announced->n++;
        if (dictionary_read(m, &dictionary_limits_default, &event, &error) < 0)
                problem = error.message;
        else
                problem = event_problem(event);
        if (problem && !announced->problem)
                announced->problem = g_strdup(problem);
        return 0;
}

static void check_event_source(Trial *trial, Subject *subject) {
        g_autofree char *sender = subject->channel ? g_strdup("") : g_strdup_printf("sender='%s',", subject->owner);
        g_autofree char *match =
                g_strdup_printf("type='signal',%sinterface='" EVENT_SOURCE_INTERFACE "',member='Event'", sender);
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        Announced announced = { .n = 0 };
        int r;

        r = sd_bus_add_match(subject_bus(subject), &slot, match, on_event, &announced);
        if (r >= 0)
                r = subject_call(subject, trial_timeout(trial, TIMEOUT_EVENT), ".EventSource", "Watch", &error, NULL,
                                 NULL);
        if (r < 0) {
                report_failed(trial->report, "Watch", "%s", call_problem(&error, r));
                return;
        }
        /* Whatever it announces at once stands before the answer to this. */
        if (!trial_alive(trial, subject, "Watch", "Watch"))
                return;
        while (sd_bus_process(subject_bus(subject), NULL) > 0)
                ;
        if (announced.problem)
                report_failed(trial->report, "Watch", "%s", announced.problem);
        else
                report_passed(trial->report, "Watch", "watches; %u pending", announced.n);
        g_free(announced.problem);
        r = subject_call(subject, trial_timeout(trial, TIMEOUT_EVENT), ".EventSource", "Acknowledge", &error, NULL,
                         "s", "no-such-event");
        (void) trial_alive(trial, subject, "Acknowledge", "Acknowledge of an event that is none");
}

/* CloudProvider */

static const char *const stop_effects[] = { "stops-billing", "saves-power", "keeps-billing",
                                            "terminates",    "unknown",     NULL };

static void check_provider(Trial *trial, Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL, e = SD_BUS_ERROR_NULL,
                                         permissions = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        uint64_t timeout = trial_timeout(trial, TIMEOUT_PROVIDER);
        _cleanup_free_ char *effect = NULL;
        int r, detected = 0;

        r = sd_bus_get_property_string(subject_bus(subject), subject_peer(subject), PLUGIN_PATH,
                                       CLOUD_PROVIDER_INTERFACE, "StopEffect", &e, &effect);
        if (r < 0 || !g_strv_contains(stop_effects, effect))
                report_failed(trial->report, "StopEffect", "%s is none that is known",
                              r < 0 ? call_problem(&e, r) : effect);
        else
                report_passed(trial->report, "StopEffect", "%s", effect);
        r = subject_call(subject, timeout, ".CloudProvider", "Detect", &error, &reply, NULL);
        if (r < 0 || !sd_bus_message_has_signature(reply, "b") || sd_bus_message_read_basic(reply, 'b', &detected) < 0)
                report_failed(trial->report, "Detect", "%s", r < 0 ? call_problem(&error, r) : "expected a boolean");
        else
                report_passed(trial->report, "Detect", "%s", detected ? "this is its cloud" : "this is not its cloud");
        r = subject_call(subject, timeout, ".CloudProvider", "CheckPermissions", &permissions, NULL, NULL);
        if (r < 0 && detected && !call_refused(&permissions, ERROR_NOT_SUPPORTED))
                report_failed(trial->report, "CheckPermissions", "%s", call_problem(&permissions, r));
        report_skipped(trial->report, "StopInstance", "stops machines: never called from here");
}

/* State */

/* A daemon that comes back greets again, and imports what it has kept unless it is told that the plugin knows better.
 */
static void check_live(Trial *trial, Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL;
        g_autoptr(JsonObject) info = NULL;
        uint32_t api;
        int r;

        r = subject_call(subject, trial_timeout(trial, TIMEOUT_INITIALIZE), "", "Handshake", &error, &reply, "us",
                         PLUGIN_API_VERSION, PACKAGE_VERSION);
        if (r >= 0)
                r = sd_bus_message_read_basic(reply, 'u', &api);
        if (r >= 0)
                r = dictionary_read(reply, &dictionary_limits_default, &info, &error);
        if (r < 0)
                report_failed(trial->report, "state", "greeted again: %s", call_problem(&error, r));
        else if (!g_str_equal(json_get_string(info, "state", ""), "live"))
                report_failed(trial->report, "state", "greeted again it says that its state is \"%s\", expected live",
                              json_get_string(info, "state", ""));
        else
                report_passed(trial->report, "state", "greeted again it says that it has one");
}

static void check_state(Trial *trial, Subject *subject) {
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL, ignored = SD_BUS_ERROR_NULL;
        _cleanup_bus_message_ sd_bus_message *reply = NULL, *import = NULL;
        uint64_t timeout = trial_timeout(trial, TIMEOUT_EXPORT);
        const void *state;
        uint32_t version;
        size_t size;
        int r;

        r = subject_call(subject, timeout, ".State", "ExportState", &error, &reply, NULL);
        if (r < 0 || sd_bus_message_read_basic(reply, 'u', &version) < 0 ||
            sd_bus_message_read_array(reply, 'y', &state, &size) < 0) {
                report_failed(trial->report, "ExportState", "%s", r < 0 ? call_problem(&error, r) : "expected u, ay");
                return;
        }
        report_add(trial->report, size <= STATE_MAX ? OUTCOME_PASSED : OUTCOME_FAILED, "ExportState",
                   "%zu bytes of %u, version %u", size, STATE_MAX, version);
        r = subject_message(subject, ".State", "ImportState", &import);
        if (r >= 0)
                r = sd_bus_message_append_basic(import, 'u', &version);
        if (r >= 0)
                r = sd_bus_message_append_array(import, 'y', state, size);
        if (r >= 0)
                r = subject_send(subject, timeout, import, &error, NULL);
        if (r < 0)
                report_failed(trial->report, "ImportState", "refuses what it exported: %s", call_problem(&error, r));
        else
                report_passed(trial->report, "ImportState", "takes what it exported");
        /* Who greets has to be on the bus. */
        if (r >= 0 && !subject->channel)
                check_live(trial, subject);
        r = subject_call(subject, timeout, ".State", "ImportState", &ignored, NULL, "uay", UINT32_MAX, 4, 0xde, 0xad,
                         0xbe, 0xef);
        if (r >= 0)
                report_failed(trial->report, "ImportState", "takes a state of a version that does not exist");
        else if (trial_alive(trial, subject, "ImportState", "a state of another version"))
                report_passed(trial->report, "ImportState", "refuses what is no state of its own");
}

/* DataProcessor */

static gboolean drain(int fd, uint64_t *total) {
        char block[65536];
        ssize_t n;

        while ((n = read(fd, block, sizeof(block))) > 0)
                *total += (uint64_t) n;
        return n == 0;
}

/* Writes and reads at once, and looks after the answer: any of the three may be what the others wait for. */
static gboolean pump(sd_bus *bus, int feed, int output, uint64_t *total, const unsigned *answered) {
        uint64_t end = clock_monotonic() + USEC_PER_MINUTE;
        static const char block[65536];
        size_t left = STREAM_BYTES;
        gboolean ended = FALSE;

        while ((!ended || *answered == 0) && clock_monotonic() < end) {
                struct pollfd wait[] = { { .fd = feed, .events = POLLOUT },
                                         { .fd = ended ? -1 : output, .events = POLLIN },
                                         { .fd = sd_bus_get_fd(bus), .events = POLLIN } };
                ssize_t n;

                while (sd_bus_process(bus, NULL) > 0)
                        ;
                if (poll(wait, G_N_ELEMENTS(wait), *answered > 0 && ended ? 0 : 1000) < 0)
                        break;
                if (feed >= 0 && wait[0].revents) {
                        n = write(feed, block, MIN(left, sizeof(block)));
                        left -= n > 0 ? (size_t) n : 0;
                        if (left == 0 || (wait[0].revents & POLLERR))
                                feed = safe_close(feed);
                }
                if (wait[1].revents)
                        ended = drain(output, total);
        }
        safe_close(feed);
        return ended && *answered > 0;
}

typedef struct Answer {
        unsigned n;
        char *problem;
        gboolean unsupported;
} Answer;

static int on_stream(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        Answer *answer = userdata;

        answer->n++;
        answer->unsupported = sd_bus_message_is_method_error(m, ERROR_NOT_SUPPORTED) ||
                sd_bus_message_is_method_error(m, SD_BUS_ERROR_UNKNOWN_METHOD);
        if (sd_bus_message_is_method_error(m, NULL))
                answer->problem = g_strdup(sd_bus_message_get_error(m)->message);
        return 0;
}

static int stream_begin(const Subject *subject, Answer *answer, int input, int output, sd_bus_slot **slot) {
        _cleanup_bus_message_ sd_bus_message *message = NULL;
        int r;

        r = subject_message(subject, ".DataProcessor", "ProcessStream", &message);
        if (r >= 0)
                r = sd_bus_message_append(message, "hha{sv}", input, output, 0);
        return r < 0 ? r : sd_bus_call_async(subject_bus(subject), slot, message, on_stream, answer, USEC_PER_MINUTE);
}

static void check_stream(Trial *trial, Subject *subject) {
        _cleanup_bus_slot_ sd_bus_slot *slot = NULL;
        int input[2], output[2], r;
        Answer answer = { .n = 0 };
        uint64_t total = 0;
        gboolean ended;

        if (pipe2(input, O_CLOEXEC) < 0)
                return;
        if (pipe2(output, O_CLOEXEC) < 0) {
                safe_close(input[0]);
                safe_close(input[1]);
                return;
        }
        (void) fcntl(input[1], F_SETFL, O_NONBLOCK);
        (void) fcntl(output[0], F_SETFL, O_NONBLOCK);
        r = stream_begin(subject, &answer, input[0], output[1], &slot);
        safe_close(input[0]);
        safe_close(output[1]);
        ended = r >= 0 && pump(subject_bus(subject), input[1], output[0], &total, &answer.n);
        if (r < 0)
                safe_close(input[1]);
        safe_close(output[0]);
        if (answer.unsupported)
                report_skipped(trial->report, "ProcessStream", "it works on blocks alone");
        else if (!ended || answer.problem)
                report_failed(trial->report, "ProcessStream", "8 MiB: %s",
                              answer.problem ? answer.problem : "it does not end");
        else
                report_passed(trial->report, "ProcessStream", "8 MiB became %" G_GUINT64_FORMAT " bytes", total);
        g_free(answer.problem);
}

static void check_data_processor(Trial *trial, Subject *subject) {
        static const size_t sizes[] = { 0, 1, 65536, 1048576 };
        g_autofree char *data = g_strnfill(sizes[G_N_ELEMENTS(sizes) - 1], 'x');

        for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
                _cleanup_bus_message_ sd_bus_message *message = NULL, *reply = NULL;
                _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
                int r;

                r = subject_message(subject, ".DataProcessor", "ProcessData", &message);
                if (r >= 0)
                        r = sd_bus_message_append_array(message, 'y', data, sizes[i]);
                if (r >= 0)
                        r = subject_send(subject, trial_timeout(trial, TIMEOUT_PROVIDER), message, &error, &reply);
                /* To refuse data is an answer, too. */
                if (r < 0 && !call_refused(&error, ERROR_INVALID_ARGUMENT) && !call_refused(&error, ERROR_REFUSED)) {
                        report_failed(trial->report, "ProcessData", "%zu bytes: %s", sizes[i],
                                      call_problem(&error, r));
                        return;
                }
                if (r >= 0 && !sd_bus_message_has_signature(reply, "ay")) {
                        report_failed(trial->report, "ProcessData", "it answers with %s, expected ay",
                                      sd_bus_message_get_signature(reply, true));
                        return;
                }
        }
        report_passed(trial->report, "ProcessData", "blocks of up to 1 MiB");
        check_stream(trial, subject);
}

/* RequestHandler */

static void check_request_handler(Trial *trial, Subject *subject) {
        g_auto(GStrv) methods = read_list(trial, subject, ".RequestHandler", "Methods");
        _cleanup_bus_error_ sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autofree char *list = methods ? g_strjoinv(", ", methods) : NULL;
        int r;

        if (!methods || !*methods) {
                report_failed(trial->report, "RequestHandler", "Methods names none");
                return;
        }
        r = subject_call(subject, trial_timeout(trial, TIMEOUT_CHECK), ".RequestHandler", "Handle", &error, NULL,
                         "sa{sv}", "no-such-method", 0);
        if (r >= 0 || !call_refused(&error, ERROR_INVALID_ARGUMENT))
                report_failed(trial->report, "RequestHandler", "an unknown method is answered by %s, expected %s",
                              r >= 0 ? "success" : error.name, ERROR_INVALID_ARGUMENT);
        else
                report_passed(trial->report, "RequestHandler", "%s, and no other", list);
}

void check_contracts(Trial *trial, Subject *subject) {
        static const struct {
                const char *contract;
                void (*check)(Trial *trial, Subject *subject);
        } checks[] = {
                { "IdleCheck", check_idle },           { "EventHandler", check_event_handler },
                { "EventSource", check_event_source }, { "CloudProvider", check_provider },
                { "State", check_state },              { "DataProcessor", check_data_processor },
                { "RequestHandler", check_request_handler },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(checks); i++)
                if (manifest_has_contract(trial->manifest, checks[i].contract))
                        checks[i].check(trial, subject);
}
